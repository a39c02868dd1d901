"""torchvision's FCOS, RetinaNet and Faster R-CNN with ignored classes and heads for any number of classes."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import detection
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSHead
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetClassificationHead, RetinaNetHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.resnet import ResNet
from torchvision.ops import MultiScaleRoIAlign, box_iou, sigmoid_focal_loss
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelP6P7
from torchvision.ops.poolers import LevelMapper

from tropho.config.model_config import TORCHVISION, ModelConfig
from tropho.models.backbone import feature_channels, resnet
from tropho.models.fcos import CORNER, FCOS
from tropho.models.heads import (
    PRIOR_BIAS,
    Detections,
    Losses,
    Size,
    Targets,
    decode_detections,
    flatten_levels,
    ignored_classes,
    image_detections,
    mask_ignored,
    mean_over_processes,
    output_conv,
)
from tropho.models.weights import load_weights

POOL_SIZE = 7  # cells per side that a proposal is pooled to
COCO_CLASSES = 91
CHANNELS = 256  # of the pyramids

BUILDERS = {
    "torchvision_fcos": "fcos_resnet50_fpn",
    "torchvision_retinanet": "retinanet_resnet50_fpn_v2",
    "torchvision_faster_rcnn": "fasterrcnn_resnet50_fpn_v2",
}
"""torchvision's names of the networks and their weights."""


class TorchvisionPyramid(nn.Module):
    """torchvision's backbone and pyramid: images (B, 3, H, W) -> maps (B, 256, h, w), finest first."""

    def __init__(self, backbone: BackboneWithFPN) -> None:
        super().__init__()
        self.body = backbone.body
        self.fpn = backbone.fpn

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.fpn(self.body(images)).values())


class TorchvisionFCOS(FCOS):
    """FCOS with torchvision's head, whose positions are at CORNER."""

    def __init__(self, model: ModelConfig, num_classes: int, head: FCOSHead) -> None:
        super().__init__(model, num_classes, CORNER)
        _replace_class_layer(head.classification_head, num_classes, 1)
        self.layers = head

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        out = self.layers(features)
        return out["cls_logits"].float(), out["bbox_regression"].float(), out["bbox_ctrness"].float().squeeze(2)


class TorchvisionRetinaNet(nn.Module):
    """RetinaNet (Lin et al., 2017) with torchvision's head and anchors."""

    def __init__(self, model: ModelConfig, num_classes: int, head: RetinaNetHead, generator: AnchorGenerator) -> None:
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        self.coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
        _replace_class_layer(head.classification_head, num_classes, head.classification_head.num_anchors)
        self.layers = head
        self.generator = generator

    def anchors(self, features: list[Tensor]) -> Tensor:
        """Return the anchors (N * A, 4) xyxy pixels of all levels."""
        return _anchors(self.generator, features, self.model.levels)

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (B, N * A, classes) and offsets (B, N * A, 4) of all levels."""
        out = self.layers(features)
        return out["cls_logits"].float(), out["bbox_regression"].float()

    def forward(self, features: list[Tensor], size: Size, targets: Targets | None) -> Losses | Detections:
        """Return the losses if there are targets, else the detections, clipped to `size`."""
        anchors = self.anchors(features)
        logits, offsets = self.outputs(features)
        if targets is not None:
            return self._losses(anchors, logits, offsets, targets)
        boxes = torch.stack([self.coder.decode_single(image_offsets, anchors) for image_offsets in offsets])
        return decode_detections(logits.sigmoid(), boxes, size, self.model)

    def _losses(self, anchors: Tensor, logits: Tensor, offsets: Tensor, targets: Targets) -> Losses:
        logits = mask_ignored(logits, ignored_classes(targets, self.num_classes)[:, None])
        matched = torch.stack([self._match(anchors, target["boxes"]) for target in targets])  # (B, N * A)
        gt_classes = torch.zeros_like(logits)
        gt_offsets = []
        for row, target in enumerate(targets):
            is_pos = matched[row] >= 0
            gt_idx = matched[row][is_pos]
            gt_classes[row, is_pos, target["labels"][gt_idx]] = 1.0
            gt_offsets.append(self.coder.encode_single(target["boxes"][gt_idx], anchors[is_pos]))
        n_pos = mean_over_processes((matched >= 0).sum(), min_total=1)
        pred_offsets = offsets[torch.where(matched >= 0)]  # (n_pos, 4)
        # Anchors between the thresholds are neither object nor background.
        counts = matched != Matcher.BETWEEN_THRESHOLDS
        return {
            "loss_cls": sigmoid_focal_loss(logits[counts], gt_classes[counts], reduction="sum") / n_pos,
            "loss_box": functional.l1_loss(pred_offsets, torch.cat(gt_offsets), reduction="sum") / n_pos,
        }

    def _match(self, anchors: Tensor, gt_boxes: Tensor) -> Tensor:
        """Return (N * A,) int64, the row of the ground-truth box, or a negative number of Matcher's."""
        if len(gt_boxes) == 0:
            return torch.full((len(anchors),), Matcher.BELOW_LOW_THRESHOLD, device=anchors.device)
        rows: Tensor = self.matcher(box_iou(gt_boxes, anchors))
        return rows


