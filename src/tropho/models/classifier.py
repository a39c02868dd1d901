"""Image classification by a ResNet."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tropho.config.model_config import ModelConfig
from tropho.models.backbone import feature_channels, resnet
from tropho.models.distributed import mean_over_processes
from tropho.models.heads import Detections, Targets
from tropho.models.layers import initialise
from tropho.models.mask_ignored import drop_ignored_boxes
from tropho.models.normalize import Normalize


class ResNetClassifier(nn.Module):
    """uint8 images (B, 3, H, W) -> logits (B, classes); `body` is torchvision's ResNet, down to its `fc`."""

    def __init__(self, model: ModelConfig, classes: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.body = resnet(model)
        features = feature_channels(self.body)[-1]
        self.body.fc = nn.Sequential(nn.Dropout(model.dropout), nn.Linear(features, classes))
        if model.init != "kaiming":
            initialise(self.body.fc, model)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.body(self.normalize(images))
        return logits


class NegativeClassifier(nn.Module):
    """A ResNet that says whether there is any object in an image; called as a `Detector` is, but it finds no boxes."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.network = ResNetClassifier(model, classes=1)

    @property
    def body(self) -> nn.Module:
        """The backbone: the layers that may come pretrained on ImageNet."""
        return self.network.body

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor] | Detections:
        """The probability that there is any object in each image of a batch, or the loss of having said so.

        Args:
            images: uint8 (B, 3, H, W).
            targets: training only; as for `Detector`, of which it matters whether there are boxes.

        Returns:
            Training: {"presence": the loss}; see `negative_loss`.
            Evaluation: per image "boxes" (0, 4), "scores" (0,), "labels" (0,) int64, and "presence" ().
        """
        logits: Tensor = self.network(images).float().squeeze(1)
        if self.training:
            if targets is None:
                raise ValueError("A presence classifier in training mode needs targets.")
            return {"presence": negative_loss(logits, drop_ignored_boxes(targets))}
        nothing = {
            "boxes": logits.new_zeros(0, 4),
            "scores": logits.new_zeros(0),
            "labels": torch.zeros(0, dtype=torch.int64, device=logits.device),
        }
        return [{**nothing, "presence": probability} for probability in logits.sigmoid()]


def negative_loss(logits: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
    """Compute the mean binary cross-entropy of (B,) logits against "the image has a box".

    An image without boxes that ignores a class or a region may show something all the same, and is left out.
    """
    present = torch.tensor([len(each["boxes"]) > 0 for each in targets], device=logits.device)
    unsure = [bool(each.get("ignore", present[:0]).any()) or len(each.get("regions", ())) > 0 for each in targets]
    known = present | ~torch.tensor(unsure, device=logits.device)
    losses = functional.binary_cross_entropy_with_logits(logits, present.float(), reduction="none")
    return (losses * known).sum() / mean_over_processes(known.sum(), least=1)
