"""Matching, loss and decoding of RetinaNet (Lin et al., 2017) on torchvision's layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.ops import box_iou, sigmoid_focal_loss

from tropho.config.model_config import ModelConfig
from tropho.models.decode_detections import decode_detections
from tropho.models.distributed import mean_over_processes
from tropho.models.heads import HeadOutput, Targets
from tropho.models.mask_ignored import ignored_classes, mask_ignored


class RetinaNet(nn.Module):
    """Matching, loss and decoding of RetinaNet, whatever its anchors and the layers that make its outputs."""

    def __init__(self, model: ModelConfig, classes: int) -> None:
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
        if targets is not None:
            return HeadOutput(self._losses(boxes, logits, offsets, targets), [])
        decoded = torch.stack([self.coder.decode_single(each, boxes) for each in offsets])
        return HeadOutput({}, decode_detections(logits.sigmoid(), decoded, sizes, self.model))

    def _losses(self, boxes: Tensor, logits: Tensor, offsets: Tensor, targets: Targets) -> dict[str, Tensor]:
        logits = mask_ignored(logits, ignored_classes(targets, self.classes)[:, None])
        matched = torch.stack([self._match(boxes, each["boxes"]) for each in targets])  # (B, N * A)
        wanted = torch.zeros_like(logits)
        sides = []
        image, anchor = torch.where(matched >= 0)
        for index, target in enumerate(targets):
            mine = matched[index] >= 0
            chosen = matched[index][mine]
            wanted[index, mine, target["labels"][chosen]] = 1.0
            sides.append(self.coder.encode_single(target["boxes"][chosen], boxes[mine]))
        positives = mean_over_processes(torch.tensor(len(image), device=image.device), least=1)
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
