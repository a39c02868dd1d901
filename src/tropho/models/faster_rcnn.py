"""Faster R-CNN (Ren et al., 2015): torchvision's proposal network and box head, with ignored classes."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from tropho.models.decode_detections import clip_boxes, has_area
from tropho.models.heads import Detections, HeadOutput, Targets, flatten_levels
from tropho.models.mask_ignored import ignored_classes, mask_ignored

POOLED = 7
"""Cells a side that a proposal is pooled to."""


class FasterRCNN(nn.Module):
    """Proposals from every level, then a class and a box for each, whatever the anchors and layers.

    Proposals to learn from are sampled by torch's global random generator, so a seed repeats a run.
    """

    def __init__(self, levels: list[int], classes: int, rpn: RegionProposalNetwork, roi: RoIHeads) -> None:
        super().__init__()
        self.levels = levels
        self.classes = classes
        self.rpn = rpn
        self.roi = roi

    def anchors(self, features: list[Tensor]) -> Tensor:
        """Features of all levels -> (N * A, 4) xyxy."""
        raise NotImplementedError

    def forward(self, features: list[Tensor], sizes: Tensor, targets: Targets | None) -> HeadOutput:
        """Features of all levels, (B, 2) sizes to clip to, and targets when training."""
        stride = 2 ** self.levels[0]
        # The padded size on purpose: torchvision takes one for all; boxes are clipped to `sizes` at the end.
        shape = (features[0].shape[2] * stride, features[0].shape[3] * stride)
        shapes = [shape] * len(sizes)
        proposals, losses = self._propose(features, shapes, targets)
        named = {str(level): each for level, each in zip(self.levels, features, strict=True)}
        if targets is not None:
            return HeadOutput(losses | self._box_losses(named, proposals, shapes, targets), [])
        decoded = self.roi.postprocess_detections(*self._outputs(named, proposals, shapes), proposals, shapes)
        return HeadOutput({}, _clipped(decoded, sizes))

    def _outputs(
        self, named: dict[str, Tensor], proposals: list[Tensor], shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Return logits (n, 1 + classes) and offsets (n, 4 (1 + classes)) of all images' proposals.

        They are float32 whatever the precision: boxes are decoded in the type of their offsets.
        """
        logits, offsets = self.roi.box_predictor(self.roi.box_head(self.roi.box_roi_pool(named, proposals, shapes)))
        return logits.float(), offsets.float()

    def _box_losses(
        self, named: dict[str, Tensor], proposals: list[Tensor], shapes: list[tuple[int, int]], targets: Targets
    ) -> dict[str, Tensor]:
        """RoIHeads' own training, but an image's ignored classes have no part in its softmax."""
        roi = self.roi
        # torchvision counts classes from 1; 0 is the ground.
        shifted = [{"boxes": each["boxes"], "labels": each["labels"] + 1} for each in targets]
        proposals, _, labels, wanted = roi.select_training_samples(proposals, shifted)
        logits, offsets = self._outputs(named, proposals, shapes)
        ignored = functional.pad(ignored_classes(targets, self.classes), (1, 0))
        counts = torch.tensor([len(each) for each in proposals], device=ignored.device)
        loss, box_loss = fastrcnn_loss(
            mask_ignored(logits, ignored.repeat_interleave(counts, dim=0)), offsets, labels, wanted
        )
        return {"classification": loss, "box": box_loss}

    def _propose(
        self, features: list[Tensor], shapes: list[tuple[int, int]], targets: Targets | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the proposals (n, 4) of each image, and their losses when training."""
        rpn = self.rpn
        boxes = [self.anchors(features)] * len(shapes)
        maps, deltas = rpn.head(features)
        objectness = flatten_levels(maps, 1)
        offsets = flatten_levels(deltas, 4).flatten(0, 1)
        proposals = rpn.box_coder.decode(offsets.detach(), boxes).view(len(shapes), -1, 4)
        counts = [each[0].numel() for each in maps]
        kept, _ = rpn.filter_proposals(proposals, objectness, shapes, counts)
        if targets is None:
            return kept, {}
        labels, matched = rpn.assign_targets_to_anchors(boxes, targets)
        labels = [_undecided(each, target) for each, target in zip(labels, targets, strict=True)]
        if not any((each >= 0).any() for each in labels):
            return kept, {"objectness": objectness.sum() * 0.0, "proposal": offsets.sum() * 0.0}
        wanted = rpn.box_coder.encode(matched, boxes)
        loss, box_loss = rpn.compute_loss(objectness.flatten(0, 1), offsets, labels, wanted)
        return kept, {"objectness": loss, "proposal": box_loss}


def _undecided(labels: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Anchors' labels (1 object, 0 ground, -1 neither); where a class is ignored, ground may be an object of it."""
    unsure = "ignore" in target and bool(target["ignore"].any())
    return labels.masked_fill(labels == 0, -1.0) if unsure else labels


def pool(levels: list[int]) -> MultiScaleRoIAlign:
    """RoI align on the level that fits a proposal's size: P4 for 224 pixels, a level finer for each halving.

    Scales are set here because torchvision would guess them from the first batch, wrongly for P6 and P7 of
    small images.
    """
    align = MultiScaleRoIAlign([str(level) for level in levels], POOLED, sampling_ratio=2)
    align.scales = [2.0**-level for level in levels]
    align.map_levels = LevelMapper(levels[0], levels[-1])
    return align


def _clipped(decoded: tuple[list[Tensor], list[Tensor], list[Tensor]], sizes: Tensor) -> Detections:
    """Boxes, scores and labels from 1 of each image -> detections inside its size."""
    result = []
    for boxes, scores, labels, size in zip(*decoded, sizes, strict=True):
        inside = clip_boxes(boxes, size)
        kept = has_area(inside)
        result.append({"boxes": inside[kept], "scores": scores[kept], "labels": labels[kept] - 1})
    return result
