"""torchvision's detectors as it publishes them: with COCO's weights and 91 classes."""

from functools import partial

import torchvision
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
from tropho.errors import ExternalError
from tropho.models.backbone import feature_channels, resnet
from tropho.models.weight_files import fetch_weights, weights_file

COCO_CLASSES = 91
WIDTH = 256
"""Channels of the pyramids."""

BUILDERS = {
    "torchvision_fcos": "fcos_resnet50_fpn",
    "torchvision_retinanet": "retinanet_resnet50_fpn_v2",
    "torchvision_faster_rcnn": "fasterrcnn_resnet50_fpn_v2",
}
"""What torchvision calls the networks, and their weights."""


def torchvision_network(model: ModelConfig) -> FCOS | RetinaNet | FasterRCNN:
    """The network of torchvision's builder, but with `backbone`, `norm` and anchors of the settings.

    Raises:
        ExternalError: with `pretrained`, that COCO's weights are neither in the cache nor can be fetched, or that
            the file is damaged or another network's.
    """
    network = _build(model, resnet(model.model_copy(update={"pretrained": False})))
    if model.pretrained:
        _load_coco(network, BUILDERS[model.name])
    return network


def _build(model: ModelConfig, body: ResNet) -> FCOS | RetinaNet | FasterRCNN:
    generator, anchors = _generator(model), TORCHVISION[model.name].anchors
    match model.name:
        case "torchvision_fcos":
            return FCOS(_pyramid(body, [2, 3, 4], LastLevelP6P7(WIDTH, WIDTH)), COCO_CLASSES)
        case "torchvision_retinanet":
            pyramid = _pyramid(body, [2, 3, 4], LastLevelP6P7(feature_channels(body)[-1], WIDTH))
            head = RetinaNetHead(WIDTH, anchors, COCO_CLASSES, norm_layer=partial(nn.GroupNorm, 32))
            return RetinaNet(pyramid, COCO_CLASSES, anchor_generator=generator, head=head)
        case "torchvision_faster_rcnn":
            return FasterRCNN(
                _pyramid(body, [1, 2, 3, 4], None, nn.BatchNorm2d),
                COCO_CLASSES,
                rpn_anchor_generator=generator,
                rpn_head=RPNHead(WIDTH, anchors, conv_depth=2),
                box_head=FastRCNNConvFCHead((WIDTH, 7, 7), [WIDTH] * 4, [1024], norm_layer=nn.BatchNorm2d),
            )
    raise ValueError(f"'{model.name}' is not a detector of torchvision's")


def _generator(model: ModelConfig) -> AnchorGenerator | None:
    """Anchors by the settings; None for torchvision's own."""
    published = TORCHVISION[model.name]
    if model.scales is None and model.ratios is None:
        return None
    scales, ratios = model.scales or published.scales, model.ratios or published.ratios
    sizes = tuple(tuple(scale * 2**level for scale in scales) for level in model.levels)
    return AnchorGenerator(sizes, (tuple(ratios),) * len(sizes))


def _pyramid(
    body: ResNet, stages: list[int], extra: ExtraFPNBlock | None, norm: type[nn.Module] | None = None
) -> BackboneWithFPN:
    """A pyramid on these stages, every layer of which is trained."""
    return _resnet_fpn_extractor(body, 5, returned_layers=stages, extra_blocks=extra, norm_layer=norm)


def _load_coco(network: nn.Module, builder: str) -> None:
    url: str = torchvision.models.get_model_weights(builder).DEFAULT.url
    # Weights of frozen batch norms lack the counters of batch norms, and need none.
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    weights = fetch_weights(url, f"COCO weights of {builder}")
    try:
        network.load_state_dict({**counters, **weights})  # strict, but for the counters
    except RuntimeError as error:
        file = weights_file(url)
        raise ExternalError(f"The COCO weights in {file} are not those of {builder}; delete the file.") from error
