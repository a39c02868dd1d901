"""Networks: the course's MLP and LeNet, a ResNet classifier, and detectors on a ResNet's feature pyramid."""

from torch import nn

from tropho.config.model_config import ModelConfig
from tropho.config.task_config import Kind
from tropho.models.classifier import NegativeClassifier, ResNetClassifier
from tropho.models.detector import Detector
from tropho.models.mlp_lenet import MLP, LeNet


def build_model(model: ModelConfig, kind: Kind, classes: int, size: int) -> nn.Module:
    """A new network: fresh weights by torch's global seed, or published ones where `model.pretrained` says so.

    To load a checkpoint, build with `model.model_copy(update={"pretrained": False})`: the same network, and
    nothing is fetched.

    Args:
        model: the settings.
        kind: classification -> logits (B, classes); detection -> see `Detector.forward` and `NegativeClassifier`.
        classes: how many, at least 1.
        size: pixels of an image's longer side; only networks with a fixed input need it.

    Raises:
        ValueError: anchors are still to be fitted to boxes; see models.fitting.
        UsageError: settings that no network answers to.
        OutsideError: published weights that can't be had.
    """
    match kind, model.name:
        case "classification", "mlp":
            return MLP(model, classes, size)
        case "classification", "lenet":
            return LeNet(model, classes)
        case "classification", _:
            return ResNetClassifier(model, classes)
        case "detection", "negative_classifier":
            return NegativeClassifier(model)
        case _:
            return Detector(model, classes)
