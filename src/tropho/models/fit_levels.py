"""Pyramid levels, ranges and anchors that suit the boxes of the training images."""

import numpy as np

from tropho.config.model_config import TORCHVISION, ModelConfig
from tropho.models.fpn import TOP

MIN_BOX_STRIDES = 3.0
"""Strides. A level holds boxes of this side and more: all 3 x 3 positions about their centre lie inside them."""

TAIL_FRACTION = 0.05
"""Share of boxes that may be too small for the finest level, or too few to have a coarser one for."""

FINEST, COARSEST = 2, 7
"""Levels that a pyramid on a ResNet may have; the finest is at most TOP."""

ROUNDS = 30
"""Of k-means; it settles within a few."""


def fit_to_boxes(model: ModelConfig, sizes: np.ndarray) -> ModelConfig:
    """Settings in which whatever of levels, ranges and anchors was left to the boxes is explicit.

    Args:
        model: with `fit_levels: true`; what it states by hand is kept.
        sizes: (n, 2) width and height of the training boxes in pixels of the packed image; n = 0 leaves the
            detector's own anchors.
    """
    found: dict[str, object] = {"fit_levels": False}
    if model.fpn_levels is None:
        found["fpn_levels"] = fit_levels(sizes)
    levels = ModelConfig.model_validate({**model.model_dump(), **found}).levels
    match model.name:
        case "fcos" | "torchvision_fcos" if model.regression_ranges is None:
            found["regression_ranges"] = fit_ranges(sizes, levels)
        case "torchvision_retinanet" | "torchvision_faster_rcnn":
            published = TORCHVISION[model.name]
            found |= _anchors(model, sizes, levels, len(published.scales), len(published.ratios))
    return ModelConfig.model_validate({**model.model_dump(), **found})


def fit_levels(sizes: np.ndarray) -> list[int]:
    """From the coarsest level that holds nearly every box to the coarsest that holds more than a few."""
    if not len(sizes):
        return list(range(FINEST, TOP + 1))
    sides = _sides(sizes)
    small, large = np.quantile(sides, [TAIL_FRACTION, 1 - TAIL_FRACTION])
    finest = int(np.clip(np.floor(np.log2(small / MIN_BOX_STRIDES)), FINEST, TOP))
    coarsest = int(np.clip(np.floor(np.log2(large / MIN_BOX_STRIDES)), finest, COARSEST))
    return list(range(finest, coarsest + 1))


def fit_ranges(sizes: np.ndarray, levels: list[int]) -> list[float]:
    """Longest side in pixels up to which each level but the last takes a box.

    Levels share the boxes evenly as far as a level's boxes span at least LEAST of its strides, and less than
    four times that.
    """
    shares = np.arange(1, len(levels)) / len(levels)
    even = np.quantile(sizes.max(axis=1), shares) if len(sizes) else np.zeros(len(shares))
    least = MIN_BOX_STRIDES * 2.0 ** np.array(levels[1:])
    return [float(each) for each in np.clip(np.round(even), least, 2 * least - 1)]


def share_below(sizes: np.ndarray, levels: list[int]) -> list[float]:
    """The share of boxes that each level is too coarse for: their side, the root of the area, spans under LEAST."""
    sides = _sides(sizes)
    return [float((sides < MIN_BOX_STRIDES * 2**level).mean()) for level in levels]


def fit_anchors(
    sizes: np.ndarray, levels: list[int], scales: int, ratios: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Anchor sizes in strides and anchor heights over widths, by k-means with overlap as nearness.

    Each box is seen from the level that `fit_ranges` gives it to. Scales and ratios form a grid, as the anchors
    of a position do: a box belongs to the anchor of the grid that it overlaps most, and a scale (a ratio) moves to
    the geometric mean of its boxes.

    Args:
        sizes: (n, 2) width and height in pixels, n > 0.
        levels: of the pyramid.
        scales: how many scales.
        ratios: how many ratios.
    """
    level = np.array(levels)[np.searchsorted(fit_ranges(sizes, levels), sizes.max(axis=1))]
    relative = sizes / 2.0 ** level[:, None]
    scale, ratio = np.log(_sides(relative)), np.log(relative[:, 1] / relative[:, 0])
    centres = _middles(scale, scales), _middles(ratio, ratios)
    for _ in range(ROUNDS):
        best = expected_iou(relative, _shapes(*centres), np.ones(scales * ratios)).argmax(axis=1)
        moved = _moved(scale, best // ratios, centres[0]), _moved(ratio, best % ratios, centres[1])
        if all(np.array_equal(old, new) for old, new in zip(centres, moved, strict=True)):
            break
        centres = moved
    rounded = [tuple(float(round(value, 2)) for value in sorted(np.exp(each))) for each in centres]
    return rounded[0], rounded[1]


def expected_iou(sizes: np.ndarray, anchors: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """(n, m) overlap of boxes with the nearest anchor of each shape.

    On each axis the nearest position is a quarter of a stride away from a box's centre, on the average.

    Args:
        sizes: (n, 2) width and height.
        anchors: (m, 2) width and height.
        strides: (m,) of the anchors' levels.
    """
    box, anchor = sizes[:, None], anchors[None]
    off = strides[None, :, None] / 4
    shared = np.minimum(box / 2, off + anchor / 2) - np.maximum(-box / 2, off - anchor / 2)
    overlap = shared.clip(0).prod(axis=2)
    return overlap / (box.prod(axis=2) + anchor.prod(axis=2) - overlap)


def _anchors(model: ModelConfig, sizes: np.ndarray, levels: list[int], scales: int, ratios: int) -> dict[str, object]:
    """As many scales and ratios as the detector has of its own."""
    if not len(sizes):
        return {}
    fitted = fit_anchors(sizes, levels, len(model.scales or [0] * scales), len(model.ratios or [0] * ratios))
    return {"scales": model.scales or list(fitted[0]), "ratios": model.ratios or list(fitted[1])}


def _sides(sizes: np.ndarray) -> np.ndarray:
    """(n,) the root of the area."""
    return np.sqrt(sizes.prod(axis=1))


def _middles(values: np.ndarray, count: int) -> np.ndarray:
    return np.quantile(values, (np.arange(count) + 0.5) / count)


def _moved(values: np.ndarray, owner: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The mean of the values that each centre owns; a centre that owns none stays."""
    return np.array([values[owner == k].mean() if (owner == k).any() else old for k, old in enumerate(centres)])


def _shapes(scales: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """(scales x ratios, 2) width and height in strides, from logarithms, in the order of grids.anchors."""
    scale, root = np.exp(scales).repeat(len(ratios)), np.exp(np.tile(ratios, len(scales)) / 2)
    return np.stack([scale / root, scale * root], axis=1)
