"""What becomes of boxes that two tiles report: one tile shows columns 0 to 96 of 128, the other 32 to 128."""

import torch

from tropho.boxes.tiles import merge_tile_boxes

WINDOWS = torch.tensor([[0, 0, 96, 96], [32, 0, 128, 96]])

Row = tuple[list[float], float, int]
"""Box in pixels of the image, score, class."""


def found(window: torch.Tensor, rows: list[Row]) -> dict[str, torch.Tensor]:
    boxes = torch.tensor([box for box, _, _ in rows]).reshape(-1, 4) - window[:2].repeat(2)
    scores, labels = torch.tensor([score for _, score, _ in rows]), torch.tensor([label for _, _, label in rows])
    return {"boxes": boxes, "scores": scores, "labels": labels, "presence": torch.tensor(0.5)}


def merged(left: list[Row], right: list[Row]) -> list[Row]:
    """Best first; scores rounded."""
    tiles = [found(window, rows) for window, rows in zip(WINDOWS, (left, right), strict=True)]
    result = merge_tile_boxes(tiles, WINDOWS, (96, 128), 10)
    scores = [round(score, 4) for score in result["scores"].tolist()]
    return list(zip(result["boxes"].tolist(), scores, result["labels"].tolist(), strict=True))


def test_merge_tile_boxes_keeps_higher_score():
    one, other = ([40.0, 20.0, 70.0, 50.0], 0.6, 0), ([41.0, 20.0, 71.0, 50.0], 0.8, 0)
    assert merged([one], [other]) == [other]


def test_merge_tile_boxes_prefers_whole_to_truncated():
    whole, cut = ([20.0, 20.0, 50.0, 50.0], 0.3, 0), ([32.0, 20.0, 50.0, 50.0], 0.9, 0)
    assert merged([whole], [cut]) == [whole]


def test_merge_tile_boxes_tolerance_grows_with_box():
    whole, cut = ([44.0, 10.0, 120.0, 80.0], 0.6, 0), ([44.0, 10.0, 91.5, 80.0], 0.9, 0)
    assert merged([cut], [whole]) == [whole]
    small_whole, small = ([78.0, 10.0, 96.0, 30.0], 0.6, 0), ([78.0, 10.0, 91.5, 30.0], 0.9, 0)
    assert merged([small], [small_whole]) == [small]  # 4.5 pixels are far for it: it counts as whole


def test_merge_tile_boxes_joins_parts_around_inner_box():
    """The first tile can't see the end of the object, so no whole box there is of it."""
    inside = ([40.0, 22.0, 88.0, 58.0], 0.05, 0)
    parts = ([10.0, 20.0, 96.0, 60.0], 0.9, 0), ([32.0, 20.0, 110.0, 60.0], 0.8, 0)
    assert merged([parts[0], inside], [parts[1]]) == [([10.0, 20.0, 110.0, 60.0], 0.9, 0), inside]


def test_merge_tile_boxes_keeps_unmatched_truncated_box():
    cut, beside = ([32.0, 30.0, 50.0, 50.0], 0.9, 0), ([20.0, 45.0, 40.0, 80.0], 0.8, 0)
    assert merged([beside], [cut]) == [cut, beside]


def test_merge_tile_boxes_separates_classes():
    whole, cut = ([20.0, 20.0, 50.0, 50.0], 0.3, 0), ([32.0, 20.0, 50.0, 50.0], 0.9, 1)
    twin = ([20.0, 20.0, 50.0, 50.0], 0.2, 1)
    assert merged([whole], [cut]) == [cut, whole]
    assert merged([whole, twin], [cut]) == [whole, twin]
    parts = ([10.0, 20.0, 96.0, 60.0], 0.9, 0), ([32.0, 20.0, 110.0, 60.0], 0.8, 1)
    assert merged([parts[0]], [parts[1]]) == list(parts)


def test_merge_tile_boxes_does_not_merge_within_tile():
    near = ([40.0, 20.0, 70.0, 50.0], 0.8, 0), ([44.0, 20.0, 74.0, 50.0], 0.6, 0)  # overlap 0.76
    assert merged(list(near), list(near)) == list(near)


def test_merge_tile_boxes_joins_best_match_only():
    best, second = ([10.0, 20.0, 96.0, 60.0], 0.9, 0), ([12.0, 20.0, 96.0, 50.0], 0.5, 0)
    other = ([32.0, 21.0, 110.0, 62.0], 0.8, 0)
    assert merged([best, second], [other]) == [([10.0, 20.0, 110.0, 62.0], 0.9, 0), second]


def test_merge_tile_boxes_drops_covered_end():
    part, tip = ([0.0, 0.0, 90.0, 30.0], 0.3, 0), ([32.0, 12.0, 40.0, 18.0], 0.9, 0)
    assert merged([part], [tip]) == [part]


def test_merge_tile_boxes_without_boxes():
    assert merged([], []) == []
