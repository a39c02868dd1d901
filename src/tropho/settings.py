"""Every knob of params.yaml as a frozen, validated type, one class a section.

The defaults and the meaning of each knob stand in params.yaml and nowhere else; here are its type and its bounds.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]

Kind = Literal["classification", "detection"]


class Section(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are refused, values can't be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DownloadSettings(Section):
    """Where the bytes come from."""

    source: Literal["local", "generator", "zindi", "huggingface", "kaggle"]
    path: str | None
    repo: str | None
    revision: str | None
    config: str | None
    scene: Literal["smear", "cells"]
    images: AtLeastOne
    test_images: AtLeastOne
    seed: Count
    difficulty: Share

    @model_validator(mode="after")
    def _source_has_its_key(self) -> "DownloadSettings":
        needed = {"local": "path", "huggingface": "repo", "kaggle": "repo"}.get(self.source)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"source '{self.source}' needs the key '{needed}'")
        return self


class AuditSettings(Section):
    """How labels are read and what is counted as wrong with them."""

    format: Literal["boxes_csv", "coco", "voc", "image_folder", "label_csv"]
    classes: list[str] | None
    class_map: dict[str, str | None]
    negative: str | None
    train: list[str] | None
    test: list[str] | None
    group_pattern: str | None
    mistyped: Literal["quarantine", "keep"]
    min_box: Annotated[float, Field(ge=0)]
    double_iou: Positive
    merge_doubles: bool
    protocol: Literal["detect", "list", "none"]
    protocol_level: Annotated[float, Field(gt=0, lt=1)]
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)]
    corrections: str | None
    sizes: str | None

    @field_validator("corrections", "sizes")
    @classmethod
    def _is_watched(cls, path: str | None) -> str | None:
        if path is not None and not (path.startswith("corrections/") and path.endswith(".csv")):
            raise ValueError("it must be a CSV file in corrections/, the folder whose changes rerun the audit")
        return path


class SplitSettings(Section):
    """Folds, and the test set where none is published."""

    folds: Annotated[int, Field(ge=2)]
    holdout: Share
    grouped: bool
    drop_test_duplicates: bool
    seed: Count


class AugmentSettings(Section):
    """The pack of images at training size, and the augmentation policy."""

    size: Annotated[int, Field(ge=16)]
    encoding: Literal["raw", "png", "jpeg"]
    policy: Literal["none", "light", "microscopy", "radiology"]
    previews: Count


class ModelSettings(Section):
    """The network."""

    name: Literal["mlp", "lenet", "resnet", "fcos", "retinanet", "faster_rcnn"]
    backbone: str
    pretrained: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    fpn_width: Annotated[int, Field(ge=8)]
    fpn_levels: list[Annotated[int, Field(ge=2, le=7)]] | None
    anchors: Literal["fixed", "fitted"]
    ranges: list[Positive] | None
    scales: list[Positive] | None
    ratios: list[Positive] | None
    head_depth: Annotated[int, Field(ge=1)]
    norm: Literal["batch", "layer", "group", "frozen", "none"]
    hidden: list[AtLeastOne]
    activation: Literal["sigmoid", "tanh", "relu", "leaky_relu", "selu"]
    slope: Positive
    skip: bool
    init: Literal["kaiming", "xavier", "naive"]
    presence: bool
    score_min: Share
    nms_iou: Share
    max_detections: AtLeastOne

    @property
    def levels(self) -> list[int]:
        """The pyramid's levels, once it is settled what they are."""
        if self.fpn_levels is None:
            raise ValueError("model.fpn_levels are not fitted yet")
        return self.fpn_levels

    @model_validator(mode="after")
    def _levels_follow_each_other(self) -> "ModelSettings":
        levels = self.fpn_levels
        if levels is None:
            if self.anchors != "fitted":
                raise ValueError("fpn_levels are null, which leaves them to the training boxes; set anchors to fitted")
        elif not levels or levels != list(range(levels[0], levels[0] + len(levels))):
            raise ValueError(f"fpn_levels must be consecutive and rising, such as [3, 4, 5], not {levels}")
        return self

    @model_validator(mode="after")
    def _anchors_make_sense(self) -> "ModelSettings":
        if self.ranges is not None and sorted(set(self.ranges)) != self.ranges:
            raise ValueError(f"ranges must rise, not {self.ranges}")
        if self.ranges is not None and self.fpn_levels is not None and len(self.ranges) != len(self.fpn_levels) - 1:
            raise ValueError(f"ranges must hold one border between each two levels of {self.fpn_levels}")
        if [] in (self.scales, self.ratios):
            raise ValueError("scales and ratios must not be empty; null takes the detector's own")
        return self

    @model_validator(mode="after")
    def _small_nets_have_their_norms(self) -> "ModelSettings":
        if self.name in ("mlp", "lenet") and self.norm not in ("batch", "layer", "none"):
            raise ValueError(f"norm '{self.norm}' is for a resnet; {self.name} takes batch, layer or none")
        return self

    @model_validator(mode="after")
    def _pretrained_weights_fit(self) -> "ModelSettings":
        if not self.pretrained:
            return self
        if self.name in ("mlp", "lenet"):
            raise ValueError(f"there are no pretrained weights of {self.name}; set pretrained to false")
        if self.norm not in ("batch", "frozen"):
            raise ValueError(
                f"pretrained weights were learned with batch norm, which norm '{self.norm}' is not; "
                "set norm to batch or frozen, or pretrained to false"
            )
        if not self.skip or self.activation != "relu":
            raise ValueError(
                "pretrained weights were learned with skip connections and ReLU; "
                "set skip to true and activation to relu, or pretrained to false"
            )
        return self


