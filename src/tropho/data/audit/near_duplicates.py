"""Find images that show the same picture: encoded anew, lighter or darker, or a little turned or sheared.

Thumbnails are normalised by local mean and contrast. A descriptor of each image, and of turned and sheared copies of
it, finds candidates; each candidate pair is aligned (ECC, affine) and compared. docs/design.md has results.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import cv2
import numpy as np

from tropho.images.thread_pool import in_threads

MIN_CORRELATION = 0.94  # least correlation of two normalised thumbnails, once aligned, of one picture
_MIN_DESCRIPTOR_CORRELATION = 0.85  # of a candidate pair
_MAX_CANDIDATES = 16  # of an image
_BLOCK = 8_000_000  # pairs of descriptors compared at once: 32 MB
_MIN_ENERGY = 0.08  # mean square of a normalised thumbnail; below, it is too plain to be compared
_NOISE = (4.0, 2.0)  # grey levels of contrast, for descriptors and for alignment, that count as noise
_SIDE = 32  # pixels; side of the thumbnails that descriptors are made of
_FREQUENCIES = 8  # lowest frequencies of a descriptor, per axis
_STEPS = ((2, 0.7), (15, MIN_CORRELATION))  # iterations of the alignment, and the least correlation after them to go on
_MAX_CHANGE, _MAX_SHIFT = 0.5, 0.12  # of an alignment: entries of its linear part, shift of the centre by sides


def find_near_duplicates(thumbs: np.ndarray) -> list[tuple[int, int, float]]:
    """Find pairs of images that show the same picture, by their (N, side, side) uint8 grey thumbnails.

    Turns up to 15 degrees, shears up to 10 degrees and changes of brightness are looked through; mirror images are
    not. Of each image, at most 16 pairs with later images are found.

    Returns:
        (i, j, correlation once aligned) with i < j, in order.
    """
    descriptors = np.stack(list(in_threads(_describe, thumbs))) if len(thumbs) else np.zeros((0, len(_WARPS), 1))
    by_first = [list(pairs) for _, pairs in groupby(_candidates(descriptors), itemgetter(0))]
    return [pair for pairs in in_threads(lambda pairs: _aligned(thumbs, pairs), by_first) for pair in pairs]


def _linear_maps() -> list[np.ndarray]:
    """Return the turns and shears at which candidates are looked for, (2, 2) each; the identity first."""
    turns, shears = np.deg2rad([0, -14, -7, 7, 14]), (0, -0.14, 0.14)
    return [
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, shear], [shear, 1]])
        for turn in turns
        for shear in shears
    ]


def _about_centre(linear: np.ndarray, side: int) -> np.ndarray:
    """Return the (2, 3) float32 affine map of pixels that keeps a square picture's centre in place."""
    centre = np.full(2, (side - 1) / 2)
    return np.column_stack([linear, centre - linear @ centre]).astype(np.float32)


def _from_centre(side: int) -> np.ndarray:
    """Return each pixel's distance from the centre, in halves of the side, (side, side)."""
    along = (np.arange(side, dtype=np.float64) - (side - 1) / 2) / (side / 2)
    return np.hypot(along[:, None], along)


_WARPS = _linear_maps()
_WINDOW = np.clip((1 - _from_centre(_SIDE)) / 0.25, 0, 1).astype(np.float32)  # corners may be filled with anything


def _normalize(picture: np.ndarray, noise: float) -> np.ndarray:
    """Divide by local contrast what is above or below the local mean, (side, side) float32."""
    picture = picture.astype(np.float32)
    above = picture - cv2.GaussianBlur(picture, (0, 0), 3, borderType=cv2.BORDER_REFLECT)
    contrast = np.sqrt(cv2.GaussianBlur(above * above, (0, 0), 3, borderType=cv2.BORDER_REFLECT))
    return above / (contrast + noise)


