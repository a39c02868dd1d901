"""What training, tuning and evaluation read: the audited tables, the folds and the pack."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tropho.config import with_overrides
from tropho.errors import DataError, UsageError
from tropho.files import fingerprint, read_json, read_yaml, sha256_of
from tropho.images.decode import DECODING, Decoding
from tropho.images.pack import Pack
from tropho.images.shrunk import ShrunkPack
from tropho.model_settings import IGNORES_REGIONS
from tropho.settings import TaskSettings
from tropho.stages.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, read_table, split_regions
from tropho.tasks import build_task
from tropho.tasks.base import Truth

CODE = Path(__file__).resolve().parent.parent
ROOMS = ("images", "metrics", "models", "predicting", "tasks", "training")
OTHERS = (
    "images/draw.py",
    "images/file_types.py",
    "images/fonts.py",
    "images/previews.py",
    "metrics/names.py",
    "predicting/attention.py",
    "predicting/ensemble.py",
    "predicting/predictor.py",
    "training/search",
)
"""What stands in those rooms and changes no weight."""
FILES = ("model_settings.py", "seeds.py", "tables.py", "stages/inputs.py")
NO_WEIGHT = (
    ("train", "n_folds"),
    ("train", "ensemble"),
    ("train", "num_workers"),
    ("train", "log_layer_stats"),
)
"""Settings that change no weight of a fold's model: what is shown and measured, how it is loaded, other models."""
LIBRARIES = ("torch", "torchvision", "albumentations", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class Inputs:
    """A task's data, ready to train on."""

    truth: Truth
    folds: dict[int, list[str]]
    """Image ids by fold number."""
    test: list[str]
    pack: Pack
    classes: list[str]
    data_hash: str
    decoding: Decoding = DECODING
    """How files became the pack's pixels."""

    def fold(self, number: int) -> tuple[Truth, Truth]:
        """(training truth, validation truth) of a fold."""
        train = [each for fold, ids in self.folds.items() if fold != number for each in ids]
        return self.truth.of(train), self.truth.of(self.folds[number])

    @property
    def fold_of(self) -> dict[str, int]:
        """The fold that each training image is validated in."""
        return {image_id: number for number, ids in self.folds.items() for image_id in ids}

    def at(self, size: int) -> "Inputs":
        """The same with images of a longer side of at most `size` pixels."""
        return self if size >= self.pack.size else replace(self, pack=ShrunkPack(self.pack.path, size))


def read_inputs(paths: Paths) -> Inputs:
    """Read what audit, split and augment wrote; raise DataError where it is missing, empty or damaged."""
    images = read_table(paths.audit / "images.csv", IMAGES)
    boxes = read_table(paths.audit / "boxes.csv", BOXES)
    splits = read_table(paths.splits, SPLITS)
    train = splits[splits["subset"] == "train"]
    if train.empty:
        raise DataError(f"{paths.splits} holds no training image; see {paths.audit / 'issues.csv'} for why.")
    folds = {int(fold): list(train.loc[train["fold"] == fold, "image_id"]) for fold in sorted(train["fold"].unique())}
    summary = read_json(paths.audit / "summary.json")
    pack = Pack(paths.augmented / "pack")
    pack.check()
    files = [paths.audit / "images.csv", paths.audit / "boxes.csv", paths.splits]
    return Inputs(
        truth=Truth(images, *split_regions(boxes)),
        folds=folds,
        test=list(splits.loc[splits["subset"] == "test", "image_id"]),
        pack=pack,
        classes=summary["classes"],
        data_hash=fingerprint([*map(sha256_of, files), pack.sha256]),
        decoding=Decoding.recorded(summary),
    )


def tuned(settings: TaskSettings, paths: Paths) -> TaskSettings:
    """The settings with what the search chose; as they are where no search was made."""
    if not paths.choice.exists():
        return settings
    return with_overrides(settings, read_yaml(paths.choice))


def fitted_settings(settings: TaskSettings, inputs: Inputs) -> TaskSettings:
    """The settings with what the network takes from all training images, whatever the fold, such as anchors.

    Raises:
        UsageError: the network can't be trained on these images; see `check_trainable`.
    """
    check_trainable(settings, inputs)
    train = [image_id for ids in inputs.folds.values() for image_id in ids]
    return build_task(settings, inputs.classes).fitted(inputs.truth.of(train), inputs.pack)


def check_trainable(settings: TaskSettings, inputs: Inputs) -> None:
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


def _check_batch_norm(settings: TaskSettings, inputs: Inputs, count: int) -> None:
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
    rooms = [each.relative_to(CODE) for room in ROOMS for each in (CODE / room).rglob("*.py")]
    kept = [each for each in rooms if not any(each.is_relative_to(other) for other in OTHERS)]
    return sorted([each.as_posix() for each in kept] + list(FILES))


def code_hash() -> str:
    """Changes with the code that a training runs through, the libraries' versions included."""
    code = [(file, sha256_of(CODE / file)) for file in training_code()]
    return fingerprint([code, [version(name) for name in LIBRARIES]])


def training_fingerprint(settings: TaskSettings, inputs: Inputs) -> str:
    """Changes with anything that a fold's model depends on, beside its number: settings, data, code."""
    parts = {name: getattr(settings, name).model_dump() for name in ("augment", "model", "train")}
    for section, key in NO_WEIGHT:
        del parts[section][key]
    return fingerprint([settings.kind, settings.audit.negative, inputs.classes, parts, inputs.data_hash, code_hash()])
