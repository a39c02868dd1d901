"""Settings of params.yaml as frozen, validated types, one class per section.

Defaults and comments stand in params.yaml alone; here are types and bounds.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from tropho.config.augment_config import DISABLED, AugmentConfig
from tropho.config.data_config import AuditConfig, DownloadConfig, SplitConfig
from tropho.config.model_config import CLASSIFIERS, NEGATIVE_CLASSIFIER, STRIDE, ModelConfig
from tropho.config.predict_config import EvaluateConfig, PredictConfig, parse_view
from tropho.config.train_config import TrainConfig, TuneConfig
from tropho.config.types import Section

Kind = Literal["classification", "detection"]

BASE = "base"  # name of the task's own model among the members of its ensemble
MIN_LENET_SIDE = 12  # pixels; LeNet's layers reduce smaller images to nothing
MAX_WEIGHTS = 2_000_000_000  # of one layer


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

    def faults(self) -> Iterator[str]:
        yield from self._model_faults()
        yield from self._size_faults()
        yield from self._train_faults()
        yield from self._kind_faults()
        yield from self._class_faults()
        yield from self.predict.member_faults(self.audit.classes, [BASE, *self.train.ensemble], self.boxless)

    def _model_faults(self) -> Iterator[str]:
        if (self.model.name in CLASSIFIERS) != (self.kind == "classification"):
            yield f"model.name '{self.model.name}' can't do {self.kind}"
        if self.model.name == NEGATIVE_CLASSIFIER and not self.audit.negative:
            yield f"model.name '{NEGATIVE_CLASSIFIER}' needs audit.negative, the class of empty images"
        side = self.model.batch_norm_side
        if side is None or self.augment.shortest > side:
            return
        sizes: dict[str, int | str] = {"train.batch_size": self.train.batch_size}
        if self.tune.trials:
            sizes["tune.max_train_images"] = self.tune.max_train_images or 0
        for key, size in sizes.items():
            if size == 1:
                remedy = self.model.batch_norm_remedy.replace("train.batch_size", key)
                yield f"{key} 1 leaves batch norm only one value a channel to average; {remedy}"

    def _size_faults(self) -> Iterator[str]:
        model, size = self.model, self.augment.image_size
        scale = min(1.0, *(parse_view(view)[1] for view in self.predict.tta))
        if model.name == "lenet" and round(size * scale) < MIN_LENET_SIDE:
            yield (
                f"lenet needs images of {MIN_LENET_SIDE} pixels, and predict.tta shows it {round(size * scale)}; "
                "raise augment.image_size or the view's scale"
            )
        if model.name == "mlp" and model.hidden_units and 3 * size * size * model.hidden_units[0] > MAX_WEIGHTS:
            yield (
                f"an mlp of {model.hidden_units[0]} units on {size} x {size} pixels has more than "
                f"{MAX_WEIGHTS:,} weights; lower augment.image_size or model.hidden_units"
            )
        levels, side = model.fpn_levels, max(STRIDE, self.augment.shortest)
        if self.kind == "detection" and model.name == "fcos" and levels and 2 ** levels[-1] > 2 * side:
            yield (
                f"model.fpn_levels end with {levels[-1]}, a stride of {2 ** levels[-1]} pixels, and training images "
                f"have {side}; leave out the last level, or raise augment.image_size"
            )

    def _train_faults(self) -> Iterator[str]:
        train, split = self.train, self.split
        if split.published_val == "keep" and train.n_folds != 1:
            yield "train.n_folds must be 1 where split.published_val is 'keep', which is the only fold"
        if train.n_folds is not None and train.n_folds > split.n_folds:
            yield f"train.n_folds is {train.n_folds}, but split.n_folds makes only {split.n_folds}"
        tunes_backbone = train.freeze_backbone_epochs or train.backbone_lr_scale * train.layer_decay != 1.0
        if tunes_backbone and not self.model.has_backbone:
            yield (
                f"train.freeze_backbone_epochs, backbone_lr_scale and layer_decay need a backbone, which "
                f"'{self.model.name}' does not have"
            )

    def _kind_faults(self) -> Iterator[str]:
        if self.kind == "classification":
            used = [key for key, off in DISABLED.items() if key != "policy" and getattr(self.augment, key) != off]
            if used:
                yield f"augment.{used[0]} is for detection; leave it at its default for {self.kind}"
            if self.train.empty_fraction != 1.0:
                yield "train.empty_fraction is for detection; leave it at 1.0 for classification"
            if self.audit.negative is not None:
                yield "audit.negative is for detection; in classification an image without findings has a class"
            if self.predict.tile_size is not None:
                yield "predict.tile_size is for detection; leave it null for classification"
        if self.predict.has_scaled_view and self.model.name == "mlp":
            yield "an mlp sees images of one size only; leave scales out of predict.tta"

    def _class_faults(self) -> Iterator[str]:
        if self.predict.negative_members and not self.audit.negative:
            yield "predict.negative_members needs audit.negative, the class of empty images"
        for key in ("parasites", "white_cells"):
            for name in getattr(self.report, key):
                if self.audit.classes and name not in self.audit.classes:
                    yield f"report.{key}: '{name}' is not one of audit.classes"

    @property
    def has_one_shape(self) -> bool:
        """Return whether all training batches have images of one height and width."""
        return self.kind == "classification" or self.augment.crop_size is not None

    @property
    def boxless(self) -> list[str]:
        """Return the members of the ensemble that find no boxes."""
        members = self.train.ensemble.items()
        return [name for name, changes in members if changes.get("model.name") == NEGATIVE_CLASSIFIER]


SECTIONS: tuple[str, ...] = tuple(
    name for name in TaskConfig.model_fields if name not in {"name", "kind", "description"}
)
