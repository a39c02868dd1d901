"""From dense scores to the detections of an image."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from tropho.config.model_config import ModelConfig
from tropho.models.heads import Detections

CANDIDATES = 2000
"""Boxes an image that enter non-maximum suppression."""


def decode_detections(scores: Tensor, boxes: Tensor, sizes: Tensor, model: ModelConfig) -> Detections:
    """The best boxes of each image: confident enough, inside the image, none doubled.

    Args:
        scores: (B, N, classes) in 0..1.
        boxes: (B, N, 4) xyxy pixels, shared by the classes.
        sizes: (B, 2) height and width that boxes are clipped to.
        model: gives score_threshold, nms_iou_threshold and max_detections.
    """
    return [_select(*image, model) for image in zip(scores, boxes, sizes, strict=True)]


def clip_boxes(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes (n, 4) xyxy cut off at an image's (2,) height and width."""
    limit = size.flip(0).repeat(2).to(boxes)
    return torch.minimum(boxes.clamp(min=0), limit)


def has_area(boxes: Tensor) -> Tensor:
    """(n,) bool: wider and higher than a hundredth of a pixel."""
    return (boxes[:, 2:] - boxes[:, :2] > 0.01).all(dim=1)


def _select(scores: Tensor, boxes: Tensor, size: Tensor, model: ModelConfig) -> dict[str, Tensor]:
    classes = scores.shape[1]
    flat = scores.flatten()
    kept = torch.where(flat >= model.score_threshold)[0]
    best, order = flat[kept].topk(min(CANDIDATES, len(kept)))
    kept = kept[order]
    labels = kept % classes
    chosen = clip_boxes(boxes[kept // classes], size)
    real = has_area(chosen)
    chosen, best, labels = chosen[real], best[real], labels[real]
    keep = batched_nms(chosen, best, labels, model.nms_iou_threshold)[: model.max_detections]
    return {"boxes": chosen[keep], "scores": best[keep], "labels": labels[keep]}
