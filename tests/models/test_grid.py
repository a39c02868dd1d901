import pytest
import torch

from tropho.models.fcos import Grid


def maps(height: int, width: int, levels: list[int]) -> list[torch.Tensor]:
    return [torch.zeros(2, 4, -(-height // 2**level), -(-width // 2**level)) for level in levels]


@pytest.mark.parametrize("levels", [[2], [3, 4, 5], [2, 3, 4, 5, 6, 7], [6, 7]])
def test_every_pixel_is_within_half_a_stride_of_a_point(levels):
    grid = Grid.of(maps(96, 160, levels), levels)
    counts = [height * width for height, width in grid.shapes]
    assert len(grid.points) == sum(counts) == len(grid.stride_of)
    start = 0
    for stride, count in zip(grid.strides, counts, strict=True):
        points = grid.points[start : start + count]
        start += count
        corners = torch.tensor([[0.0, 0.0], [159.9, 0.0], [0.0, 95.9], [159.9, 95.9]])
        nearest = (corners[:, None] - points[None]).abs().amax(dim=2).amin(dim=1)
        assert (nearest <= stride / 2).all()


def test_points_follow_flattened_maps_row_by_row():
    grid = Grid.of([torch.zeros(1, 1, 2, 3)], [3])
    assert grid.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
