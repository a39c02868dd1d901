"""torchvision's detectors as it publishes them, with 91 classes and COCO's weights."""

from functools import partial

from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.resnet import ResNet
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelP6P7

from tropho.config.model_config import TORCHVISION, ModelConfig
from tropho.models.backbone import feature_channels, resnet
from tropho.models.weights import load_weights

COCO_CLASSES = 91
CHANNELS = 256  # of the pyramids

BUILDERS = {
    "torchvision_fcos": "fcos_resnet50_fpn",
    "torchvision_retinanet": "retinanet_resnet50_fpn_v2",
    "torchvision_faster_rcnn": "fasterrcnn_resnet50_fpn_v2",
}
"""torchvision's names of the networks and their weights."""


def torchvision_network(model: ModelConfig) -> FCOS | RetinaNet | FasterRCNN:
    """Build torchvision's network with the settings' backbone, norm and anchors.

    Raises:
        ExternalError: with `pretrained`, the weights can't be fetched, are damaged, or are another network's.
    """
    network = _build(model, resnet(model.model_copy(update={"pretrained": False})))
    if model.pretrained:
        load_weights(network, BUILDERS[model.name], "COCO")
    return network


def _build(model: ModelConfig, body: ResNet) -> FCOS | RetinaNet | FasterRCNN:
    generator, num_anchors = _anchor_generator(model), TORCHVISION[model.name].anchors
    match model.name:
        case "torchvision_fcos":
            return FCOS(_pyramid(body, [2, 3, 4], LastLevelP6P7(CHANNELS, CHANNELS)), COCO_CLASSES)
        case "torchvision_retinanet":
            pyramid = _pyramid(body, [2, 3, 4], LastLevelP6P7(feature_channels(body)[-1], CHANNELS))
            head = RetinaNetHead(CHANNELS, num_anchors, COCO_CLASSES, norm_layer=partial(nn.GroupNorm, 32))
            return RetinaNet(pyramid, COCO_CLASSES, anchor_generator=generator, head=head)
        case _:
            return FasterRCNN(
                _pyramid(body, [1, 2, 3, 4], None, nn.BatchNorm2d),
                COCO_CLASSES,
                rpn_anchor_generator=generator,
                rpn_head=RPNHead(CHANNELS, num_anchors, conv_depth=2),
                box_head=FastRCNNConvFCHead((CHANNELS, 7, 7), [CHANNELS] * 4, [1024], norm_layer=nn.BatchNorm2d),
            )


def _anchor_generator(model: ModelConfig) -> AnchorGenerator | None:
    """Build the settings' anchors; None means torchvision's own."""
    if model.scales is None and model.ratios is None:
        return None
    published = TORCHVISION[model.name]
    scales, ratios = model.scales or published.scales, model.ratios or published.ratios
    sizes = tuple(tuple(scale * 2**level for scale in scales) for level in model.levels)
    return AnchorGenerator(sizes, (tuple(ratios),) * len(sizes))


def _pyramid(
    body: ResNet, stages: list[int], extra: ExtraFPNBlock | None, norm: type[nn.Module] | None = None
) -> BackboneWithFPN:
    """Build a pyramid on these stages; every layer is trained."""
    return _resnet_fpn_extractor(body, 5, returned_layers=stages, extra_blocks=extra, norm_layer=norm)
