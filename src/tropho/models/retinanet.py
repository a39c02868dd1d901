"""RetinaNet (Lin et al., 2017): nine anchors at every position, focal loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.ops import box_iou, sigmoid_focal_loss

from tropho.model_settings import ModelSettings
from tropho.models.grids import Grid, anchors
from tropho.models.heads import (
    HeadOutput,
    Targets,
    Tower,
    flatten_levels,
    output_conv,
    prior_bias,
    top_logits,
)
from tropho.models.ignoring import ignored_classes, silence
from tropho.models.postprocess import select_detections

SCALES = (2.0, 2.0 ** (4 / 3), 2.0 ** (5 / 3))
"""Anchor sizes in strides, a third of an octave apart: 16 to 25 pixels on P3.

COCO's start at 4 strides, which is too large for parasites of 10 to 30 pixels.
"""

RATIOS = (0.5, 1.0, 2.0)


class RetinaNet(nn.Module):
    """Matching, loss and decoding of RetinaNet, whatever its anchors and the layers that make its outputs."""

    def __init__(self, model: ModelSettings, classes: int) -> None:
        super().__init__()
        self.model = model
        self.classes = classes
        self.coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)

    def anchors(self, features: list[Tensor]) -> Tensor:
        """Features of all levels -> (N * A, 4) xyxy."""
        raise NotImplementedError

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Features of all levels -> logits (B, N * A, classes), offsets (B, N * A, 4)."""
        raise NotImplementedError

    def forward(self, features: list[Tensor], sizes: Tensor, targets: Targets | None) -> HeadOutput:
        """Features of all levels, (B, 2) sizes to clip to, and targets when training."""
        boxes = self.anchors(features)
        logits, offsets = self.outputs(features)
        evidence = top_logits(logits)
        if targets is not None:
            return HeadOutput(self._losses(boxes, logits, offsets, targets), [], evidence)
        decoded = torch.stack([self.coder.decode_single(each, boxes) for each in offsets])
        return HeadOutput({}, select_detections(logits.sigmoid(), decoded, sizes, self.model), evidence)

    def _losses(self, boxes: Tensor, logits: Tensor, offsets: Tensor, targets: Targets) -> dict[str, Tensor]:
        logits = silence(logits, ignored_classes(targets, self.classes)[:, None])
        matched = torch.stack([self._match(boxes, each["boxes"]) for each in targets])  # (B, N * A)
        wanted = torch.zeros_like(logits)
        sides = []
        image, anchor = torch.where(matched >= 0)
        for index, target in enumerate(targets):
            mine = matched[index] >= 0
            chosen = matched[index][mine]
            wanted[index, mine, target["labels"][chosen]] = 1.0
            sides.append(self.coder.encode_single(target["boxes"][chosen], boxes[mine]))
        positives = max(1, len(image))
        # Anchors between the thresholds are neither object nor ground.
        decided = matched != Matcher.BETWEEN_THRESHOLDS
        return {
            "classification": sigmoid_focal_loss(logits[decided], wanted[decided], reduction="sum") / positives,
            "box": functional.l1_loss(offsets[image, anchor], torch.cat(sides), reduction="sum") / positives,
        }

    def _match(self, boxes: Tensor, truth: Tensor) -> Tensor:
        """(N * A,) int64: the row of the true box, or a negative number as Matcher gives it."""
        if len(truth) == 0:
            return torch.full((len(boxes),), Matcher.BELOW_LOW_THRESHOLD, device=boxes.device)
        matched: Tensor = self.matcher(box_iou(truth, boxes))
        return matched


class RetinaNetHead(RetinaNet):
    """Two towers over all levels: class logits from one, box offsets from the other."""

    def __init__(self, model: ModelSettings, classes: int) -> None:
        super().__init__(model, classes)
        width = model.fpn_width
        self.scales, self.ratios = tuple(model.scales or SCALES), tuple(model.ratios or RATIOS)
        each = len(self.scales) * len(self.ratios)
        self.class_tower = Tower(width, model.head_depth)
        self.box_tower = Tower(width, model.head_depth)
        self.class_logits = output_conv(width, each * classes, prior_bias())
        self.offsets = output_conv(width, each * 4)

    def anchors(self, features: list[Tensor]) -> Tensor:
        """See RetinaNet."""
        return anchors(Grid.of(features, self.model.levels), self.scales, self.ratios)

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See RetinaNet."""
        logits = flatten_levels([self.class_logits(self.class_tower(level)) for level in features], self.classes)
        offsets = flatten_levels([self.offsets(self.box_tower(level)) for level in features], 4)
        return logits, offsets
