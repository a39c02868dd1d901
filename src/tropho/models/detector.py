"""An object detector: a backbone with a feature pyramid, and a head that finds boxes."""

from torch import Tensor, nn

from tropho.config.model_config import ModelConfig
from tropho.models.backbone import FeaturePyramid
from tropho.models.fcos import FCOS, FCOSHead
from tropho.models.heads import Detections, Losses, Targets, drop_ignored_boxes
from tropho.models.layers import Normalize
from tropho.models.torchvision_detectors import torchvision_parts


class Detector(nn.Module):
    """Tropho's FCOS, or torchvision's FCOS, RetinaNet or Faster R-CNN.

    Images are not resized. Their height and width should be multiples of 32: pad at the right and bottom.
    """

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        if model.fit_levels:
            raise ValueError("fit model.fit_levels to the training boxes before building a detector")
        self.normalize = Normalize()
        self.pyramid: nn.Module
        self.head: nn.Module
        if model.name == "fcos":
            self.pyramid, self.head = FeaturePyramid(model), FCOSHead(model, num_classes)
        else:
            self.pyramid, self.head = torchvision_parts(model, num_classes)

    @property
    def body(self) -> nn.Module:
        """The backbone, which may have ImageNet weights."""
        return self.pyramid.get_submodule("body")

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, N, classes) and boxes (B, N, 4) of all positions; FCOS alone."""
        assert isinstance(self.head, FCOS)
        return self.head.decode(self.pyramid(self.normalize(images)))

    def forward(self, images: Tensor, targets: Targets | None = None) -> Losses | Detections:
        """Compute the losses of a batch, or its detections.

        Args:
            images: uint8 (B, 3, H, W).
            targets: to learn from; boxes must have an area. Only FCOS leaves out "regions".

        Returns:
            With targets: losses by name, scalars; their sum is minimised.
            Without: the detections; P(any object) is the highest score of the image, or 0.
        """
        targets = None if targets is None else drop_ignored_boxes(targets)
        found: Losses | Detections = self.head(self.pyramid(self.normalize(images)), images.shape[2:], targets)
        return found
