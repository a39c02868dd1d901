import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from tropho.models.grids import Grid, anchors


def maps(height: int, width: int, levels: list[int]) -> list[torch.Tensor]:
    return [torch.zeros(2, 4, -(-height // 2**level), -(-width // 2**level)) for level in levels]


@pytest.mark.parametrize("levels", [[2], [3, 4, 5], [2, 3, 4, 5, 6, 7], [6, 7]])
def test_every_pixel_is_within_half_a_stride_of_a_point(levels):
    grid = Grid.of(maps(96, 160, levels), levels)
    assert len(grid.points) == sum(grid.counts) == len(grid.stride_of)
    start = 0
    for stride, count in zip(grid.strides, grid.counts, strict=True):
        points = grid.points[start : start + count]
        start += count
        corners = torch.tensor([[0.0, 0.0], [159.9, 0.0], [0.0, 95.9], [159.9, 95.9]])
        nearest = (corners[:, None] - points[None]).abs().amax(dim=2).amin(dim=1)
        assert (nearest <= stride / 2).all()


def test_points_follow_flattened_maps_row_by_row():
    grid = Grid.of([torch.zeros(1, 1, 2, 3)], [3])
    assert grid.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_anchors_are_torchvisions_half_a_stride_on():
    levels, scales, ratios = (
        [3, 4],
        (2.0, 4.0),
        (0.25, 1.0, 4.0),
    )  # whole-numbered sides, as torchvision rounds
    features = maps(64, 64, levels)
    sizes = tuple(tuple(scale * 2**level for scale in scales) for level in levels)
    generator = AnchorGenerator(sizes, (ratios,) * 2)
    expected = generator(ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)]), features)[0].view(-1, 6, 4)
    grid = Grid.of(features, levels)
    found = anchors(grid, scales, ratios).view(-1, 6, 4) - grid.stride_of[:, None, None] / 2

    def rows(boxes: torch.Tensor) -> list[list[list[float]]]:
        return [sorted(each) for each in boxes.tolist()]

    assert rows(found) == rows(expected)
