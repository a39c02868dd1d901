"""Which positions of a pyramid are responsible for which box, in FCOS."""

import torch
from torch import Tensor

from tropho.models.grid import Grid

RADIUS = 1.5
"""Strides about a box's centre within which positions are positive (centre sampling)."""

RANGE = 4.0
"""A level of stride s takes boxes whose farthest side is 4 s to 8 s away; the outer levels take the rest.

The paper's rule, for where no ranges are given.
"""

LEAST_BOX = 1.25
"""Strides. A box thinner than this is matched as if it were this wide, or it might miss every position."""

LEAST_CENTERED = 2.0
"""Strides. Thinner boxes hold one or two positions, which should not suffer for where the grid lies."""


def assign_points(grid: Grid, boxes: list[Tensor], ranges: list[float] | None = None) -> tuple[Tensor, Tensor]:
    """Match positions to boxes; where several claim a position, the smallest has it, the first of equals.

    Only the at most 3 x 3 positions about each box's centre are looked at on each level, so time and memory
    grow with the boxes, not with boxes x positions.

    Args:
        grid: the pyramid's N positions.
        boxes: one (n, 4) xyxy an image.
        ranges: longest side in pixels up to which each level but the last takes a box, so that it is matched on
            one level only; None: by RANGE, from each position.

    Returns:
        row: (M,) int64 rising, image * N + position.
        chosen: (M,) int64, the row of the box in torch.cat(boxes).
    """
    every = torch.cat(boxes)
    counts = torch.tensor([len(each) for each in boxes], device=grid.device)
    image = torch.arange(len(boxes), device=grid.device).repeat_interleave(counts)
    position, valid = _candidates(grid, every, ranges)
    owner = torch.arange(len(every), device=grid.device)[:, None, None, None].expand_as(valid)[valid]
    row = (image[:, None, None, None] * len(grid.points) + position)[valid]
    area = (every[:, 2] - every[:, 0]) * (every[:, 3] - every[:, 1])
    order = area[owner].argsort(stable=True)
    row, second = row[order].sort(stable=True)
    owner = owner[order][second]
    first = torch.ones_like(row, dtype=torch.bool)
    first[1:] = row[1:] != row[:-1]
    return row[first], owner[first]


def centerness(points: Tensor, boxes: Tensor, strides: Tensor) -> Tensor:
    """(M,) 1 at a box's centre, falling to 0 at its sides; points (M, 2), boxes (M, 4), strides (M,)."""
    near, far = _grown(boxes, LEAST_CENTERED * strides[:, None])
    before, after = (points - near).clamp(min=0), (far - points).clamp(min=0)
    ratio = torch.minimum(before, after) / torch.maximum(before, after)
    return ratio.prod(dim=1).sqrt()


def _candidates(grid: Grid, boxes: Tensor, ranges: list[float] | None) -> tuple[Tensor, Tensor]:
    """Positions about the centres of boxes (G, 4), (G, levels, 3, 3), and which of them match, bool alike."""
    levels = len(grid.strides)
    stride = torch.tensor(grid.strides, device=grid.device, dtype=boxes.dtype)[:, None]
    shape = torch.tensor(grid.shapes, device=grid.device)  # (levels, 2) height, width
    counts = shape.prod(dim=1)
    offset = counts.cumsum(0) - counts

    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]  # (G, 1, 2)
    first = torch.floor(centre / stride - grid.offset - RADIUS).long() + 1  # (G, levels, 2)
    window = torch.arange(3, device=grid.device)
    column = (first[..., 0, None] + window)[:, :, None, :].expand(-1, -1, 3, -1)
    line = (first[..., 1, None] + window)[:, :, :, None].expand(-1, -1, -1, 3)
    point = (torch.stack([column, line], dim=-1) + grid.offset) * stride[:, None, None]  # (G, levels, 3, 3, 2) x, y

    near, far = _grown(boxes[:, None], LEAST_BOX * stride)  # (G, levels, 2)
    inside = ((point > near[:, :, None, None]) & (point < far[:, :, None, None])).all(dim=-1)
    central = ((point - centre[:, :, None, None]).abs() < RADIUS * stride[:, None, None]).all(dim=-1)
    on_map = (line >= 0) & (line < shape[:, 0, None, None]) & (column >= 0) & (column < shape[:, 1, None, None])
    level = torch.arange(levels, device=grid.device)[:, None, None]
    if ranges is None:
        sides = torch.maximum(point - boxes[:, None, None, None, :2], boxes[:, None, None, None, 2:] - point)
        lower, upper = RANGE * stride[:, :, None], 2 * RANGE * stride[:, :, None]
        reach = sides.amax(dim=-1)
        in_range = ((reach > lower) | (level == 0)) & ((reach <= upper) | (level == levels - 1))
    else:
        longest = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
        in_range = torch.bucketize(longest, torch.tensor(ranges).to(boxes))[:, None, None, None] == level

    position = offset[:, None, None] + line * shape[:, 1, None, None] + column
    return position, inside & central & on_map & in_range


def _grown(boxes: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Upper left and lower right corners (..., 2) of boxes (..., 4) made at least `least` wide and high."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = torch.maximum(boxes[..., 2:] - boxes[..., :2], least) / 2
    return centre - half, centre + half
