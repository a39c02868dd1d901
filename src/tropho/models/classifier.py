"""Image classification by a ResNet, and the classifier of images without objects."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tropho.config.model_config import ModelConfig
from tropho.models.backbone import feature_channels, resnet
from tropho.models.heads import Detections, Losses, Targets, drop_ignored_boxes, mean_over_processes
from tropho.models.layers import Normalize, init_weights


class ResNetClassifier(nn.Module):
    """uint8 images (B, 3, H, W) -> logits (B, classes); `body` is torchvision's ResNet, down to its `fc`."""

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.body: nn.Module = resnet(model)
        features = feature_channels(self.body)[-1]
        self.body.fc = fc = nn.Sequential(nn.Dropout(model.dropout), nn.Linear(features, num_classes))
        if model.init != "kaiming":
            init_weights(fc, model)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(self.normalize(images))
        return logits


class NegativeClassifier(nn.Module):
    """A ResNet that tells whether an image holds any object; called like a `Detector`, but it finds no boxes."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.network = ResNetClassifier(model, num_classes=1)

    @property
    def body(self) -> nn.Module:
        """The backbone, which may have ImageNet weights."""
        return self.network.body

    def forward(self, images: Tensor, targets: Targets | None = None) -> Losses | Detections:
        """Compute the loss, or the probability that each of the images, uint8 (B, 3, H, W), holds an object.

        Of targets only whether an image has boxes counts.

        Returns:
            With targets: {"loss_cls": ()}.
            Without: per image "presence" () and no boxes: (0, 4) "boxes", (0,) "scores", (0,) int64 "labels".
        """
        logits: Tensor = self.network(images).float().squeeze(1)  # (B,)
        if targets is not None:
            return {"loss_cls": negative_loss(logits, drop_ignored_boxes(targets))}
        empty = {
            "boxes": logits.new_zeros(0, 4),
            "scores": logits.new_zeros(0),
            "labels": torch.zeros(0, dtype=torch.int64, device=logits.device),
        }
        return [{**empty, "presence": probability} for probability in logits.sigmoid()]


def negative_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Compute the mean binary cross-entropy of logits (B,) against "the image has a box".

    Images without boxes that ignore a class or a region may hold an object, and do not count.
    """
    present = torch.tensor([len(target["boxes"]) > 0 for target in targets])
    ignores = [
        bool(target.get("ignore", present[:0]).any()) or len(target.get("regions", ())) > 0 for target in targets
    ]
    known = present | ~torch.tensor(ignores)
    present, known = (each.to(logits.device, non_blocking=True) for each in (present, known))
    losses = functional.binary_cross_entropy_with_logits(logits, present.float(), reduction="none")
    return (losses * known).sum() / mean_over_processes(known.sum(), min_total=1)
