"""What losses share: classes and regions that are not labelled, and averages over processes."""

import torch
from torch import Tensor, distributed

from tropho.models.heads import Targets

IGNORE_LOGIT = -1.0e4
"""A logit whose sigmoid and softmax share are 0 in float32; float16 can hold it."""


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


def mean_over_processes(value: Tensor, min_total: float = 0.0) -> Tensor:
    """Average a scalar over the processes of a distributed training; every process must call this.

    A loss divided by the mean count of positives has gradients whose mean over the processes is that of the batch.

    Args:
        value: (), any type.
        min_total: lower bound of the sum over the processes.

    Returns:
        () float32, detached.
    """
    total, n = value.detach().to(torch.float32, copy=True), 1
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        n = distributed.get_world_size()
    return total.clamp(min=min_total) / n
