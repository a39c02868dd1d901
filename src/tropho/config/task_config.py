"""Settings of params.yaml as frozen, validated types, one class per section.

Defaults and comments stand in params.yaml alone; here are types and bounds.
"""

from typing import Literal

from pydantic import Field, model_validator

from tropho.config.augment_config import AugmentConfig
from tropho.config.data_config import AuditConfig, DownloadConfig, SplitConfig
from tropho.config.model_config import CLASSIFIERS, NEGATIVE_CLASSIFIER, STRIDE, ModelConfig
from tropho.config.predict_config import EvaluateConfig, PredictConfig, parse_view
from tropho.config.train_config import TrainConfig, TuneConfig
from tropho.config.types import Section

Kind = Literal["classification", "detection"]

BASE = "base"
"""Name of the task's own model among the members of its ensemble."""
MIN_LENET_SIDE = 12
"""Pixels; LeNet's layers reduce smaller images to nothing."""
MAX_WEIGHTS = 2_000_000_000
"""Of one layer."""


class SubmitConfig(Section):
    """How the submission is written."""


class ReportConfig(Section):
    """The report page, and what is said of counts."""

    parasites: list[str] = Field(default_factory=list)
    white_cells: list[str] = Field(default_factory=list)


class TaskConfig(Section):
    """One task: its kind, and every section with the defaults filled in."""

    name: str
    kind: Kind
    description: str
    download: DownloadConfig
    audit: AuditConfig
    split: SplitConfig
    augment: AugmentConfig
    model: ModelConfig
    train: TrainConfig
    tune: TuneConfig
    predict: PredictConfig
    evaluate: EvaluateConfig
    submit: SubmitConfig
    report: ReportConfig

    @model_validator(mode="after")
    def _model_fits_kind(self) -> "TaskConfig":
        if (self.model.name in CLASSIFIERS) != (self.kind == "classification"):
            raise ValueError(f"model.name '{self.model.name}' can't do {self.kind}")
        if self.model.name == NEGATIVE_CLASSIFIER and not self.audit.negative:
            raise ValueError(f"model.name '{NEGATIVE_CLASSIFIER}' needs audit.negative, the class of empty images")
        return self

    @model_validator(mode="after")
    def _batch_norm_has_values(self) -> "TaskConfig":
        side = self.model.batch_norm_side
        if side is None or self.augment.shortest > side:
            return self
        sizes: dict[str, int | str] = {"train.batch_size": self.train.batch_size}
        if self.tune.trials:
            sizes["tune.max_train_images"] = self.tune.max_train_images or 0
        for key, size in sizes.items():
            if size == 1:
                remedy = self.model.batch_norm_remedy.replace("train.batch_size", key)
                raise ValueError(f"{key} 1 leaves batch norm only one value a channel to average; {remedy}")
        return self

    @model_validator(mode="after")
    def _network_fits_size(self) -> "TaskConfig":
        model, size = self.model, self.augment.image_size
        scale = min(1.0, *(parse_view(view)[1] for view in self.predict.tta))
        if model.name == "lenet" and round(size * scale) < MIN_LENET_SIDE:
            raise ValueError(
                f"lenet needs images of {MIN_LENET_SIDE} pixels, and predict.tta shows it {round(size * scale)}; "
                "raise augment.image_size or the view's scale"
            )
        if model.name == "mlp" and model.hidden_units and 3 * size * size * model.hidden_units[0] > MAX_WEIGHTS:
            raise ValueError(
                f"an mlp of {model.hidden_units[0]} units on {size} x {size} pixels has more than "
                f"{MAX_WEIGHTS:,} weights; lower augment.image_size or model.hidden_units"
            )
        return self

    @model_validator(mode="after")
    def _levels_fit_size(self) -> "TaskConfig":
        levels, side = self.model.fpn_levels, max(STRIDE, self.augment.shortest)
        if self.kind == "detection" and self.model.has_own_levels and levels and 2 ** levels[-1] > 2 * side:
            raise ValueError(
                f"model.fpn_levels end with {levels[-1]}, a stride of {2 ** levels[-1]} pixels, and training images "
                f"have {side}; leave out the last level, or raise augment.image_size"
            )
        return self

    @model_validator(mode="after")
    def _folds_are_there(self) -> "TaskConfig":
        if self.split.published_val == "keep" and self.train.n_folds != 1:
            raise ValueError("train.n_folds must be 1 where split.published_val is 'keep', which is the only fold")
        if self.train.n_folds is not None and self.train.n_folds > self.split.n_folds:
            raise ValueError(
                f"train.n_folds is {self.train.n_folds}, but split.n_folds makes only {self.split.n_folds}"
            )
        return self

    @model_validator(mode="after")
    def _there_is_a_backbone_to_tune(self) -> "TaskConfig":
        train = self.train
        if not self.model.has_backbone and (
            train.freeze_backbone_epochs or train.backbone_lr_scale * train.layer_decay != 1.0
        ):
            raise ValueError(
                f"train.freeze_backbone_epochs, backbone_lr_scale and layer_decay need a backbone, which "
                f"'{self.model.name}' does not have"
            )
        return self

    @model_validator(mode="after")
    def _augmentations_fit_kind(self) -> "TaskConfig":
        off = {"copy_paste_prob": 0.0, "mosaic_prob": 0.0, "crop_size": None, "zoom_range": [1.0, 1.0]}
        used = [name for name, value in off.items() if getattr(self.augment, name) != value]
        if self.kind == "classification" and used:
            raise ValueError(f"augment.{used[0]} is for detection; leave it at its default for {self.kind}")
        return self

    @model_validator(mode="after")
    def _negative_is_for_detection(self) -> "TaskConfig":
        if self.kind == "classification" and self.audit.negative is not None:
            raise ValueError("audit.negative is for detection; in classification an image without findings has a class")
        return self

    @model_validator(mode="after")
    def _negative_members_need_a_negative(self) -> "TaskConfig":
        if self.predict.negative_members and not self.audit.negative:
            raise ValueError("predict.negative_members needs audit.negative, the class of empty images")
        return self

    @property
    def has_one_shape(self) -> bool:
        """Return whether all training batches have images of one height and width."""
        return self.kind == "classification" or self.augment.crop_size is not None

    @property
    def boxless(self) -> list[str]:
        """Return the members of the ensemble that find no boxes."""
        members = self.train.ensemble.items()
        return [name for name, changes in members if changes.get("model.name") == NEGATIVE_CLASSIFIER]

    @model_validator(mode="after")
    def _counted_classes_are_known(self) -> "TaskConfig":
        for key in ("parasites", "white_cells"):
            unknown = [
                name for name in getattr(self.report, key) if self.audit.classes and name not in self.audit.classes
            ]
            if unknown:
                raise ValueError(f"report.{key}: '{unknown[0]}' is not one of audit.classes")
        return self

    @model_validator(mode="after")
    def _prediction_fits_task(self) -> "TaskConfig":
        if self.predict.has_scaled_view and self.model.name == "mlp":
            raise ValueError("an mlp sees images of one size only; leave scales out of predict.tta")
        if self.predict.tile_size is not None and self.kind == "classification":
            raise ValueError("predict.tile_size is for detection; leave it null for classification")
        if fault := self.predict.faults(self.audit.classes, [BASE, *self.train.ensemble], self.boxless):
            raise ValueError(fault)
        return self


SECTIONS: tuple[str, ...] = tuple(
    name for name in TaskConfig.model_fields if name not in {"name", "kind", "description"}
)
