"""What an image shows but does not label, by class or by region: nothing is learned there."""

import torch
from torch import Tensor

from tropho.models.heads import Targets

IGNORE_LOGIT = -1.0e4
"""A logit whose sigmoid, and whose share of a softmax, is 0 in float32; representable in float16."""


def ignored_classes(targets: Targets, classes: int) -> Tensor:
    """(B, classes) bool, from the targets' "ignore"; a target without that key ignores none."""
    none = torch.zeros(classes, dtype=torch.bool, device=targets[0]["boxes"].device)
    return torch.stack([target.get("ignore", none) for target in targets])


def drop_ignored_boxes(targets: Targets) -> Targets:
    """The targets without boxes of the classes that their image ignores."""
    return [_heeded(target) if "ignore" in target else target for target in targets]


def _heeded(target: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = ~target["ignore"][target["labels"]]
    return {**target, "boxes": target["boxes"][kept], "labels": target["labels"][kept]}


def in_regions(points: Tensor, targets: Targets) -> Tensor:
    """Whether points (N, 2) lie in ignored regions of each image, (B, N) bool; a target without "regions" has none."""
    inside = torch.zeros(len(targets), len(points), dtype=torch.bool, device=points.device)
    for row, target in enumerate(targets):
        for region in target.get("regions", points.new_zeros(0, 4)):  # one by one: a crowd has many, and N is large
            inside[row] |= ((points >= region[:2]) & (points < region[2:])).all(dim=1)
    return inside


def mask_ignored(logits: Tensor, ignored: Tensor) -> Tensor:
    """Logits with a constant where `ignored` (bool, broadcast) holds: no loss there, and no gradient."""
    return logits.masked_fill(ignored, IGNORE_LOGIT)
