"""An object detector: a feature pyramid and a head that finds boxes."""

import torch
from torch import Tensor, nn

from tropho.config.model_config import TORCHVISION, ModelConfig
from tropho.models.fcos import FCOSHead
from tropho.models.fpn import FeaturePyramid
from tropho.models.heads import Detections, Targets
from tropho.models.mask_ignored import drop_ignored_boxes
from tropho.models.normalize import Normalize
from tropho.models.rt_detr import rt_detr_parts
from tropho.models.torchvision_detectors import torchvision_parts


class Detector(nn.Module):
    """Tropho's FCOS, torchvision's FCOS, RetinaNet or Faster R-CNN, or RT-DETR, on a ResNet's feature pyramid.

    Nothing is resized, so boxes are in pixels of the images as they come. Their height and width should be
    multiples of 32 (pad below and to the right).
    """

    def __init__(self, model: ModelConfig, classes: int) -> None:
        super().__init__()
        if model.fit_levels:
            raise ValueError("fit model.fit_levels to the training boxes before building a detector")
        # RT-DETR's published weights know pixels in 0..1, all others ImageNet's mean and deviation.
        self.normalize = Normalize((0.0,) * 3, (1.0,) * 3) if model.name == "rt_detr" else Normalize()
        self.pyramid, self.head = _parts(model, classes)

    @property
    def body(self) -> nn.Module:
        """The backbone: the layers that may come pretrained on ImageNet."""
        return self.pyramid.get_submodule("body")

    def forward(
        self, images: Tensor, targets: Targets | None = None, sizes: Tensor | None = None
    ) -> dict[str, Tensor] | Detections:
        """Find the objects of a batch, or the losses of having tried.

        Args:
            images: uint8 (B, 3, H, W).
            targets: training only; per image "boxes" (n, 4) float32 xyxy with a positive area, and "labels"
                (n,) int64 from 0; n may be 0. Optional: "ignore" (classes,) bool, true for classes that the image
                may show without a label; "regions" (m, 4) xyxy, ignored regions, which FCOS alone can leave out.
            sizes: evaluation only; (B, 2) height and width of each image without its padding, to clip to.

        Returns:
            Training: the parts of the loss by name, scalars; their sum is minimised.
            Evaluation: per image "boxes" (n, 4) xyxy, "scores" (n,) falling, "labels" (n,) and "presence" (),
            the probability that there is any object: the highest score, or 0.
        """
        if self.training and targets is None:
            raise ValueError("A detector in training mode needs targets.")
        if sizes is None:
            sizes = torch.tensor([images.shape[2:]] * len(images), device=images.device)
        targets = drop_ignored_boxes(targets) if targets is not None else None
        features = self.pyramid(self.normalize(images))
        output = self.head(features, sizes, targets if self.training else None)
        if self.training:
            losses: dict[str, Tensor] = output.losses
            return losses
        for each in output.detections:
            each["presence"] = _highest(each["scores"])
        detections: Detections = output.detections
        return detections


def _parts(model: ModelConfig, classes: int) -> tuple[nn.Module, nn.Module]:
    """Build the pyramid and the head."""
    match model.name:
        case "fcos":
            return FeaturePyramid(model), FCOSHead(model, classes)
        case name if name in TORCHVISION:
            return torchvision_parts(model, classes)
        case "rt_detr":
            return rt_detr_parts(model, classes)
    raise ValueError(f"'{model.name}' is not a detector")


def _highest(scores: Tensor) -> Tensor:
    return scores.max() if len(scores) else scores.new_zeros(())
