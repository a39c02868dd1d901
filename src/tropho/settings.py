"""Every knob of params.yaml as a frozen, validated type, one class a section.

The defaults and the meaning of each knob stand in params.yaml and nowhere else; here are its type and its bounds.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from tropho.data_settings import AuditSettings, DownloadSettings, SplitSettings
from tropho.evaluate_settings import EvaluateSettings
from tropho.model_settings import CLASSIFIERS, PRESENCE, ModelSettings
from tropho.predict_settings import PredictSettings
from tropho.section import AtLeastOne, Count, Positive, Section, Share

Kind = Literal["classification", "detection"]

BASE = "base"
"""The task's own model among the members of its ensemble."""


def _check_member(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or re.fullmatch(r"base|fold[0-9]*", name):
        raise ValueError("a member's name is letters, digits, _ and -, a letter first, and not base or fold0")
    return name


MemberName = Annotated[str, AfterValidator(_check_member)]


class AugmentSettings(Section):
    """The pack of images at training size, and what may happen to them in training."""

    size: Annotated[int, Field(ge=16)]
    encoding: Literal["raw", "png", "jpeg"]
    grey: bool
    policy: Literal["none", "light", "microscopy", "radiology"]
    copy_paste: Share
    copy_paste_negatives: Share
    mosaic: Share
    crop: Annotated[int, Field(ge=32)] | None
    crop_objects: Share
    scales: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    previews: Count

    @model_validator(mode="after")
    def _scales_are_a_range(self) -> "AugmentSettings":
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales must be [least, most], not {self.scales}")
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
    freeze_epochs: Count
    stage_lr: Annotated[float, Field(gt=0, le=1)]
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
    log_layers: bool
    seed: Count
    members: dict[MemberName, dict[str, Any]]


class TuneSettings(Section):
    """The search."""

    trials: Count
    epochs: AtLeastOne
    images: AtLeastOne | None
    space: dict[str, Any]
    prune: bool
    storage: str | None
    seed: Count


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
        if (self.model.name in CLASSIFIERS) != (self.kind == "classification"):
            raise ValueError(f"model.name '{self.model.name}' can't do {self.kind}")
        if self.model.name == PRESENCE and not self.audit.negative:
            raise ValueError(f"model.name '{PRESENCE}' needs audit.negative, the class of empty images")
        return self

    @model_validator(mode="after")
    def _folds_are_there(self) -> "TaskSettings":
        if self.split.validation == "published" and self.train.folds != 1:
            raise ValueError("train.folds must be 1 where split.validation is 'published', which is the only fold")
        if self.train.folds is not None and self.train.folds > self.split.folds:
            raise ValueError(f"train.folds is {self.train.folds}, but split.folds makes only {self.split.folds}")
        return self

    @model_validator(mode="after")
    def _there_is_a_backbone_to_tune(self) -> "TaskSettings":
        if not self.model.has_backbone and (self.train.freeze_epochs or self.train.stage_lr != 1.0):
            raise ValueError(f"train.freeze_epochs and stage_lr need a ResNet, which '{self.model.name}' has not")
        return self

    @model_validator(mode="after")
    def _augmentations_fit_kind(self) -> "TaskSettings":
        chosen = self.augment
        boxed = {
            "copy_paste": bool(chosen.copy_paste),
            "copy_paste_negatives": bool(chosen.copy_paste_negatives),
            "mosaic": bool(chosen.mosaic),
            "crop": chosen.crop is not None,
            "scales": chosen.scales != [1.0, 1.0],
        }
        if self.kind == "classification" and (used := [name for name, on in boxed.items() if on]):
            raise ValueError(f"augment.{used[0]} is for detection; leave it at its default for {self.kind}")
        return self

    @model_validator(mode="after")
    def _finishing_has_a_negative(self) -> "TaskSettings":
        if self.predict.negative_from and not self.audit.negative:
            raise ValueError("predict.negative_from needs audit.negative, the class of empty images")
        return self

    @model_validator(mode="after")
    def _members_are_fitted_as_fits_kind(self) -> "TaskSettings":
        if self.kind == "detection" and self.predict.weights == "fitted":
            raise ValueError("predict.weights 'fitted' is for classification; detection has evaluate.fusion_trials")
        if self.kind == "classification" and self.evaluate.fusion_trials:
            raise ValueError("evaluate.fusion_trials is for detection; classification has predict.weights 'fitted'")
        return self

    @property
    def boxless(self) -> list[str]:
        """Members of the ensemble that find no boxes."""
        return [name for name, changes in self.train.members.items() if changes.get("model.name") == PRESENCE]

    @model_validator(mode="after")
    def _prediction_fits_task(self) -> "TaskSettings":
        if self.predict.scaled and self.model.name == "mlp":
            raise ValueError("an mlp sees images of one size only; leave scales out of predict.tta")
        if self.predict.tile is not None and self.kind == "classification":
            raise ValueError("predict.tile is for detection; leave it null for classification")
        if fault := self.predict.faults(self.audit.classes, [BASE, *self.train.members], self.boxless):
            raise ValueError(fault)
        return self


SECTIONS: tuple[str, ...] = tuple(
    name for name in TaskSettings.model_fields if name not in {"name", "kind", "description"}
)
