"""Settings of a training after tuning and fitting, and the hash of all that determines a fold's weights."""

from importlib.metadata import version
from pathlib import Path

from tropho.config.load import with_overrides
from tropho.config.model_config import IGNORES_REGIONS
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import TaskData
from tropho.errors import DataError, UsageError
from tropho.files import fingerprint, read_yaml, sha256_of
from tropho.inference.trained_folds import StartWeights
from tropho.paths import Paths
from tropho.tasks import build_task

CODE = Path(__file__).resolve().parent.parent
HASHED_PACKAGES = ("boxes", "images", "metrics", "models", "tasks", "training")
NOT_HASHED = (
    "images/draw.py",
    "images/file_types.py",
    "images/fonts.py",
    "metrics/classification_metrics.py",
    "metrics/coco_map.py",
    "metrics/curves.py",
    "training/overfit.py",
    "training/preflight.py",
    "training/target_checks.py",
    "training/training_plan.py",  # whose choice of a batch size is kept
)
"""Modules of those packages that change no weight."""
HASHED_FILES = (
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
"""Settings that change no weight of a fold."""
LIBRARIES = ("torch", "torchvision", "albumentations", "opencv-python-headless", "numpy")


def tuned(settings: TaskConfig, paths: Paths) -> TaskConfig:
    """Apply the choice of the search, if one was made."""
    return with_overrides(settings, read_yaml(paths.choice)) if paths.choice.exists() else settings


def fitted_settings(settings: TaskConfig, data: TaskData) -> TaskConfig:
    """Fill in what the network takes from the training images of all folds, such as pyramid levels.

    Raises:
        UsageError, DataError: as `check_trainable`.
    """
    check_trainable(settings, data)
    train = [image_id for ids in data.folds.values() for image_id in ids]
    return build_task(settings, data.classes).fit_config(data.gt.subset(train), data.cache)


def check_trainable(settings: TaskConfig, data: TaskData) -> None:
    """Check that the model can be trained on the images of every fold.

    Raises:
        DataError: a fold has no image to train on.
        UsageError: the model can't be trained on these images.
    """
    folds = sorted(data.folds)[: settings.train.n_folds]
    n_images = min(len(data.train_val(number)[0].images) for number in folds)
    if not n_images:
        boxes = ", or they have no boxes, which train.empty_fraction leaves out" if data.empty_fraction < 1 else ""
        raise DataError(
            f"A fold leaves no image to train on; the split's summary says what became of the others{boxes}."
        )
    _check_batch_norm(settings, data, n_images)
    regions, name = data.gt.regions["image_id"], settings.model.name
    train = regions[regions.isin(data.fold_of)]
    if len(train) and settings.kind == "detection" and name not in IGNORES_REGIONS:
        raise UsageError(
            f"{train.nunique():,} training images have ignored regions (crowds), such as '{train.iloc[0]}', which "
            f"model.name '{name}' can't leave out; set model.name to fcos."
        )


def _check_batch_norm(settings: TaskConfig, data: TaskData, n_images: int) -> None:
    """Raise UsageError if batch norm would see one value a channel; the smallest fold trains on `n_images`."""
    side, batch_size = settings.model.batch_norm_side, settings.train.batch_size
    if side is None or (n_images > 1 and batch_size != 1):
        return
    if settings.kind == "classification":
        small = [""] if settings.augment.image_size <= side else []
    else:
        zoom = settings.augment.zoom_range[0]
        small = [image_id for image_id in data.fold_of if max(data.cache.size_of(image_id)) * zoom <= side]
    if small:
        cause = "train.batch_size 1" if n_images > 1 else "A fold's one training image"
        where = f", for '{small[0]}' of {side} pixels or less," if small[0] else ""
        raise UsageError(
            f"{cause} leaves batch norm{where} only one value a channel to average; {settings.model.batch_norm_remedy}."
        )


def training_code() -> list[str]:
    """List the modules whose code determines the weights, as paths below the package's folder."""
    files = [path.relative_to(CODE) for package in HASHED_PACKAGES for path in (CODE / package).rglob("*.py")]
    hashed = [path for path in files if not any(path.is_relative_to(other) for other in NOT_HASHED)]
    return sorted([path.as_posix() for path in hashed] + list(HASHED_FILES))


def code_hash() -> str:
    """Hash `training_code` and the versions of the libraries; returns 16 hex digits."""
    code = [(file, sha256_of(CODE / file)) for file in training_code()]
    return fingerprint([code, [version(name) for name in LIBRARIES]])


def training_fingerprint(settings: TaskConfig, data: TaskData, start: StartWeights | None = None) -> str:
    """Hash what determines a fold's weights, except its number; of start weights the content counts, not the place.

    Returns:
        16 hex digits of kind, negative class, classes, augment, model, train, start, data hash and code hash.
    """
    parts = {name: getattr(settings, name).model_dump() for name in ("augment", "model", "train")}
    parts["model"]["weights"] = start.record() if start else None
    for section, key in NO_WEIGHT:
        del parts[section][key]
    return fingerprint([settings.kind, settings.audit.negative, data.classes, parts, data.data_hash, code_hash()])