def _describe(thumb: np.ndarray) -> np.ndarray:
    """Describe a thumbnail, and its turned and sheared copies, by low frequencies: (warps, 64) float32, unit length."""
    small = cv2.resize(thumb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    descriptors = []
    for linear in _WARPS:
        warped = cv2.warpAffine(small, _about_centre(linear, _SIDE), small.shape, borderMode=cv2.BORDER_REPLICATE)
        windowed = _normalize(warped, _NOISE[0]) * _WINDOW
        windowed -= windowed.sum() / _WINDOW.sum() * _WINDOW
        low = cv2.dct(windowed)[:_FREQUENCIES, :_FREQUENCIES].ravel()
        descriptors.append(low / max(float(np.linalg.norm(low)), 1e-6))
    return np.stack(descriptors)


def _candidates(descriptors: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """List (i, j, warp) with i < j: the images j whose descriptors are likest to that of image i, warped."""
    plain = np.ascontiguousarray(descriptors[:, 0])  # (N, warps, 64) -> (N, 64)
    step = max(1, _BLOCK // max(1, len(plain)))
    for start in range(0, len(plain), step):
        block = descriptors[start : start + step]
        corr = block[:, 0] @ plain[start:].T  # (step, N - start)
        for warp in range(1, len(_WARPS)):
            np.maximum(corr, block[:, warp] @ plain[start:].T, out=corr)
        for row in range(len(block)):
            after = corr[row, row + 1 :]
            best = np.flatnonzero(after >= _MIN_DESCRIPTOR_CORRELATION)
            best = np.sort(best[np.argsort(-after[best], kind="stable")[:_MAX_CANDIDATES]])
            for j in (best + start + row + 1).tolist():
                yield start + row, j, int((block[row] @ plain[j]).argmax())


def _aligned(thumbs: np.ndarray, pairs: list[tuple[int, int, int]]) -> list[tuple[int, int, float]]:
    """Keep the candidates of one image that are alike once aligned, with their correlation."""
    side = thumbs.shape[1]
    mask = (_from_centre(side) < 0.85).astype(np.uint8)
    first = _prepare(thumbs[pairs[0][0]])
    if not _is_structured(first, mask):
        return []
    near = []
    for i, j, warp in pairs:
        second = _prepare(thumbs[j])
        if _is_structured(second, mask):
            corr, change = _align(first, second, _WARPS[warp], mask)
            if corr >= MIN_CORRELATION and _is_small(change, side):
                near.append((i, j, corr))
    return near


def _align(first: np.ndarray, second: np.ndarray, linear: np.ndarray, mask: np.ndarray) -> tuple[float, np.ndarray]:
    """Align two normalised thumbnails, starting from a linear map; return their correlation and the (2, 3) map."""
    corr, change = 0.0, cv2.invertAffineTransform(_about_centre(linear, len(first)))
    for iterations, least in _STEPS:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, 1e-3)
        try:
            corr, change = cv2.findTransformECC(second, first, change, cv2.MOTION_AFFINE, stop, mask, 1)
        except cv2.error:  # it did not converge
            return 0.0, change
        if corr < least:
            break
    return float(corr), change


def _prepare(thumb: np.ndarray) -> np.ndarray:
    return _normalize(cv2.GaussianBlur(thumb.astype(np.float32), (0, 0), 1), _NOISE[1])


def _is_structured(normalized: np.ndarray, mask: np.ndarray) -> bool:
    """Tell whether there is more to compare than a dot on a plain ground."""
    return float((normalized[mask > 0] ** 2).mean()) >= _MIN_ENERGY


def _is_small(change: np.ndarray, side: int) -> bool:
    """Tell whether an alignment, from pixels to pixels, turns and moves no more than copies do."""
    centre = np.full(2, (side - 1) / 2)
    shift = change[:, :2] @ centre + change[:, 2] - centre
    return bool(np.abs(change[:, :2] - np.eye(2)).max() <= _MAX_CHANGE and np.abs(shift).max() <= _MAX_SHIFT * side)
