"""Types and layers that the detectors' heads share, and the step from dense scores to detections."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from tropho.config.model_config import ModelConfig
from tropho.models.layers import group_norm

Targets = list[dict[str, Tensor]]
"""Per image "boxes" (n, 4) float32 xyxy pixels and "labels" (n,) int64 from 0.

Optional: "ignore" (classes,) bool, classes that are not labelled; "regions" (m, 4) xyxy, ignored regions."""

Detections = list[dict[str, Tensor]]
"""Per image "boxes" (n, 4) xyxy pixels, "scores" (n,) descending, "labels" (n,) int64 from 0."""

Losses = dict[str, Tensor]  # scalars by name: loss_cls, loss_box, ...; their sum is minimised
PRIOR = 0.01  # score of an untrained detector (focal loss, Lin et al., 2017)
PRIOR_BIAS = -math.log((1 - PRIOR) / PRIOR)  # by which a sigmoid starts there
CANDIDATES = 2000  # boxes per image that enter non-maximum suppression
MIN_SIDE = 0.01  # pixels; boxes that are no wider or no higher are dropped
Size = tuple[int, ...]  # height and width of a batch's images, pixels


class Tower(nn.Sequential):
    """`depth` times 3x3 convolution, group norm, ReLU; shared by all levels, hence no batch norm."""

    def __init__(self, channels: int, depth: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(depth):
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            layers += [conv, group_norm(channels), nn.ReLU(inplace=True)]
        super().__init__(*layers)


def output_conv(in_channels: int, out_channels: int, bias: float = 0.0) -> nn.Conv2d:
    """Build a 3x3 convolution whose outputs start near the constant `bias`."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, bias)
    return conv


def flatten_levels(maps: Sequence[Tensor], values: int) -> Tensor:
    """Flatten maps (B, A * values, h, w) of all levels to float32 (B, N * A, values), in the grid's order."""
    rows = [level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, values) for level in maps]  # (B, h * w * A, values)
    return torch.cat(rows, dim=1).float()


def decode_detections(scores: Tensor, boxes: Tensor, size: Size, model: ModelConfig) -> Detections:
    """Select each image's detections by score threshold, clipping to the batch's `size`, class-wise NMS and top k.

    Scores are (B, N, classes) in 0..1, boxes (B, N, 4) xyxy pixels, shared by the classes.
    """
    return [_decode_image(*image, size, model) for image in zip(scores, boxes, strict=True)]


def add_best_score(detections: Detections) -> Detections:
    """Add P(any object) to each image: its highest score (), or 0."""
    for image in detections:
        scores = image["scores"]
        image["presence"] = scores.max() if len(scores) else scores.new_zeros(())
    return detections


def _decode_image(scores: Tensor, boxes: Tensor, size: Size, model: ModelConfig) -> dict[str, Tensor]:
    num_classes = scores.shape[1]
    flat = scores.flatten()  # (N * classes,)
    idx = torch.where(flat >= model.score_threshold)[0]
    best, order = flat[idx].topk(min(CANDIDATES, len(idx)))
    idx = idx[order]
    labels = idx % num_classes
    boxes = clip_boxes_to_image(boxes[idx // num_classes], size)
    keep = (boxes[:, 2:] - boxes[:, :2] > MIN_SIDE).all(dim=1)
    boxes, best, labels = boxes[keep], best[keep], labels[keep]
    keep = batched_nms(boxes, best, labels, model.nms_iou_threshold)[: model.max_detections]
    return {"boxes": boxes[keep], "scores": best[keep], "labels": labels[keep]}
