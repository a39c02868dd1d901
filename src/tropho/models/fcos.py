"""FCOS (Tian et al., 2020): every position in the middle of a box predicts its class and its four sides."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from tropho.config.model_config import ModelConfig
from tropho.models.heads import (
    PRIOR_BIAS,
    Detections,
    Losses,
    Size,
    Targets,
    Tower,
    decode_detections,
    flatten_levels,
    giou_loss,
    ignored_classes,
    in_regions,
    mask_ignored,
    mean_over_processes,
    output_conv,
)

MIDDLE, CORNER = 0.5, 0.0  # offset of a position in its cell, in strides: Tropho's, and torchvision's
RADIUS = 1.5  # strides around a box's centre within which positions are positive (centre sampling)
RANGE = 4.0  # without ranges, a level of stride s takes boxes whose farthest side is 4 s to 8 s away, as in the paper

MIN_ASSIGNED_SIDE = 1.25
"""Strides. A thinner box is assigned as if it were this wide, or it might miss every position."""

MIN_CENTERNESS_SIDE = 2.0
"""Strides. Thinner boxes hold one or two positions, whose centre-ness should not depend on the grid's phase."""


class Grid(NamedTuple):
    """The N positions of all levels, level by level, row by row."""

    strides: tuple[int, ...]  # pixels, one a level
    shapes: tuple[tuple[int, int], ...]  # height and width of each level's feature map
    offset: float  # of a position in its cell
    points: Tensor  # (N, 2) float32 x and y in pixels
    stride_of: Tensor  # (N,) float32 stride of each position's level, pixels

    @classmethod
    def of(
        cls, features: list[Tensor], levels: list[int], offset: float = MIDDLE, device: torch.device | None = None
    ) -> "Grid":
        """Build the grid of feature maps (B, C, h, w), one for each level number, on their device if None is given."""
        device = device or features[0].device
        strides = tuple(2**level for level in levels)
        shapes = tuple((level.shape[2], level.shape[3]) for level in features)
        points, stride_of = [], []
        for stride, (height, width) in zip(strides, shapes, strict=True):
            y = (torch.arange(height, device=device, dtype=torch.float32) + offset) * stride
            x = (torch.arange(width, device=device, dtype=torch.float32) + offset) * stride
            points.append(torch.cartesian_prod(y, x).flip(1).reshape(-1, 2))  # (h * w, 2)
            stride_of.append(torch.full((height * width,), float(stride), device=device))
        return cls(strides, shapes, offset, torch.cat(points), torch.cat(stride_of))


