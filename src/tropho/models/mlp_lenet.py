"""The small networks that a course starts with."""

from torch import Tensor, nn

from tropho.config.model_config import ModelConfig
from tropho.models.layers import activation, initialise, norm1d, norm2d
from tropho.models.normalize import Normalize


class MLP(nn.Module):
    """A multi-layer perceptron: uint8 images (B, 3, size, size) -> logits (B, classes).

    Each hidden layer is linear, norm, activation, dropout; without any it is logistic regression.
    """

    def __init__(self, model: ModelConfig, classes: int, size: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        layers: list[nn.Module] = [nn.Flatten()]
        features = 3 * size * size
        for units in model.hidden_units:
            layers += [nn.Linear(features, units), norm1d(model)(units), activation(model)]
            layers.append(nn.Dropout(model.dropout))
            features = units
        self.layers = nn.Sequential(*layers, nn.Linear(features, classes))
        initialise(self, model)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.layers(self.normalize(images))
        return logits


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., 1998) for colour images of any size: uint8 (B, 3, H, W) -> logits (B, classes).

    As published but for the input channels, the activation and norm that the settings name, and an average pool to
    5 x 5 before the dense layers (on 28 x 28 pixels it changes nothing).
    """

    def __init__(self, model: ModelConfig, classes: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=2),
            norm2d(model)(6),
            activation(model),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            norm2d(model)(16),
            activation(model),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(5),
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            activation(model),
            nn.Linear(120, 84),
            activation(model),
            nn.Dropout(model.dropout),
            nn.Linear(84, classes),
        )
        initialise(self, model)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.dense(self.features(self.normalize(images)))
        return logits
