"""A feature pyramid network (Lin et al., 2017) on a ResNet, any consecutive levels of P2 to P7."""

from torch import Tensor, nn
from torch.nn import functional

from tropho.config.model_config import ModelConfig
from tropho.models.backbone import feature_channels, resnet, stages

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