class TorchvisionFasterRCNN(nn.Module):
    """Faster R-CNN (Ren et al., 2015) with torchvision's proposal network and box head.

    Proposals to learn from are sampled by torch's global random generator.
    """

    def __init__(self, model: ModelConfig, num_classes: int, rpn: RegionProposalNetwork, roi: RoIHeads) -> None:
        super().__init__()
        roi.box_roi_pool = roi_align(model.levels[:-1])
        roi.box_predictor = FastRCNNPredictor(roi.box_predictor.cls_score.in_features, num_classes + 1)
        roi.score_thresh = model.score_threshold
        roi.nms_thresh = model.nms_iou_threshold
        roi.detections_per_img = model.max_detections
        self.levels = model.levels
        self.num_classes = num_classes
        self.rpn = rpn
        self.roi = roi

    def anchors(self, features: list[Tensor]) -> Tensor:
        """Return the anchors (N * A, 4) xyxy pixels of all levels."""
        return _anchors(self.rpn.anchor_generator, features, self.levels)

    def forward(self, features: list[Tensor], size: Size, targets: Targets | None) -> Losses | Detections:
        """Return the losses if there are targets, else the detections, clipped to `size`."""
        shapes = [size] * len(features[0])
        proposals, losses = self._propose(features, shapes, targets)
        maps = {str(level): level_map for level, level_map in zip(self.levels, features, strict=True)}
        if targets is not None:
            return losses | self._box_losses(maps, proposals, shapes, targets)
        decoded = self.roi.postprocess_detections(*self._outputs(maps, proposals, shapes), proposals, shapes)
        columns = zip(*decoded, strict=True)
        return [image_detections(boxes, scores, labels - 1) for boxes, scores, labels in columns]

    def _outputs(self, maps: dict[str, Tensor], proposals: list[Tensor], shapes: list[Size]) -> tuple[Tensor, Tensor]:
        """Return logits (n, 1 + classes) and offsets (n, 4 (1 + classes)) of all proposals, float32."""
        logits, offsets = self.roi.box_predictor(self.roi.box_head(self.roi.box_roi_pool(maps, proposals, shapes)))
        return logits.float(), offsets.float()

    def _box_losses(
        self, maps: dict[str, Tensor], proposals: list[Tensor], shapes: list[Size], targets: Targets
    ) -> Losses:
        """Compute RoIHeads' losses without an image's ignored classes in its softmax."""
        # torchvision counts classes from 1; 0 is the background.
        shifted = [{"boxes": target["boxes"], "labels": target["labels"] + 1} for target in targets]
        proposals, _, labels, gt_offsets = self.roi.select_training_samples(proposals, shifted)
        logits, offsets = self._outputs(maps, proposals, shapes)
        ignored = functional.pad(ignored_classes(targets, self.num_classes), (1, 0))  # (B, 1 + classes)
        counts = torch.tensor([len(image_proposals) for image_proposals in proposals], device=ignored.device)
        logits = mask_ignored(logits, ignored.repeat_interleave(counts, dim=0))
        loss_cls, loss_box = fastrcnn_loss(logits, offsets, labels, gt_offsets)
        return {"loss_cls": loss_cls, "loss_box": loss_box}

    def _propose(
        self, features: list[Tensor], shapes: list[Size], targets: Targets | None
    ) -> tuple[list[Tensor], Losses]:
        """Return the proposals (n, 4) of each image, and their losses if there are targets."""
        rpn = self.rpn
        anchors = [self.anchors(features)] * len(shapes)
        maps, deltas = rpn.head(features)
        objectness = flatten_levels(maps, 1)  # (B, N * A, 1)
        offsets = flatten_levels(deltas, 4).flatten(0, 1)  # (B * N * A, 4)
        boxes = rpn.box_coder.decode(offsets.detach(), anchors).view(len(shapes), -1, 4)
        counts = [level[0].numel() for level in maps]
        proposals, _ = rpn.filter_proposals(boxes, objectness, shapes, counts)
        if targets is None:
            return proposals, {}
        labels, matched = rpn.assign_targets_to_anchors(anchors, targets)
        labels = [_drop_background(image, target) for image, target in zip(labels, targets, strict=True)]
        if any((image >= 0).any() for image in labels):
            gt_offsets = rpn.box_coder.encode(matched, anchors)
            loss, loss_box = rpn.compute_loss(objectness.flatten(0, 1), offsets, labels, gt_offsets)
        else:
            loss, loss_box = objectness.sum() * 0.0, offsets.sum() * 0.0
        return proposals, {"loss_objectness": loss, "loss_rpn_box": loss_box}


