"""torchvision's ResNets with any norm and activation, with or without shortcuts, and a feature pyramid on them."""

import re

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import ResNet
from torchvision.ops import FrozenBatchNorm2d

from tropho.config.model_config import ModelConfig
from tropho.models.layers import NORMS_2D, activation, init_weights
from tropho.models.weights import load_weights


def resnet(model: ModelConfig) -> ResNet:
    """Build a ResNet whose `fc` is the identity: images (B, 3, H, W) -> pooled features (B, C5's channels).

    Raises:
        ExternalError: with `pretrained`, the ImageNet weights can't be fetched, are damaged or another network's.
    """
    body: ResNet = torchvision.models.get_model(model.backbone, weights=None, norm_layer=NORMS_2D[model.norm])
    if model.pretrained:
        load_weights(body, model.backbone, "ImageNet")
    else:
        _customise(body, model)
    body.fc = nn.Identity()
    return body


def stages(body: ResNet) -> tuple[nn.Sequential, ...]:
    """Return the four stages, whose outputs are C2, C3, C4, C5 (strides 4, 8, 16, 32)."""
    return body.layer1, body.layer2, body.layer3, body.layer4


_STAGE = re.compile(
    r"(?:^|\.)(?:"
    r"body\.(?:(?P<stem>conv1|bn1)|layer(?P<stage>[1-4]))|"  # torchvision's ResNet, here and below its detectors
    r"backbone\.(?:model|backbone)\.(?:(?P<embedder>embed\w+)|encoder\.stages\.(?P<index>[0-3])|\w+)"  # transformers
    r")\."
)


def stage_of(parameter: str) -> int | None:
    """Return the backbone stage of a parameter's name (of a module's, with a point behind it).

    0 is the stem, 4 the last stage, as are all layers of a vision transformer; None is outside a backbone, such as a
    head or a pyramid.
    """
    match = _STAGE.search(parameter)
    if not match:
        return None
    if match["stem"] or match["embedder"]:
        return 0
    if match["stage"]:
        return int(match["stage"])
    return int(match["index"]) + 1 if match["index"] else 4


def feature_channels(body: ResNet) -> list[int]:
    """Return the channels of C2, C3, C4 and C5."""
    return [_last_conv(stage[-1]).out_channels for stage in stages(body)]


class PlainBlock(nn.Sequential):
    """The layers of a residual block without its shortcut."""

    def __init__(self, block: nn.Module) -> None:
        parts = dict(block.named_children())
        layers: list[nn.Module] = []
        for index in (1, 2, 3):
            if f"conv{index}" in parts:
                layers += [parts[f"conv{index}"], parts[f"bn{index}"], parts["relu"]]
        super().__init__(*layers)


def _customise(body: ResNet, model: ModelConfig) -> None:
    """Apply the settings' initial weights, activation and shortcuts to an untrained network."""
    # torchvision's own initialization is Kaiming's for ReLU (fan out).
    if model.init != "kaiming" or model.activation != "relu":
        init_weights(body, model)
    body.relu = activation(model)
    blocks = [block for stage in stages(body) for block in stage]
    for block in blocks:
        block.relu = activation(model)
        if model.residual:
            _scale_branch(block, len(blocks))
    if not model.residual:
        for stage in stages(body):
            for index, block in enumerate(stage):
                stage[index] = PlainBlock(block)


def _scale_branch(block: nn.Module, n_blocks: int) -> None:
    """Scale a block's branch by 1 / sqrt(n_blocks) where no norm statistics bound the sum of all branches."""
    parts = dict(block.named_children())
    norm = parts.get("bn3", parts["bn2"])
    with torch.no_grad():
        if isinstance(norm, FrozenBatchNorm2d):
            norm.weight.fill_(n_blocks**-0.5)
        elif isinstance(norm, nn.Identity):
            _last_conv(block).weight.mul_(n_blocks**-0.5)


def _last_conv(block: nn.Module) -> nn.Conv2d:
    """Return the last convolution of a block's branch; a shortcut's is no direct child."""
    return [layer for layer in block.children() if isinstance(layer, nn.Conv2d)][-1]


TOP = 5  # the ResNet's last level; coarser ones are made by convolutions of stride 2


class FeaturePyramid(nn.Module):
    """Normalised images (B, 3, H, W) -> maps (B, channels, H / 2^n, W / 2^n) of each level n, finest first.

    The top-down path starts at C5 whatever the levels; only these have an output convolution.
    """

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.levels = model.levels
        channels = model.fpn_channels
        self.body = resnet(model)
        in_channels = dict(zip(range(2, TOP + 1), feature_channels(self.body), strict=True))
        self.finest = min(self.levels[0], TOP)
        # Keys are level numbers.
        self.laterals = nn.ModuleDict(
            {str(n): nn.Conv2d(in_channels[n], channels, 1) for n in range(self.finest, TOP + 1)}
        )
        self.outputs = nn.ModuleDict(
            {str(n): nn.Conv2d(channels, channels, 3, padding=1) for n in self.levels if n <= TOP},
        )
        self.extra = nn.ModuleDict(
            {str(n): nn.Conv2d(channels, channels, 3, stride=2, padding=1) for n in range(TOP + 1, self.levels[-1] + 1)}
        )
        for module in (*self.laterals.values(), *self.outputs.values(), *self.extra.values()):
            assert isinstance(module, nn.Conv2d)
            assert module.bias is not None
            nn.init.kaiming_uniform_(module.weight, a=1)
            nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        body = self.body
        features = body.maxpool(body.relu(body.bn1(body.conv1(images))))
        stage_outputs = {}
        for n, stage in enumerate(stages(body), start=2):
            features = stage_outputs[n] = stage(features)
        merged = {TOP: self.laterals[str(TOP)](features)}
        for n in range(TOP - 1, self.finest - 1, -1):
            lateral = self.laterals[str(n)](stage_outputs[n])
            merged[n] = lateral + functional.interpolate(merged[n + 1], size=lateral.shape[2:], mode="nearest")
        pyramid = {n: self.outputs[str(n)](merged[n]) for n in self.levels if n <= TOP}
        coarse = pyramid.get(TOP, merged[TOP])
        for n in range(TOP + 1, self.levels[-1] + 1):
            coarse = pyramid[n] = self.extra[str(n)](functional.relu(coarse))
        return [pyramid[n] for n in self.levels]
