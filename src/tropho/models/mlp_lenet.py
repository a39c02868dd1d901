"""A multi-layer perceptron and LeNet-5."""

from torch import Tensor, nn

from tropho.config.model_config import ModelConfig
from tropho.models.layers import NORMS_1D, NORMS_2D, Normalize, activation, init_weights


class MLP(nn.Module):
    """A multi-layer perceptron: uint8 images (B, 3, size, size) -> logits (B, num_classes).

    Each hidden layer is linear, norm, activation, dropout; without any it is logistic regression.
    """

    def __init__(self, model: ModelConfig, num_classes: int, size: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        layers: list[nn.Module] = [nn.Flatten()]
        features = 3 * size * size
        for units in model.hidden_units:
            layers += [nn.Linear(features, units), NORMS_1D[model.norm](units), activation(model)]
            layers.append(nn.Dropout(model.dropout))
            features = units
        self.layers = nn.Sequential(*layers, nn.Linear(features, num_classes))
        init_weights(self, model)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.normalize(images))
        return logits


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., 1998) for colour images of any size: uint8 (B, 3, H, W) -> logits (B, num_classes).

    As published but for three input channels and the settings' activation and norm. An average pool to 5 x 5 before the
    dense layers has no effect on 28 x 28 pixels.
    """

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=2),
            NORMS_2D[model.norm](6),
            activation(model),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            NORMS_2D[model.norm](16),
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
            nn.Linear(84, num_classes),
        )
        init_weights(self, model)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.dense(self.features(self.normalize(images)))
        return logits
