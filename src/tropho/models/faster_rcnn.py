"""Faster R-CNN (Ren et al., 2015): torchvision's proposal network and box head on Tropho's pyramid."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from tropho.model_settings import ModelSettings
from tropho.models.grids import Grid, anchors
from tropho.models.heads import Detections, HeadOutput, Targets, flatten_levels, top_logits
from tropho.models.ignoring import ignored_classes, silence
from tropho.models.postprocess import clip_boxes, has_area

SCALES = (2.0, 2.0**1.5)
"""Anchor sizes in strides, half an octave apart: 16 and 23 pixels on P3."""

RATIOS = (0.5, 1.0, 2.0)

PROPOSALS = 1000
"""Proposals an image, before and after non-maximum suppression (before: of each level)."""

SAMPLED = 128
"""Proposals an image that the box head learns from; torchvision's 512 suit images of 800 pixels and more."""

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
        shape = (features[0].shape[-2] * stride, features[0].shape[-1] * stride)
        shapes = [shape] * len(sizes)
        proposals, losses, objectness = self._propose(features, shapes, targets)
        named = {str(level): each for level, each in zip(self.levels, features, strict=True)}
        evidence = top_logits(objectness)
        if targets is not None:
            return HeadOutput(losses | self._box_losses(named, proposals, shapes, targets), [], evidence)
        found, _ = self.roi(named, proposals, shapes)
        return HeadOutput({}, _clipped(found, sizes), evidence)

    def _box_losses(
        self, named: dict[str, Tensor], proposals: list[Tensor], shapes: list[tuple[int, int]], targets: Targets
    ) -> dict[str, Tensor]:
        """RoIHeads' own training, but an image's ignored classes have no part in its softmax."""
        roi = self.roi
        # torchvision counts classes from 1; 0 is the ground.
        shifted = [{"boxes": each["boxes"], "labels": each["labels"] + 1} for each in targets]
        proposals, _, labels, wanted = roi.select_training_samples(proposals, shifted)
        logits, offsets = roi.box_predictor(roi.box_head(roi.box_roi_pool(named, proposals, shapes)))
        ignored = functional.pad(ignored_classes(targets, self.classes), (1, 0))
        counts = torch.tensor([len(each) for each in proposals], device=ignored.device)
        loss, box_loss = fastrcnn_loss(
            silence(logits, ignored.repeat_interleave(counts, dim=0)), offsets, labels, wanted
        )
        return {"classification": loss, "box": box_loss}

    def _propose(
        self, features: list[Tensor], shapes: list[tuple[int, int]], targets: Targets | None
    ) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """Proposals (n, 4) of each image, their losses when training, and the anchors' logits (B, N * A)."""
        rpn = self.rpn
        boxes = [self.anchors(features)] * len(shapes)
        maps, deltas = rpn.head(features)
        objectness = flatten_levels(maps, 1)
        offsets = flatten_levels(deltas, 4).flatten(0, 1)
        proposals = rpn.box_coder.decode(offsets.detach(), boxes).view(len(shapes), -1, 4)
        counts = [each[0].numel() for each in maps]
        kept, _ = rpn.filter_proposals(proposals, objectness, shapes, counts)
        if targets is None:
            return kept, {}, objectness.squeeze(2)
        labels, matched = rpn.assign_targets_to_anchors(boxes, targets)
        labels = [_undecided(each, target) for each, target in zip(labels, targets, strict=True)]
        if not any((each >= 0).any() for each in labels):
            nothing = objectness.sum() * 0.0
            return kept, {"objectness": nothing, "proposal": nothing}, objectness.squeeze(2)
        wanted = rpn.box_coder.encode(matched, boxes)
        loss, box_loss = rpn.compute_loss(objectness.flatten(0, 1), offsets, labels, wanted)
        return kept, {"objectness": loss, "proposal": box_loss}, objectness.squeeze(2)


class FasterRCNNHead(FasterRCNN):
    """Tropho's layers: `head_depth` counts the hidden ones for a proposal."""

    def __init__(self, model: ModelSettings, classes: int) -> None:
        width, hidden = model.fpn_width, 4 * model.fpn_width
        scales, ratios = tuple(model.scales or SCALES), tuple(model.ratios or RATIOS)
        rpn = RegionProposalNetwork(
            anchor_generator=nn.Identity(),  # anchors are made in forward, by the levels' true strides
            head=RPNHead(width, len(scales) * len(ratios)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": PROPOSALS, "testing": PROPOSALS},
            post_nms_top_n={"training": PROPOSALS, "testing": PROPOSALS},
            nms_thresh=0.7,
        )
        roi = RoIHeads(
            pool(model.levels),
            FastRCNNConvFCHead((width, POOLED, POOLED), [], [hidden] * model.head_depth),
            FastRCNNPredictor(hidden, classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=SAMPLED,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=model.score_min,
            nms_thresh=model.nms_iou,
            detections_per_img=model.max_detections,
        )
        super().__init__(model.levels, classes, rpn, roi)
        self.scales, self.ratios = scales, ratios

    def anchors(self, features: list[Tensor]) -> Tensor:
        """See FasterRCNN."""
        return anchors(Grid.of(features, self.levels), self.scales, self.ratios)


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


def _clipped(found: Detections, sizes: Tensor) -> Detections:
    result = []
    for each, size in zip(found, sizes, strict=False):
        boxes = clip_boxes(each["boxes"], size)
        kept = has_area(boxes)
        result.append({"boxes": boxes[kept], "scores": each["scores"][kept], "labels": each["labels"][kept] - 1})
    return result