class TrainSettings(Section):
    """The training loop."""

    folds: AtLeastOne | None
    epochs: AtLeastOne
    batch_size: AtLeastOne
    optimizer: Literal["adamw", "sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "cosine", "one_cycle", "step", "exponential", "plateau"]
    warmup_epochs: Annotated[float, Field(ge=0)]
    step_epochs: AtLeastOne
    gamma: Annotated[float, Field(gt=0, le=1)]
    clip_norm: Positive | None
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    patience: AtLeastOne | None
    validate_every: AtLeastOne
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "balanced"]
    sampler: Literal["shuffle", "balanced"]
    precision: Literal["float32", "fp16", "bf16"]
    channels_last: bool
    workers: Count
    seed: Count


class TuneSettings(Section):
    """The search."""

    trials: Count
    epochs: AtLeastOne
    images: AtLeastOne | None
    space: dict[str, Any]
    prune: bool
    storage: str | None
    seed: Count


class PredictSettings(Section):
    """How a trained model looks at an image; shared by evaluate and submit."""

    tta: Annotated[list[Literal["identity", "hflip", "vflip", "rot180"]], Field(min_length=1)]
    batch_size: AtLeastOne
    merge_iou: Share


class EvaluateSettings(Section):
    """What is measured."""

    iou: Annotated[float, Field(gt=0, lt=1)]
    beta: Positive
    gallery: Count


class SubmitSettings(Section):
    """How the submission is written."""

    decimals: Annotated[int, Field(ge=1, le=15)]


class ReportSettings(Section):
    """The report page."""

    title: str | None


class TaskSettings(Section):
    """One task: its kind, and every section with the defaults filled in."""

    name: str
    kind: Kind
    description: str
    download: DownloadSettings
    audit: AuditSettings
    split: SplitSettings
    augment: AugmentSettings
    model: ModelSettings
    train: TrainSettings
    tune: TuneSettings
    predict: PredictSettings
    evaluate: EvaluateSettings
    submit: SubmitSettings
    report: ReportSettings

    @model_validator(mode="after")
    def _model_fits_kind(self) -> "TaskSettings":
        if (self.model.name in ("mlp", "lenet", "resnet")) != (self.kind == "classification"):
            raise ValueError(f"model.name '{self.model.name}' can't do {self.kind}")
        return self


SECTIONS: tuple[str, ...] = tuple(
    name for name in TaskSettings.model_fields if name not in {"name", "kind", "description"}
)
