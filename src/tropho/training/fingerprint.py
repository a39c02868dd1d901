"""What training, tuning and evaluation read: the audited tables, the folds and the pack."""

from importlib.metadata import version
from pathlib import Path

from tropho.config.load import with_overrides
from tropho.config.model_config import IGNORES_REGIONS
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import TaskData
from tropho.errors import DataError, UsageError
from tropho.files import fingerprint, read_yaml, sha256_of
from tropho.paths import Paths
from tropho.tasks import build_task

CODE = Path(__file__).resolve().parent.parent
PACKAGES = ("boxes", "images", "metrics", "models", "tasks", "training")
OTHERS = (
    "images/augment/preview.py",
    "images/draw.py",
    "images/file_types.py",
    "images/fonts.py",
    "metrics/class_keys.py",
    "metrics/classification_metrics.py",
    "metrics/coco_map.py",
    "metrics/curves.py",
)
"""What is in those packages and changes no weight."""
FILES = (
    "config/model_config.py",
    "data/task_data.py",
    "inference/predict.py",
    "orientation.py",
    "seeds.py",
    "tables.py",
)
NO_WEIGHT = (
    ("train", "n_folds"),
    ("train", "ensemble"),
    ("train", "num_workers"),
    ("train", "log_layer_stats"),
)
"""Settings that change no weight of a fold's model: what is shown and measured, how it is loaded, other models."""
LIBRARIES = ("torch", "torchvision", "albumentations", "opencv-python-headless", "numpy")


def tuned(settings: TaskConfig, paths: Paths) -> TaskConfig:
    """The settings with what the search chose; as they are where no search was made."""
    if not paths.choice.exists():
        return settings
    return with_overrides(settings, read_yaml(paths.choice))


def fitted_settings(settings: TaskConfig, inputs: TaskData) -> TaskConfig:
    """The settings with what the network takes from all training images, whatever the fold, such as anchors.

    Raises:
        UsageError: the network can't be trained on these images; see `check_trainable`.
    """
    check_trainable(settings, inputs)
    train = [image_id for ids in inputs.folds.values() for image_id in ids]
    return build_task(settings, inputs.classes).fitted(inputs.truth.of(train), inputs.pack)


def check_trainable(settings: TaskConfig, inputs: TaskData) -> None:
    """Raise UsageError if the model can't be trained on these images, DataError if a fold has none."""
    folds = sorted(inputs.folds)[: settings.train.n_folds]
    count = min(len(inputs.fold_of) - len(inputs.folds[number]) for number in folds)
    if not count:
        raise DataError("A fold leaves no image to train on; the split's summary says what became of the others.")
    _check_batch_norm(settings, inputs, count)
    regions, name = inputs.truth.regions["image_id"], settings.model.name
    train = regions[regions.isin(inputs.fold_of)]
    if len(train) and settings.kind == "detection" and name not in IGNORES_REGIONS:
        raise UsageError(
            f"{train.nunique():,} training images have ignored regions (crowds), such as '{train.iloc[0]}', which "
            f"model.name '{name}' can't leave out; set model.name to fcos."
        )


def _check_batch_norm(settings: TaskConfig, inputs: TaskData, count: int) -> None:
    """Raise UsageError if batch norm would see one value a channel; a fold has `count` training images."""
    side = settings.model.batch_norm_side
    if side is None or min(settings.train.batch_size, count) > 1:
        return
    what = "train.batch_size 1" if count > 1 else "A fold's one training image"
    if settings.kind == "classification":
        small = [""] if settings.augment.image_size <= side else []
    else:
        least = settings.augment.zoom_range[0]
        small = [each for each in inputs.fold_of if max(inputs.pack.size_of(each)) * least <= side]
    if small:
        where = f", for '{small[0]}' of {side} pixels or less," if small[0] else ""
        raise UsageError(
            f"{what} leaves batch norm{where} one value a channel to average; {settings.model.batch_norm_remedy}."
        )


def training_code() -> list[str]:
    """The modules that a training runs through, below the package's folder."""
    files = [each.relative_to(CODE) for package in PACKAGES for each in (CODE / package).rglob("*.py")]
    kept = [each for each in files if not any(each.is_relative_to(other) for other in OTHERS)]
    return sorted([each.as_posix() for each in kept] + list(FILES))


def code_hash() -> str:
    """Changes with the code that a training runs through, the libraries' versions included."""
    code = [(file, sha256_of(CODE / file)) for file in training_code()]
    return fingerprint([code, [version(name) for name in LIBRARIES]])


def training_fingerprint(settings: TaskConfig, inputs: TaskData) -> str:
    """Changes with anything that a fold's model depends on, beside its number: settings, data, code."""
    parts = {name: getattr(settings, name).model_dump() for name in ("augment", "model", "train")}
    for section, key in NO_WEIGHT:
        del parts[section][key]
    return fingerprint([settings.kind, settings.audit.negative, inputs.classes, parts, inputs.data_hash, code_hash()])