class FCOS(nn.Module):
    """Target assignment, loss and decoding of FCOS; a subclass gives the layers."""

    def __init__(self, model: ModelConfig, num_classes: int, offset: float = MIDDLE) -> None:
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        self.offset = offset

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, N, classes), sides (B, N, 4) in strides and centre-ness logits (B, N) of all levels."""
        raise NotImplementedError

    def forward(self, features: list[Tensor], size: Size, targets: Targets | None) -> Losses | Detections:
        """Return the losses if there are targets, else the detections, clipped to `size`.

        Targets on the CPU are assigned there, so that nothing waits for a GPU's values.
        """
        if targets is None:
            return decode_detections(*self.decode(features), size, self.model)
        logits, sides, centerness_logits = self.outputs(features)
        device, grid = logits.device, Grid.of(features, self.model.levels, self.offset, targets[0]["boxes"].device)
        gt_points, gt_idx = assign_points(grid, [target["boxes"] for target in targets], self.model.regression_ranges)
        logits = self._mask(logits, grid, targets, gt_points)
        position = gt_points % len(grid.points)
        boxes, labels = (torch.cat([target[name] for target in targets])[gt_idx] for name in ("boxes", "labels"))
        chosen = gt_points, labels, boxes, grid.points[position], grid.stride_of[position]
        point_idx, labels, boxes, points, strides = (each.to(device, non_blocking=True) for each in chosen)  # (M, ...)
        n_pos = mean_over_processes(torch.full((), len(point_idx), device=device), min_total=1)

        gt_classes = torch.zeros_like(logits).flatten(0, 1)  # (B * N, classes)
        gt_classes[point_idx, labels] = 1.0
        pred_boxes = decode_sides(sides.flatten(0, 1)[point_idx], points, strides)  # (M, 4)
        loss_centerness = functional.binary_cross_entropy_with_logits(
            centerness_logits.flatten()[point_idx], centerness(points, boxes, strides), reduction="sum"
        )
        return {
            "loss_cls": sigmoid_focal_loss(logits.flatten(0, 1), gt_classes, reduction="sum") / n_pos,
            "loss_box": giou_loss(pred_boxes, boxes) / n_pos,
            "loss_centerness": loss_centerness / n_pos,
        }

    def decode(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return scores (B, N, classes) in 0..1 and boxes (B, N, 4) xyxy in pixels of all positions."""
        grid = Grid.of(features, self.model.levels, self.offset)
        logits, sides, centerness_logits = self.outputs(features)
        scores = (logits.sigmoid() * centerness_logits.sigmoid()[..., None]).sqrt()
        return scores, decode_sides(sides, grid.points, grid.stride_of)

    def _mask(self, logits: Tensor, grid: Grid, targets: Targets, gt_points: Tensor) -> Tensor:
        """Mask ignored classes, and positions in ignored regions that are assigned to no box."""
        ignored = ignored_classes(targets, self.num_classes)[:, None]  # (B, 1, classes)
        if any(len(target.get("regions", ())) for target in targets):
            unknown = in_regions(grid.points, targets)  # (B, N)
            unknown.view(-1)[gt_points] = False
            ignored = ignored | unknown[..., None]
        return mask_ignored(logits, ignored.to(logits.device, non_blocking=True))


class FCOSHead(FCOS):
    """Two towers over all levels: class logits from one, sides and centre-ness from the other."""

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        super().__init__(model, num_classes)
        channels = model.fpn_channels
        self.class_tower = Tower(channels, model.num_head_convs)
        self.box_tower = Tower(channels, model.num_head_convs)
        self.class_logits = output_conv(channels, num_classes, PRIOR_BIAS)
        # Starts at sides of about 1.3 strides; a softplus, unlike ReLU, has a gradient wherever it starts.
        self.sides = output_conv(channels, 4, bias=1.0)
        self.centerness = output_conv(channels, 1)

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        box_features = [self.box_tower(level) for level in features]
        logits = flatten_levels([self.class_logits(self.class_tower(level)) for level in features], self.num_classes)
        sides = functional.softplus(flatten_levels([self.sides(level) for level in box_features], 4))
        centerness_logits = flatten_levels([self.centerness(level) for level in box_features], 1).squeeze(2)  # (B, N)
        return logits, sides, centerness_logits


