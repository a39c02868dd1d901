"""Networks: MLP, LeNet and ResNet classifiers, and object detectors."""

from torch import nn

from tropho.config.model_config import ModelConfig
from tropho.config.task_config import Kind
from tropho.models.classifier import NegativeClassifier, ResNetClassifier
from tropho.models.detector import Detector
from tropho.models.hf_detr import HFDetector
from tropho.models.mlp_lenet import MLP, LeNet


def build_model(model: ModelConfig, kind: Kind, num_classes: int, size: int) -> nn.Module:
    """Build a network with random weights by torch's global seed, or with published ones if `pretrained`.

    Args:
        model: with `pretrained: false`, the same network for a checkpoint's weights; with `weights`, `pretrained` has
            no effect, since all are replaced.
        kind: classification: uint8 images (B, 3, H, W) -> logits (B, classes); detection: see `Detector.forward`.
        num_classes: at least 1.
        size: longer side of the images, pixels; only the MLP needs it.

    Raises:
        ValueError: levels or anchors are still to be fitted; see `anchors.fit_to_boxes`.
        UsageError: the network needs a package that is not installed, or `checkpoint` names none.
        ExternalError: published weights can't be fetched, are damaged, or are another network's.
    """
    model = model.model_copy(update={"pretrained": False}) if model.weights else model
    match kind, model.name:
        case "classification", "mlp":
            return MLP(model, num_classes, size)
        case "classification", "lenet":
            return LeNet(model, num_classes)
        case "classification", _:
            return ResNetClassifier(model, num_classes)
        case "detection", "negative_classifier":
            return NegativeClassifier(model)
        case "detection", "hf_detr":
            return HFDetector(model, num_classes)
        case _:
            return Detector(model, num_classes)
