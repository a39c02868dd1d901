"""Pyramid levels, regression ranges and anchors that fit the boxes of the training images."""

import numpy as np

from tropho.config.model_config import TORCHVISION, ModelConfig
from tropho.models.backbone import TOP

MIN_BOX_STRIDES = 3.0
"""Strides. A level takes boxes of this side and more: all 3 x 3 positions around their centre lie inside them."""

TAIL_FRACTION = 0.05  # share of boxes that may be too small for the finest level, or too few for another coarse one
FINEST, COARSEST = 2, 7  # levels that a pyramid on a ResNet may have; the finest is at most TOP
MAX_ITERATIONS = 30  # of k-means, which converges within a few


def fit_to_boxes(model: ModelConfig, sizes: np.ndarray) -> ModelConfig:
    """Fit the levels, ranges and anchors that the settings leave open; what they state is kept.

    Sizes (n, 2) are width and height of the training boxes, pixels of the cached image; n = 0 keeps the anchors.
    """
    fitted: dict[str, object] = {"fit_levels": False}
    if model.fpn_levels is None:
        fitted["fpn_levels"] = fit_levels(sizes)
    levels = ModelConfig.model_validate({**model.model_dump(), **fitted}).levels
    if model.name in ("fcos", "torchvision_fcos"):
        if model.regression_ranges is None:
            fitted["regression_ranges"] = fit_ranges(sizes, levels)
    elif model.name in TORCHVISION and len(sizes):
        published = TORCHVISION[model.name]
        n_scales, n_ratios = len(model.scales or published.scales), len(model.ratios or published.ratios)
        scales, ratios = fit_anchors(sizes, levels, n_scales, n_ratios)
        fitted |= {"scales": model.scales or list(scales), "ratios": model.ratios or list(ratios)}
    return ModelConfig.model_validate({**model.model_dump(), **fitted})


def fit_levels(sizes: np.ndarray) -> list[int]:
    """Return the levels from the coarsest that fits nearly every box (n, 2) to the coarsest that fits some."""
    if not len(sizes):
        return list(range(FINEST, TOP + 1))
    small, large = np.quantile(_sides(sizes), [TAIL_FRACTION, 1 - TAIL_FRACTION])
    finest = int(np.clip(np.floor(np.log2(small / MIN_BOX_STRIDES)), FINEST, TOP))
    coarsest = int(np.clip(np.floor(np.log2(large / MIN_BOX_STRIDES)), finest, COARSEST))
    return list(range(finest, coarsest + 1))


def fit_ranges(sizes: np.ndarray, levels: list[int]) -> list[float]:
    """Return the longest side, pixels, up to which each level but the last takes a box.

    Levels share the boxes evenly, as far as each takes boxes of MIN_BOX_STRIDES to four times that.
    """
    quantiles = np.arange(1, len(levels)) / len(levels)
    even = np.quantile(sizes.max(axis=1), quantiles) if len(sizes) else np.zeros(len(quantiles))
    lower = MIN_BOX_STRIDES * 2.0 ** np.array(levels[1:])
    return [float(value) for value in np.clip(np.round(even), lower, 2 * lower - 1)]


def fit_anchors(
    sizes: np.ndarray, levels: list[int], n_scales: int, n_ratios: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit a grid of anchor scales and ratios by k-means with overlap as the distance.

    A box (sizes (n, 2), pixels, n > 0) counts on the level of `fit_ranges`, and belongs to the anchor of the grid that
    it overlaps most. A scale (a ratio) moves to the geometric mean of its boxes.

    Returns:
        Scales in strides and ratios height / width, both ascending.
    """
    level = np.array(levels)[np.searchsorted(fit_ranges(sizes, levels), sizes.max(axis=1))]
    relative = sizes / 2.0 ** level[:, None]  # (n, 2) in strides
    scale, ratio = np.log(_sides(relative)), np.log(relative[:, 1] / relative[:, 0])
    centres = _initial_centres(scale, n_scales), _initial_centres(ratio, n_ratios)
    for _ in range(MAX_ITERATIONS):
        best = expected_iou(relative, _anchor_sizes(*centres), np.ones(n_scales * n_ratios)).argmax(axis=1)
        moved = _update(scale, best // n_ratios, centres[0]), _update(ratio, best % n_ratios, centres[1])
        if all(np.array_equal(old, new) for old, new in zip(centres, moved, strict=True)):
            break
        centres = moved
    scales, ratios = (tuple(float(round(value, 2)) for value in sorted(np.exp(centre))) for centre in centres)
    return scales, ratios


def expected_iou(sizes: np.ndarray, anchors: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Return the overlap (n, m) of boxes (n, 2) with the nearest anchor of each shape (m, 2), all width and height.

    On each axis the nearest position is a quarter of the anchor's stride (m,) away from a box's centre, on the average.
    """
    box, anchor = sizes[:, None], anchors[None]  # (n, 1, 2), (1, m, 2)
    offset = strides[None, :, None] / 4
    inter = np.minimum(box / 2, offset + anchor / 2) - np.maximum(-box / 2, offset - anchor / 2)
    overlap = inter.clip(0).prod(axis=2)  # (n, m)
    return np.asarray(overlap / (box.prod(axis=2) + anchor.prod(axis=2) - overlap))


def _sides(sizes: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(sizes.prod(axis=1)))


def _initial_centres(values: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(np.quantile(values, (np.arange(n) + 0.5) / n))


def _update(values: np.ndarray, owner: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the mean of the values of each centre; one without values stays."""
    return np.array([values[owner == k].mean() if (owner == k).any() else old for k, old in enumerate(centres)])


def _anchor_sizes(scales: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return (scales x ratios, 2) width and height in strides, from logarithms."""
    scale, root = np.exp(scales).repeat(len(ratios)), np.exp(np.tile(ratios, len(scales)) / 2)
    return np.stack([scale / root, scale * root], axis=1)
