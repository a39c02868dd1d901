"""Is there any object in the image? One probability an image, in the detector's own pass."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tropho.models.heads import EVIDENCE

SHARPNESS = 4.0
"""Of the smooth maximum: 0 is the mean, infinity the maximum."""

HIDDEN = 64


class PresenceHead(nn.Module):
    """Pyramid features and the detector's own highest logits -> the logit of "some object is here" (B,).

    A single parasite of a few pixels decides, so a plain average would drown it. Three views are added up: a
    smooth maximum (log-mean-exp, Pinheiro and Collobert, 2015) over a map of logits on the two finest levels;
    the average of the coarsest level, for what the whole field looks like; and the detector's highest logits,
    which boxes have taught more than image-level labels could. These come without gradient, so that presence
    does not bend the boxes.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(width, HIDDEN, 1), nn.ReLU(inplace=True), nn.Conv2d(HIDDEN, 1, 1))
        self.field = nn.Linear(width, 1)
        self.evidence = nn.Linear(EVIDENCE, 1)
        # Starts as the mean of the detector's highest logits, shifted towards their range.
        for layer in (self.local[-1], self.field):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            assert layer.bias is not None
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.evidence.weight, 1 / EVIDENCE)
        nn.init.constant_(self.evidence.bias, 2.0)

    def forward(self, features: list[Tensor], evidence: Tensor) -> Tensor:
        """Features of all levels, finest first, and (B, EVIDENCE) logits."""
        maps = [self.local(level).float().flatten(1) for level in features[:2]]
        local = smooth_maximum(torch.stack([smooth_maximum(each) for each in maps], dim=1))
        field = self.field(features[-1].mean(dim=(2, 3)))
        return local + (field + self.evidence(evidence)).float().squeeze(1)


def smooth_maximum(values: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """(B, N) -> (B,): log(mean(exp(sharpness * values))) / sharpness, between the mean and the maximum."""
    return (torch.logsumexp(sharpness * values, dim=1) - math.log(values.shape[1])) / sharpness


def presence_loss(logits: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
    """Mean binary cross-entropy of (B,) logits against "the image has a box".

    An image without boxes that ignores a class or a region may show something all the same, and is left out.
    """
    present = torch.tensor([len(each["boxes"]) > 0 for each in targets], device=logits.device)
    unsure = [bool(each.get("ignore", present[:0]).any()) or len(each.get("regions", ())) > 0 for each in targets]
    known = present | ~torch.tensor(unsure, device=logits.device)
    losses = functional.binary_cross_entropy_with_logits(logits, present.float(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)
