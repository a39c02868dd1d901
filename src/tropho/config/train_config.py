"""Settings of the stages train and tune."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tropho.config.types import AtLeastOne, Count, Epochs, NotNegative, Positive, Section, Seed, Share


def _check_member(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or re.fullmatch(r"base|fold[0-9]*", name):
        raise ValueError("a member's name is letters, digits, _ and -, a letter first, and not base or fold0")
    return name


MemberName = Annotated[str, AfterValidator(_check_member)]


class TrainConfig(Section):
    """The training loop."""

    n_folds: AtLeastOne | None
    epochs: Epochs
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"]
    optimizer: Literal["adamw", "sgd"]
    lr: Annotated[float, Field(gt=0, le=100)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, le=100)]
    schedule: Literal["constant", "cosine", "one_cycle", "step", "exponential", "plateau"]
    warmup_epochs: NotNegative
    decay_epochs: AtLeastOne
    decay_rate: Annotated[float, Field(gt=0, le=1)]
    freeze_backbone_epochs: Count
    backbone_lr_scale: Annotated[float, Field(gt=0, le=1)]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    clip_grad_norm: Positive | None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None
    early_stopping_patience: AtLeastOne | None
    val_interval: AtLeastOne
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "balanced"]
    sampler: Literal["shuffle", "balanced"]
    empty_fraction: Share
    precision: Literal["auto", "float32", "fp16", "bf16"]
    compile: bool
    num_workers: Annotated[int, Field(ge=0, le=1024)]
    log_layer_stats: bool
    seed: Seed
    ensemble: dict[MemberName, dict[str, Any]]

    @property
    def images_per_step(self) -> int:
        """Return `batch_size`; ValueError if it is still to be fitted to the memory."""
        if self.batch_size == "auto":
            raise ValueError("train.batch_size is not fitted yet")
        return self.batch_size


class TuneConfig(Section):
    """The search."""

    trials: Count
    epochs: Epochs
    max_train_images: AtLeastOne | None
    space: dict[str, Any]
    storage: str | None
