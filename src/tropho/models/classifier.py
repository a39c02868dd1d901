"""Image classification by a ResNet."""

from torch import Tensor, nn

from tropho.model_settings import ModelSettings
from tropho.models.backbones import feature_channels, resnet
from tropho.models.layers import initialise
from tropho.models.normalize import Normalize


class ResNetClassifier(nn.Module):
    """uint8 images (B, 3, H, W) -> logits (B, classes); `body` is torchvision's ResNet, down to its `fc`."""

    def __init__(self, model: ModelSettings, classes: int) -> None:
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
