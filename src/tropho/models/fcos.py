"""FCOS (Tian et al., 2020): every position in the middle of a box predicts its class and its four sides."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from tropho.config.model_config import ModelConfig
from tropho.models.assign_points import assign_points, centerness
from tropho.models.decode_detections import decode_detections
from tropho.models.distributed import mean_over_processes
from tropho.models.grid import MIDDLE, Grid
from tropho.models.heads import HeadOutput, Targets, Tower, flatten_levels, output_conv, prior_bias
from tropho.models.mask_ignored import ignored_classes, in_regions, mask_ignored


class FCOS(nn.Module):
    """Matching, loss and decoding of FCOS, whatever layers make its outputs."""

    def __init__(self, model: ModelConfig, classes: int, offset: float = MIDDLE) -> None:
        super().__init__()
        self.model = model
        self.classes = classes
        self.offset = offset

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Features of all levels -> logits (B, N, classes), sides (B, N, 4) in strides, centre-ness (B, N) logits."""
        raise NotImplementedError

    def forward(self, features: list[Tensor], sizes: Tensor, targets: Targets | None) -> HeadOutput:
        """Features of all levels, (B, 2) sizes to clip to, and targets when training."""
        grid = Grid.of(features, self.model.levels, self.offset)
        logits, sides, centre = self.outputs(features)
        if targets is not None:
            return HeadOutput(self._losses(grid, logits, sides, centre, targets), [])
        scores = (logits.sigmoid() * centre.sigmoid()[..., None]).sqrt()
        boxes = decode_sides(sides, grid.points, grid.stride_of)
        return HeadOutput({}, decode_detections(scores, boxes, sizes, self.model))

    def _losses(self, grid: Grid, logits: Tensor, sides: Tensor, centre: Tensor, targets: Targets) -> dict[str, Tensor]:
        row, chosen = assign_points(grid, [each["boxes"] for each in targets], self.model.regression_ranges)
        unknown = in_regions(grid.points, targets)
        unknown.view(-1)[row] = False
        logits = mask_ignored(logits, ignored_classes(targets, self.classes)[:, None] | unknown[..., None])
        boxes = torch.cat([each["boxes"] for each in targets])[chosen]
        labels = torch.cat([each["labels"] for each in targets])[chosen]
        position = row % len(grid.points)
        points, strides = grid.points[position], grid.stride_of[position]
        positives = mean_over_processes(torch.tensor(len(row), device=row.device), least=1)

        wanted = torch.zeros_like(logits).flatten(0, 1)
        wanted[row, labels] = 1.0
        predicted = decode_sides(sides.flatten(0, 1)[row], points, strides)
        centred = functional.binary_cross_entropy_with_logits(
            centre.flatten()[row], centerness(points, boxes, strides), reduction="sum"
        )
        return {
            "classification": sigmoid_focal_loss(logits.flatten(0, 1), wanted, reduction="sum") / positives,
            "box": generalized_box_iou_loss(predicted, boxes, reduction="sum") / positives,
            "centerness": centred / positives,
        }


class FCOSHead(FCOS):
    """Two towers over all levels: class logits from one, sides and centre-ness from the other."""

    def __init__(self, model: ModelConfig, classes: int) -> None:
        super().__init__(model, classes)
        width = model.fpn_channels
        self.class_tower = Tower(width, model.num_head_convs)
        self.box_tower = Tower(width, model.num_head_convs)
        self.class_logits = output_conv(width, classes, prior_bias())
        # Starts at sides of about 1.3 strides; a softplus, unlike ReLU, has a gradient wherever it starts.
        self.sides = output_conv(width, 4, bias=1.0)
        self.centerness = output_conv(width, 1)

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """See FCOS."""
        boxed = [self.box_tower(level) for level in features]
        logits = flatten_levels([self.class_logits(self.class_tower(level)) for level in features], self.classes)
        sides = functional.softplus(flatten_levels([self.sides(level) for level in boxed], 4))
        centre = flatten_levels([self.centerness(level) for level in boxed], 1).squeeze(2)
        return logits, sides, centre


def decode_sides(sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Distances (..., N, 4) to the left, top, right and bottom side in strides -> xyxy boxes in pixels.

    `points` (N, 2) and `strides` (N,) are in pixels.
    """
    distance = sides * strides[:, None]
    return torch.cat([points - distance[..., :2], points + distance[..., 2:]], dim=-1)