def torchvision_parts(model: ModelConfig, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """Build the pyramid and the head of one of torchvision's detectors; raises as `torchvision_network` does."""
    network = torchvision_network(model)
    pyramid = TorchvisionPyramid(network.backbone)
    if model.name == "torchvision_fcos":
        return pyramid, TorchvisionFCOS(model, num_classes, network.head)
    if model.name == "torchvision_retinanet":
        return pyramid, TorchvisionRetinaNet(model, num_classes, network.head, network.anchor_generator)
    return pyramid, TorchvisionFasterRCNN(model, num_classes, network.rpn, network.roi_heads)


def roi_align(levels: list[int]) -> MultiScaleRoIAlign:
    """Build RoI align on the level that fits a proposal: P4 for 224 pixels, one level finer for each halving.

    Scales are set here; torchvision would guess them from the first batch, wrongly for P6 and P7 of small images.
    """
    align = MultiScaleRoIAlign([str(level) for level in levels], POOL_SIZE, sampling_ratio=2)
    align.scales = [2.0**-level for level in levels]
    align.map_levels = LevelMapper(levels[0], levels[-1])
    return align


def _drop_background(labels: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Set background anchors (0) to undecided (-1) in an image that ignores a class."""
    ignores = "ignore" in target and bool(target["ignore"].any())
    return labels.masked_fill(labels == 0, -1.0) if ignores else labels


def _replace_class_layer(
    head: FCOSClassificationHead | RetinaNetClassificationHead, num_classes: int, num_anchors: int
) -> None:
    head.cls_logits = output_conv(CHANNELS, num_anchors * num_classes, PRIOR_BIAS)
    head.num_classes = num_classes


def _anchors(generator: AnchorGenerator, features: list[Tensor], levels: list[int]) -> Tensor:
    """Return (N * A, 4) xyxy; strides are the levels', where torchvision would guess them from the maps' shapes."""
    device = features[0].device
    generator.set_cell_anchors(torch.float32, device)
    strides = [[torch.tensor(2**level, device=device)] * 2 for level in levels]
    return torch.cat(generator.grid_anchors([list(level.shape[2:]) for level in features], strides))


def torchvision_network(model: ModelConfig) -> detection.FCOS | RetinaNet | FasterRCNN:
    """Build torchvision's network with the settings' backbone, norm and anchors.

    Raises:
        ExternalError: with `pretrained`, the weights can't be fetched, are damaged, or are another network's.
    """
    network = _build(model, resnet(model.model_copy(update={"pretrained": False})))
    if model.pretrained:
        load_weights(network, BUILDERS[model.name], "COCO")
    return network


def _build(model: ModelConfig, body: ResNet) -> detection.FCOS | RetinaNet | FasterRCNN:
    generator, num_anchors = _anchor_generator(model), TORCHVISION[model.name].anchors
    match model.name:
        case "torchvision_fcos":
            return detection.FCOS(_pyramid(body, [2, 3, 4], LastLevelP6P7(CHANNELS, CHANNELS)), COCO_CLASSES)
        case "torchvision_retinanet":
            pyramid = _pyramid(body, [2, 3, 4], LastLevelP6P7(feature_channels(body)[-1], CHANNELS))
            head = RetinaNetHead(CHANNELS, num_anchors, COCO_CLASSES, norm_layer=partial(nn.GroupNorm, 32))
            return RetinaNet(pyramid, COCO_CLASSES, anchor_generator=generator, head=head)
        case _:
            return FasterRCNN(
                _pyramid(body, [1, 2, 3, 4], None, nn.BatchNorm2d),
                COCO_CLASSES,
                rpn_anchor_generator=generator,
                rpn_head=RPNHead(CHANNELS, num_anchors, conv_depth=2),
                box_head=FastRCNNConvFCHead((CHANNELS, 7, 7), [CHANNELS] * 4, [1024], norm_layer=nn.BatchNorm2d),
            )


def _anchor_generator(model: ModelConfig) -> AnchorGenerator | None:
    """Build the settings' anchors; None means torchvision's own."""
    if model.scales is None and model.ratios is None:
        return None
    published = TORCHVISION[model.name]
    scales, ratios = model.scales or published.scales, model.ratios or published.ratios
    sizes = tuple(tuple(scale * 2**level for scale in scales) for level in model.levels)
    return AnchorGenerator(sizes, (tuple(ratios),) * len(sizes))


def _pyramid(
    body: ResNet, stages: list[int], extra: ExtraFPNBlock | None, norm: type[nn.Module] | None = None
) -> BackboneWithFPN:
    """Build a pyramid on these stages; every layer is trained."""
    return _resnet_fpn_extractor(body, 5, returned_layers=stages, extra_blocks=extra, norm_layer=norm)
