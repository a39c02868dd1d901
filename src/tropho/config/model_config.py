"""The section `model` of params.yaml, and what published weights fix of it."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import Field

from tropho.config.types import Positive, Section, Share


class Published(NamedTuple):
    """Properties of a torchvision detector that its published weights fix."""

    levels: list[int]
    scales: list[float]  # anchor sizes in strides
    ratios: list[float]  # anchor heights over widths

    @property
    def anchors(self) -> int:
        """Return the number of anchors at a position."""
        return len(self.scales) * len(self.ratios)


TORCHVISION = {
    "torchvision_fcos": Published([3, 4, 5, 6, 7], [], []),
    "torchvision_retinanet": Published([3, 4, 5, 6, 7], [4.0, 5.0, 6.25], [0.5, 1.0, 2.0]),
    "torchvision_faster_rcnn": Published([2, 3, 4, 5, 6], [8.0], [0.5, 1.0, 2.0]),
}

STRIDE = 32  # pixels; input sides of detectors are multiples of this, so that every level up to P5 divides them evenly
HF_DETR = "hf_detr"  # a detector of the library transformers, whose network `checkpoint` names

Backbone = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]
"""torchvision's ResNet family."""
BACKBONES: tuple[str, ...] = get_args(Backbone)

CLASSIFIERS = ("mlp", "lenet", "resnet")

NEGATIVE_CLASSIFIER = "negative_classifier"  # a detection model without boxes: it classifies whether there are any

IGNORES_REGIONS = ("fcos", "torchvision_fcos", HF_DETR, NEGATIVE_CLASSIFIER)
"""Detection models whose loss leaves out ignored regions."""


class Checkpoint(Section):
    """What a checkpoint of transformers held when a training began; config.yaml has it in place of the name."""

    name: str  # as it was set: a folder, owner/name or owner/name@revision
    revision: str  # commit on the Hub, or a hash of the folder's files
    network: dict[str, Any]  # its config.json, with the task's classes
    mean: list[float]  # of the pixels in 0..1, by channel
    std: list[float]


class ModelConfig(Section):
    """The network."""

    name: Literal[
        "mlp",
        "lenet",
        "resnet",
        "fcos",
        "torchvision_fcos",
        "torchvision_retinanet",
        "torchvision_faster_rcnn",
        "hf_detr",
        "negative_classifier",
    ]
    checkpoint: str | Checkpoint | None
    backbone: Backbone
    pretrained: bool
    weights: str | None
    dropout: Annotated[float, Field(ge=0, lt=1)]
    fpn_channels: Annotated[int, Field(ge=8, le=2048)]
    fpn_levels: list[Annotated[int, Field(ge=2, le=7)]] | None
    fit_levels: bool
    regression_ranges: list[Positive] | None
    scales: list[Positive] | None
    ratios: list[Positive] | None
    num_head_convs: Annotated[int, Field(ge=1, le=32)]
    norm: Literal["batch", "layer", "group", "frozen", "none"]
    hidden_units: Annotated[list[Annotated[int, Field(ge=1, le=16_384)]], Field(max_length=64)]
    activation: Literal["sigmoid", "tanh", "relu", "leaky_relu", "selu"]
    residual: bool
    init: Literal["kaiming", "xavier", "naive"]
    score_threshold: Share
    nms_iou_threshold: Share
    max_detections: Annotated[int, Field(ge=1, le=100_000)]

    @property
    def has_backbone(self) -> bool:
        """Return whether the network contains a ResNet."""
        return self.name not in ("mlp", "lenet")

    @property
    def batch_norm_side(self) -> int | None:
        """Return the image side in pixels up to which the last batch norm has one position; None if it never has."""
        has_its_own = self.name == "torchvision_faster_rcnn"
        if (self.norm != "batch" and not has_its_own) or self.name == "lenet":
            return None
        if self.name == "mlp":
            return sys.maxsize if self.hidden_units else None
        return STRIDE

    @property
    def batch_norm_remedy(self) -> str:
        """Say what to do if batch norm has one value to average."""
        others = {"mlp": "layer or none", "torchvision_faster_rcnn": "", HF_DETR: "frozen"}.get(
            self.name, "layer, group, frozen or none"
        )
        return f"set train.batch_size to 2 or more{f', or model.norm to {others}' if others else ''}"

    @property
    def levels(self) -> list[int]:
        """Return the levels of the pyramid; ValueError if they are not fitted yet."""
        if self.name in TORCHVISION:
            return TORCHVISION[self.name].levels
        if self.fpn_levels is None:
            raise ValueError("model.fpn_levels are not fitted yet")
        return self.fpn_levels

    def faults(self) -> Iterator[str]:
        yield from self._level_faults()
        yield from self._anchor_faults()
        yield from self._norm_faults()
        yield from self._pretrained_faults()

    def _level_faults(self) -> Iterator[str]:
        levels = self.fpn_levels
        if levels is None:
            if not self.fit_levels:
                yield "fpn_levels are null, which leaves them to the training boxes; set fit_levels to true"
        elif not levels or levels != list(range(levels[0], levels[0] + len(levels))):
            yield f"fpn_levels must be consecutive and rising, such as [3, 4, 5], not {levels}"

    def _anchor_faults(self) -> Iterator[str]:
        ranges, published = self.regression_ranges, TORCHVISION.get(self.name)
        if ranges is not None and sorted(set(ranges)) != ranges:
            yield f"regression_ranges must rise, not {ranges}"
        settled = self.fpn_levels is not None or published
        if ranges is not None and settled and len(ranges) != len(self.levels) - 1:
            yield f"regression_ranges must hold one border between each two of the levels {self.levels}"
        if [] in (self.scales, self.ratios):
            yield "scales and ratios must not be empty; null takes the detector's own"
        if published and published.anchors:
            for name in ("scales", "ratios"):
                values, count = getattr(self, name), len(getattr(published, name))
                if values is not None and len(values) != count:
                    yield f"{name} of {self.name} must be {count}, as its weights were learned with"

    def _norm_faults(self) -> Iterator[str]:
        if self.name in ("mlp", "lenet") and self.norm not in ("batch", "layer", "none"):
            yield f"norm '{self.norm}' is for a resnet; {self.name} takes batch, layer or none"
        if self.name == HF_DETR and not self.checkpoint:
            yield "hf_detr needs a checkpoint, such as PekingU/rtdetr_r50vd_coco_o365, or a folder"
        if self.name == HF_DETR and self.norm not in ("batch", "frozen"):
            yield f"hf_detr has the norms of its checkpoint; set norm to batch or frozen, not {self.norm}"

    def _pretrained_faults(self) -> Iterator[str]:
        if not self.pretrained or self.weights:
            return
        if self.name in ("mlp", "lenet"):
            yield f"there are no pretrained weights of {self.name}; set pretrained to false"
        if self.name in TORCHVISION and self.backbone != "resnet50":
            yield f"{self.name} was pretrained on a resnet50; set backbone to that, or pretrained to false"
        if self.norm not in ("batch", "frozen"):
            yield (
                f"pretrained weights were learned with batch norm, which norm '{self.norm}' is not; "
                "set norm to batch or frozen, or pretrained to false"
            )
        if not self.residual or self.activation != "relu":
            yield (
                "pretrained weights were learned with skip connections and ReLU; "
                "set residual to true and activation to relu, or pretrained to false"
            )
