import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from tropho.models import build_model
from tropho.models.anchors import (
    MIN_BOX_STRIDES,
    expected_iou,
    fit_anchors,
    fit_levels,
    fit_ranges,
    fit_to_boxes,
)

some_sizes = st.lists(st.tuples(st.floats(2, 600), st.floats(2, 600)), min_size=1, max_size=40).map(np.array)


def squares(*sides: float) -> np.ndarray:
    return np.array([[side, side] for side in sides], dtype=float)


@pytest.fixture
def cells(rng) -> np.ndarray:
    """Parasites of about 20 pixels and white cells of about 40, nearly round."""
    sides = np.concatenate([rng.normal(20, 3, 700), rng.normal(40, 6, 300)]).clip(8)
    return sides[:, None] * np.exp(rng.normal(0, 0.08, (1000, 2)))


@pytest.mark.parametrize(
    ("sides", "levels"),
    [
        ([12.0], [2]),  # 3 strides of P2
        ([23.9], [2]),
        ([24.0], [3]),
        ([5.0], [2]),  # there is no finer level
        ([96.0, 100.0], [5]),
        ([500.0], [5, 6, 7]),  # the finest level must be one of the ResNet's own
        ([13.0, 50.0], [2, 3, 4]),
        ([13.0] * 96 + [50.0] * 4, [2]),  # too few are large
        ([13.0] * 90 + [50.0] * 10, [2, 3, 4]),
        ([5.0] * 4 + [30.0] * 96, [3]),  # too few are small
    ],
)
def test_levels_hold_nearly_every_box(sides, levels):
    assert fit_levels(squares(*sides)) == levels


def test_borders_by_hand():
    assert fit_ranges(squares(20, 28, 36, 44), [2, 3]) == [32.0]  # the median
    assert fit_ranges(squares(10, 12, 14, 16), [2, 3]) == [24.0]  # 3 strides of P3
    assert fit_ranges(squares(100, 200), [2, 3, 4]) == [47.0, 95.0]
    assert fit_ranges(squares(100, 200), [4]) == []
    assert fit_ranges(np.zeros((0, 2)), [2, 3, 4]) == [24.0, 48.0]


@given(some_sizes, st.integers(2, 5), st.integers(1, 4))
def test_every_box_spans_enough_strides_of_its_level(sizes, finest, count):
    levels = list(range(finest, finest + count))
    ranges = fit_ranges(sizes, levels)
    assert ranges == sorted(set(ranges))
    longest = sizes.max(axis=1)
    level = np.array(levels)[np.searchsorted(ranges, longest)]
    spanned = longest / 2.0**level
    assert (spanned[level > levels[0]] > MIN_BOX_STRIDES).all()
    assert (spanned[level < levels[-1]] < 4 * MIN_BOX_STRIDES).all()


@given(some_sizes, some_sizes)
def test_overlap_equals_that_of_boxes_a_quarter_stride_apart(sizes, anchors):
    stride = 8.0
    found = expected_iou(sizes, anchors, np.full(len(anchors), stride))

    def about(centre: float, shapes: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.hstack([centre - shapes / 2, centre + shapes / 2]))

    expected = box_iou(about(1000.0, sizes), about(1000.0 + stride / 4, anchors)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_anchors_find_the_shapes_that_are_there(rng):
    scales, ratios = (3.5, 5.5), (0.5, 1.0, 2.0)
    scale, ratio = rng.choice(scales, 600), rng.choice(ratios, 600)
    shapes = np.stack([scale / np.sqrt(ratio), scale * np.sqrt(ratio)], axis=1)
    sizes = 4 * shapes * np.exp(rng.normal(0, 0.02, shapes.shape))
    found_scales, found_ratios = fit_anchors(sizes, [2], 2, 3)
    np.testing.assert_allclose(found_scales, scales, rtol=0.02)
    np.testing.assert_allclose(found_ratios, ratios, rtol=0.04)


def test_twice_the_pixels_is_one_level_on(cells):
    assert fit_levels(2 * cells) == [level + 1 for level in fit_levels(cells)]
    assert fit_ranges(2 * cells, [3, 4]) == [2 * border for border in fit_ranges(cells, [2, 3])]
    for one, two in zip(fit_anchors(cells, [2, 3], 3, 3), fit_anchors(2 * cells, [3, 4], 3, 3), strict=True):
        np.testing.assert_allclose(one, two, atol=0.011)


@pytest.mark.parametrize("count", [1000, 1, 0])
def test_fitted_settings_are_explicit_and_build_a_detector(settings, cells, count):
    model = settings(
        "smear_demo",
        **{"model.name": "fcos", "model.fit_levels": True, "model.fpn_levels": None, "model.fpn_channels": 16},
    ).model
    with pytest.raises(ValueError, match="fit"):
        build_model(model, "detection", 2, 64)
    fitted = fit_to_boxes(model, cells[:count])
    assert not fitted.fit_levels
    assert fitted.fpn_levels == {1000: [2, 3], 1: [2], 0: [2, 3, 4, 5]}[count]
    assert fitted.regression_ranges is not None
    assert fitted.scales is None
    with torch.no_grad():
        found = build_model(fitted, "detection", 2, 64).eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert set(found[0]) == {"boxes", "scores", "labels", "presence"}


def test_what_is_stated_by_hand_stays(settings, cells):
    by_hand = {"scales": [2.5, 5.0, 7.0], "ratios": [0.8, 1.0, 1.25]}
    overrides = {f"model.{key}": value for key, value in by_hand.items()}
    chosen = {"model.name": "torchvision_retinanet", "model.fit_levels": True, **overrides}
    model = settings("smear_demo", **chosen).model
    fitted = fit_to_boxes(model, cells)
    assert {key: getattr(fitted, key) for key in by_hand} == by_hand


@pytest.mark.parametrize(
    ("name", "levels", "fitted"),
    [
        ("torchvision_fcos", [3, 4, 5, 6, 7], ("regression_ranges", 4)),
        ("torchvision_retinanet", [3, 4, 5, 6, 7], ("scales", 3)),
        ("torchvision_faster_rcnn", [2, 3, 4, 5, 6], ("scales", 1)),
    ],
)
def test_published_networks_keep_their_levels(settings, cells, name, levels, fitted):
    """They take the place of the competition's detector by name alone, though its levels are left to the boxes."""
    model = fit_to_boxes(settings("malaria", **{"model.name": name}).model, cells)
    assert not model.fit_levels
    assert model.levels == levels
    key, count = fitted
    assert len(getattr(model, key)) == count
