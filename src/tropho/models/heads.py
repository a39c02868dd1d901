"""What the detectors' heads share: types, layers, parts of losses, and the step from dense scores to detections."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from tropho.boxes.box_ops import CANDIDATES, MIN_SIDE
from tropho.config.model_config import ModelConfig
from tropho.models.layers import group_norm

Targets = list[dict[str, Tensor]]
"""Per image "boxes" (n, 4) float32 xyxy pixels and "labels" (n,) int64 from 0.

Optional: "ignore" (classes,) bool, classes that are not labelled; "regions" (m, 4) xyxy, ignored regions."""

Detections = list[dict[str, Tensor]]
"""Per image "boxes" (n, 4) xyxy pixels, "scores" (n,) descending, "labels" (n,) int64 from 0, "presence" ()."""

Losses = dict[str, Tensor]  # scalars by name: loss_cls, loss_box, ...; their sum is minimised
PRIOR = 0.01  # score of an untrained detector (focal loss, Lin et al., 2017)
PRIOR_BIAS = -math.log((1 - PRIOR) / PRIOR)  # by which a sigmoid starts there
IGNORE_LOGIT = -1.0e4  # a logit whose sigmoid and softmax share are 0 in float32; float16 can hold it
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
    num_classes, detections = scores.shape[2], []
    for image_scores, image_boxes in zip(scores.flatten(1), boxes, strict=True):  # (N * classes,), (N, 4)
        idx = torch.where(image_scores >= model.score_threshold)[0]
        best, order = image_scores[idx].topk(min(CANDIDATES, len(idx)))
        idx = idx[order]
        labels = idx % num_classes
        clipped = clip_boxes_to_image(image_boxes[idx // num_classes], size)
        keep = (clipped[:, 2:] - clipped[:, :2] > MIN_SIDE).all(dim=1)
        clipped, best, labels = clipped[keep], best[keep], labels[keep]
        keep = batched_nms(clipped, best, labels, model.nms_iou_threshold)[: model.max_detections]
        detections.append(image_detections(clipped[keep], best[keep], labels[keep]))
    return detections


def image_detections(boxes: Tensor, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Name an image's detections, by descending score, and add P(any object), the highest score or 0."""
    return {"boxes": boxes, "scores": scores, "labels": labels, "presence": scores[:1].sum()}


def ignored_classes(targets: Targets, num_classes: int) -> Tensor:
    """Return (B, classes) bool from the targets' "ignore"; a target without that key ignores none."""
    none = torch.zeros(num_classes, dtype=torch.bool, device=targets[0]["boxes"].device)
    return torch.stack([target.get("ignore", none) for target in targets])


def drop_ignored_boxes(targets: Targets) -> Targets:
    """Return the targets without boxes of the classes that their image ignores."""

    def drop(target: dict[str, Tensor]) -> dict[str, Tensor]:
        keep = ~target["ignore"][target["labels"]]
        return {**target, "boxes": target["boxes"][keep], "labels": target["labels"][keep]}

    return [drop(target) if "ignore" in target else target for target in targets]


def in_regions(points: Tensor, targets: Targets) -> Tensor:
    """Tell which points (N, 2) lie in an ignored region of each image, (B, N) bool."""
    inside = torch.zeros(len(targets), len(points), dtype=torch.bool, device=points.device)
    for row, target in enumerate(targets):
        for region in target.get("regions", points.new_zeros(0, 4)):  # one by one: N is large
            inside[row] |= ((points >= region[:2]) & (points < region[2:])).all(dim=1)
    return inside


def mask_ignored(logits: Tensor, ignored: Tensor) -> Tensor:
    """Replace logits by a constant where `ignored` (bool, broadcast) is true: no loss and no gradient there."""
    return logits.masked_fill(ignored, IGNORE_LOGIT)


class Count(NamedTuple):
    """A number that a loss is divided by, such as that of positive positions."""

    total: Tensor  # () float32, over all processes
    min_total: float
    n_processes: int

    @property
    def mean(self) -> Tensor:
        """Return () float32, the mean over the processes of the total or its lower bound."""
        return self.total.clamp(min=self.min_total) / self.n_processes


_recorded: ContextVar[list[Count] | None] = ContextVar("recorded", default=None)
_is_alone: ContextVar[bool] = ContextVar("is_alone", default=False)


@contextmanager
def recorded_counts() -> Iterator[list[Count]]:
    """Collect the counts of `mean_over_processes`; a batch in parts is divided by their sum."""
    counts: list[Count] = []
    token = _recorded.set(counts)
    try:
        yield counts
    finally:
        _recorded.reset(token)


@contextmanager
def alone() -> Iterator[None]:
    """Let `mean_over_processes` average over this process alone, whatever the others do."""
    token = _is_alone.set(True)
    try:
        yield
    finally:
        _is_alone.reset(token)


def is_alone() -> bool:
    """Tell whether this is inside of `alone`."""
    return _is_alone.get()


def is_distributed() -> bool:
    """Tell whether torch runs this process together with others."""
    return distributed.is_available() and distributed.is_initialized()


def mean_over_processes(value: Tensor, min_total: float = 0.0) -> Tensor:
    """Average a scalar over the processes of a distributed training, to () float32; all must call this, unless `alone`.

    A loss divided by the mean count of positives has gradients whose mean over the processes is that of the batch. The
    sum over the processes counts as at least `min_total`.
    """
    total, n = value.detach().to(torch.float32, copy=True), 1
    if is_distributed() and not is_alone():
        distributed.all_reduce(total)
        n = distributed.get_world_size()
    count = Count(total, min_total, n)
    if (counts := _recorded.get()) is not None:
        counts.append(count)
    return count.mean


def giou_loss(boxes: Tensor, gt_boxes: Tensor, eps: float = 1e-7) -> Tensor:
    """Sum 1 - GIoU (Rezatofighi et al., 2019) of boxes (n, 4) and (n, 4) xyxy.

    torchvision's `generalized_box_iou_loss` gives the same numbers, and waits for the GPU to select pairs that overlap.
    """
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    gt_x1, gt_y1, gt_x2, gt_y2 = gt_boxes.unbind(dim=1)
    left, top = torch.max(x1, gt_x1), torch.max(y1, gt_y1)
    right, bottom = torch.min(x2, gt_x2), torch.min(y2, gt_y2)
    overlap = torch.where((bottom > top) & (right > left), (right - left) * (bottom - top), 0.0)
    union = (x2 - x1) * (y2 - y1) + (gt_x2 - gt_x1) * (gt_y2 - gt_y1) - overlap
    iou = overlap / (union + eps)
    left, top = torch.min(x1, gt_x1), torch.min(y1, gt_y1)
    right, bottom = torch.max(x2, gt_x2), torch.max(y2, gt_y2)
    hull = (right - left) * (bottom - top)
    return (1 - (iou - (hull - union) / (hull + eps))).sum()
