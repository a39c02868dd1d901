"""Images of more than 8 bits a channel (16-bit, signed, floating-point), and their scaling to 8 bits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tropho.errors import DataError
from tropho.orientation import UPRIGHT, turn_image

Range = tuple[float, float]  # the values that become black and white

_ROWS = 256  # converted at once, so that no second copy in float64 is needed
_WIDTH, _HEIGHT, _ORIENTATION, _SAMPLE_FORMAT = 256, 257, 274, 339  # tags of TIFF and EXIF
_SIGNED = 2  # a sample format
_MIRRORED = 4  # greater orientations lie on their side
_SIZE_MARKER = b"\xff\x4f\xff\x51"  # of a JPEG 2000 codestream
_SIZE_DEPTH = 42  # bytes from there to the depth of the first channel


@dataclass(frozen=True)
class DeepPixels:
    """An upright image whose values have no range of their own."""

    values: np.ndarray  # (h, w) or, in colour, (h, w, 3); int32, or floating-point with NaN and infinity
    alpha: np.ndarray | None = None  # (h, w) float32, 0 (transparent) to 1

    @property
    def range(self) -> Range | None:
        """The lowest and the highest finite value; None where no value is finite."""
        finite = self.values[np.isfinite(self.values)]
        return (float(finite.min()), float(finite.max())) if finite.size else None

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices of rows and their values as float64."""
        for top in range(0, len(self.values), _ROWS):
            rows = slice(top, top + _ROWS)
            yield rows, self.values[rows].astype("<f8")

    def to_rgb(self, value_range: Range) -> np.ndarray:
        """Scale low to high to 0 to 255, (h, w, 3) uint8; values beyond are clipped, NaN and transparency are black."""
        low, high = value_range
        shades = np.empty(self.values.shape, np.uint8)
        for rows, values in self.blocks():
            known = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
            share = np.clip((known - low) / ((high - low) or 1.0), 0, 1)
            if self.alpha is not None:
                share *= self.alpha[rows].reshape(*share.shape[:2], *[1] * (share.ndim - 2))
            shades[rows] = np.round(share * 255)
        return shades if shades.ndim == 3 else np.repeat(shades[:, :, None], 3, axis=2)


def is_deep(image: ImageFile.ImageFile, path: Path) -> bool:
    """Tell whether a file holds more than 8 bits a channel or signed values; call it before loading the pixels."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    if image.mode == "L":
        sample_format = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, 1)
        return bool(_SIGNED in np.atleast_1d(sample_format))
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "JPEG2000":
        return _jpeg2000_bits(path) > 8
    stored = [entry for tile in image.tile for entry in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))]
    if image.format == "PPM":
        return any(isinstance(entry, int) and entry > 255 for entry in stored)
    return any(isinstance(entry, str) and ";16" in entry for entry in stored)


def deep_pixels(image: Image.Image, path: Path) -> DeepPixels:
    """Return the upright values of a loaded image that `is_deep`."""
    if image.mode in ("RGB", "RGBA", "LA"):  # Pillow has only their upper 8 bits
        return channels(path, _orientation_left(image))
    values = np.asarray(ImageOps.exif_transpose(image))
    if image.mode == "L":
        values = values.view(np.int8)
    return DeepPixels(values if values.dtype.kind == "f" else values.astype(np.int32))


def channels(path: Path, orientation: int = 1) -> DeepPixels:
    """Read the values of a file with OpenCV and rotate them upright by `orientation`, which OpenCV does for TIFF alone.

    Raises:
        DataError: OpenCV can't read it, or it has more than 4 channels.
    """
    try:
        read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        read = None
    if read is None or (read.ndim == 3 and read.shape[2] > 4):
        raise DataError(f"{path} can't be read as an image: it is damaged, or of a kind that is not known.")
    values = turn_image(read, UPRIGHT[orientation])
    alpha = None
    if values.ndim == 3 and values.shape[2] in (2, 4):
        full = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
        alpha, values = (values[:, :, -1] / full).astype(np.float32), values[:, :, :-1]
    if values.ndim == 3:
        values = values[:, :, 0] if values.shape[2] == 1 else values[:, :, ::-1]
    return DeepPixels(values if values.dtype.kind == "f" else values.astype(np.int32), alpha)


def tiff_size(path: Path) -> tuple[int, int] | None:
    """Return width and height, upright, from a TIFF file's header; None for any other file."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return None
        try:
            tags = ImageFileDirectory_v2(head)
            file.seek(tags.next)
            tags.load(file)
            width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
        except Exception:  # as Pillow's plugins have on damaged files
            return None
    return (height, width) if tags.get(_ORIENTATION, 1) > _MIRRORED else (width, height)


def _orientation_left(image: Image.Image) -> int:
    """Return the EXIF orientation that OpenCV does not apply."""
    value = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION, 1)
    return value if value in UPRIGHT else 1


def _jpeg2000_bits(path: Path) -> int:
    """Return the bits of the first channel by the codestream's header; 8 without one."""
    with path.open("rb") as file:
        head = file.read(65536)
    place = head.find(_SIZE_MARKER)
    return 8 if place < 0 else (head[place + _SIZE_DEPTH] & 0x7F) + 1
