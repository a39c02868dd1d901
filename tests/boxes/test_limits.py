"""Just at a limit: which boxes are near, are one, or are cut; which gains are kept; how groups are assigned."""

import numpy as np
import pandas as pd
import pytest
import torch

from boxes.fused import fused_boxes
from boxes.test_merge_tiles import merged
from tropho.boxes import box_fusion as wbf
from tropho.boxes.box_fusion import fuse
from tropho.boxes.box_ops import candidate_pairs, invert_boxes, nms
from tropho.boxes.tiles import tile_windows
from tropho.boxes.tta import view_images
from tropho.tables import DETECTIONS

WHOLE, HALF = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]


def test_weighted_box_fusion_threshold_is_exclusive():
    models = [([WHOLE], [0.9], [0]), ([HALF], [0.8], [0])]
    assert fused_boxes(models, iou=0.5)[0].tolist() == [WHOLE, HALF]
    assert len(fused_boxes(models, iou=0.49)[0]) == 1
    assert len(fused_boxes([models[0], ([WHOLE], [0.8], [0])], iou=1.0)[0]) == 2
    boxes, scores, group = np.array([WHOLE, HALF]), np.array([0.8, 0.9]), np.zeros(2, np.int64)
    assert nms(boxes, scores, group, 0.5)[0].tolist() == [1, 0]
    assert nms(boxes, scores, group, 0.49)[0].tolist() == [1]


def test_weighted_box_fusion_keeps_score_of_single_box():
    assert fused_boxes([([WHOLE], [0.1], [0])])[1].tolist() == [0.1]


def test_weighted_box_fusion_drops_boxes_without_area():
    assert len(fused_boxes([([[0.0, 0.0, 1e-200, 1e-200]], [0.9], [0])])[0]) == 0


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


def test_fuse_nms_scales_scores_by_weight():
    fused = fuse([table(("a", "X", 0.8, *WHOLE)), table(("a", "Y", 0.6, *WHOLE))], weights=[4, 2], method="nms")
    assert fused["score"].tolist() == pytest.approx([0.8, 0.3])


def test_fuse_keeps_single_weighted_table():
    first, second = table(("a", "X", 0.8, *WHOLE), ("a", "X", 0.7, *WHOLE)), table(("a", "X", 0.6, *WHOLE))
    pd.testing.assert_frame_equal(fuse([first, second], weights=[2.0, 0.0]), first)
    assert len(fuse([first, second], weights=[2.0, 1.0])) == 1


def test_fuse_blocks_bound_memory(monkeypatch):
    rows = table(*((f"i{number}", "X", 0.8, *WHOLE) for number in range(6)))
    sizes = []
    plain = wbf.fuse_boxes
    monkeypatch.setattr(wbf, "fuse_boxes", lambda boxes, *rest: sizes.append(len(boxes)) or plain(boxes, *rest))
    fuse([rows, rows])
    monkeypatch.setattr(wbf, "MAX_ROWS", 4)
    fuse([rows, rows])
    assert sizes == [12, 4, 4, 4]


@pytest.mark.parametrize(
    ("iou", "distance", "near"),
    [
        (0.3, 0.0, True),
        (0.8, 0.0, True),
        (0.3, 23.0, True),  # (1 / 0.3 - 1) / 2 sides of either
        (0.3, 24.0, False),
        (0.5, 10.0, True),  # half a side of either, where rounding must lose none
        (0.5, 10.1, False),
        (0.8, 2.4, True),  # overlaps by more than 2 * 0.8 - 1
        (0.8, 2.6, False),
        (0.0, 1e6, True),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_candidate_pairs_limits_by_distance_and_overlap(iou, distance, near, axis):
    boxes = np.array([WHOLE, WHOLE, [5e6, 5e6, 5e6 + 1, 5e6 + 1]])
    boxes[1, [axis, axis + 2]] += distance
    later, earlier = candidate_pairs(boxes[:2], np.zeros(2, np.int64), iou)
    assert (later.tolist(), earlier.tolist()) == (([1], [0]) if near else ([], []))
    later, _ = candidate_pairs(boxes[:2], np.array([0, 1]), iou)
    assert len(later) == 0
    later, _ = candidate_pairs(boxes, np.zeros(3, np.int64), iou)
    assert len(later) == (3 if iou == 0 else near)


def test_candidate_pairs_of_no_and_one_box():
    for count in (0, 1):
        later, earlier = candidate_pairs(np.array([WHOLE])[:count], np.zeros(count, np.int64), 0.5)
        assert len(later) == len(earlier) == 0


def test_merge_tile_boxes_truncation_tolerance_is_inclusive():
    cut, whole = ([72.0, 20.0, 92.0, 40.0], 0.9, 0), ([72.0, 20.0, 100.0, 40.0], 0.3, 0)
    assert merged([cut], [whole]) == [whole]
    near = ([72.0, 20.0, 91.5, 40.0], 0.9, 0)
    assert merged([near], [whole]) == [near]


def test_merge_tile_boxes_keeps_boxes_at_threshold():
    one, other = ([40.0, 20.0, 60.0, 40.0], 0.9, 0), ([40.0, 20.0, 60.0, 30.0], 0.8, 0)
    assert merged([one], [other]) == [one, other]


def test_merge_tile_boxes_keeps_half_covered_box():
    whole, cut = ([22.0, 20.0, 42.0, 40.0], 0.9, 0), ([32.0, 20.0, 52.0, 40.0], 0.8, 0)
    assert merged([whole], [cut]) == [whole, cut]


def test_merge_tile_boxes_does_not_join_parts_at_threshold():
    """The right tile sees columns from 32, the left one to 96: of that, one part has twice the height of the other."""
    left, right = ([10.0, 20.0, 96.0, 60.0], 0.9, 0), ([32.0, 20.0, 110.0, 40.0], 0.8, 0)
    assert merged([left], [right]) == [left, right]
    more = ([32.0, 20.0, 110.0, 41.0], 0.8, 0)
    assert merged([left], [more]) == [([10.0, 20.0, 110.0, 60.0], 0.9, 0)]


def test_tile_windows_by_hand():
    assert tile_windows(64, 64, 64, 32).tolist() == [[0, 0, 64, 64]]
    assert tile_windows(32, 96, 64, 32).tolist() == [[0, 0, 64, 32], [32, 0, 96, 32]]
    assert tile_windows(96, 64, 64, 0).tolist() == [[0, 0, 64, 64], [0, 32, 64, 96]]
    assert tile_windows(64, 128, 64, 0).tolist() == [[0, 0, 64, 64], [64, 0, 128, 64]]


def test_view_images_and_invert_boxes_by_hand():
    seen = view_images(torch.full((1, 1, 3, 5), 9, dtype=torch.uint8), "identity@0.25", stride=4)
    assert seen.shape == (1, 1, 4, 4)  # one pixel by one, padded
    assert seen.sum() == 9
    assert invert_boxes(np.array([[0.0, 0.0, 1.0, 1.0]]), "identity@0.25", 3, 5, 4).tolist() == [[0, 0, 5, 3]]
    assert invert_boxes(np.array([[1.0, 2.0, 3.0, 4.0]]), "hflip", 8, 12).tolist() == [[9, 2, 11, 4]]
    assert invert_boxes(np.array([[1.0, 2.0, 3.0, 4.0]]), "rot90", 8, 12).tolist() == [[8, 1, 10, 3]]