def decode_sides(sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Decode distances (..., N, 4) left, top, right, bottom in strides (N,) to boxes (..., N, 4) xyxy in pixels."""
    distance = sides * strides[:, None]
    return torch.cat([points - distance[..., :2], points + distance[..., 2:]], dim=-1)


def centerness(points: Tensor, boxes: Tensor, strides: Tensor) -> Tensor:
    """Return (M,) 1 at a box's centre, falling to 0 at its sides; points (M, 2), boxes (M, 4), strides (M,)."""
    low, high = _grow(boxes, MIN_CENTERNESS_SIDE * strides[:, None])
    before, after = (points - low).clamp(min=0), (high - points).clamp(min=0)
    ratio = torch.minimum(before, after) / torch.maximum(before, after)  # (M, 2)
    return ratio.prod(dim=1).sqrt()


def assign_points(grid: Grid, boxes: list[Tensor], ranges: list[float] | None = None) -> tuple[Tensor, Tensor]:
    """Assign positions to boxes; of several boxes a position gets the smallest, of equals the first.

    Only the 3 x 3 positions around each centre are tested on a level: memory grows with boxes, not boxes x N.

    Args:
        grid: the pyramid's N positions.
        boxes: per image (n, 4) xyxy pixels.
        ranges: longest side in pixels up to which each level but the last takes a box; None = by RANGE.

    Returns:
        point_idx: (M,) int64 ascending, image * N + position.
        gt_idx: (M,) int64, row of torch.cat(boxes).
    """
    gt, device = torch.cat(boxes), grid.points.device  # (G, 4)
    counts = torch.tensor([len(image_boxes) for image_boxes in boxes], device=device)
    image = torch.arange(len(boxes), device=device).repeat_interleave(counts)  # (G,)
    position, valid = _candidates(grid, gt, ranges)
    gt_idx = torch.arange(len(gt), device=device)[:, None, None, None].expand_as(valid)[valid]
    point_idx = (image[:, None, None, None] * len(grid.points) + position)[valid]
    area = (gt[:, 2] - gt[:, 0]) * (gt[:, 3] - gt[:, 1])
    by_area = area[gt_idx].argsort(stable=True)
    point_idx, by_point = point_idx[by_area].sort(stable=True)
    gt_idx = gt_idx[by_area][by_point]
    is_first = torch.ones_like(point_idx, dtype=torch.bool)
    is_first[1:] = point_idx[1:] != point_idx[:-1]
    return point_idx[is_first], gt_idx[is_first]


def _candidates(grid: Grid, boxes: Tensor, ranges: list[float] | None) -> tuple[Tensor, Tensor]:
    """Return positions around the centres of boxes (G, 4), (G, levels, 3, 3), and which are valid, bool alike."""
    n_levels, device = len(grid.strides), grid.points.device
    stride = torch.tensor(grid.strides, device=device, dtype=boxes.dtype)[:, None]
    shape = torch.tensor(grid.shapes, device=device)  # (levels, 2) height, width
    counts = shape.prod(dim=1)
    first_of_level = counts.cumsum(0) - counts

    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]  # (G, 1, 2)
    first = torch.floor(centre / stride - grid.offset - RADIUS).long() + 1  # (G, levels, 2)
    window = torch.arange(3, device=device)
    column = (first[..., 0, None] + window)[:, :, None, :].expand(-1, -1, 3, -1)  # (G, levels, 3, 3)
    row = (first[..., 1, None] + window)[:, :, :, None].expand(-1, -1, -1, 3)
    point = (torch.stack([column, row], dim=-1) + grid.offset) * stride[:, None, None]  # (G, levels, 3, 3, 2) x, y

    low, high = _grow(boxes[:, None], MIN_ASSIGNED_SIDE * stride)  # (G, levels, 2)
    inside = ((point > low[:, :, None, None]) & (point < high[:, :, None, None])).all(dim=-1)
    central = ((point - centre[:, :, None, None]).abs() < RADIUS * stride[:, None, None]).all(dim=-1)
    on_map = (row >= 0) & (row < shape[:, 0, None, None]) & (column >= 0) & (column < shape[:, 1, None, None])
    level = torch.arange(n_levels, device=device)[:, None, None]
    if ranges is None:
        sides = torch.maximum(point - boxes[:, None, None, None, :2], boxes[:, None, None, None, 2:] - point)
        lower, upper = RANGE * stride[:, :, None], 2 * RANGE * stride[:, :, None]
        farthest = sides.amax(dim=-1)
        in_range = ((farthest > lower) | (level == 0)) & ((farthest <= upper) | (level == n_levels - 1))
    else:
        longest = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
        in_range = torch.bucketize(longest, torch.tensor(ranges).to(boxes))[:, None, None, None] == level

    position = first_of_level[:, None, None] + row * shape[:, 1, None, None] + column
    return position, inside & central & on_map & in_range


def _grow(boxes: Tensor, min_side: Tensor) -> tuple[Tensor, Tensor]:
    """Return the corners (..., 2), (..., 2) of boxes (..., 4) widened to at least `min_side` on both axes."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = torch.maximum(boxes[..., 2:] - boxes[..., :2], min_side) / 2
    return centre - half, centre + half
