"""Estimate how long a new task takes, from an epoch of its own training on a few of its images."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache, write_cache
from tropho.new_task.image_sample import ImageSample
from tropho.new_task.label_guess import LabelGuess
from tropho.tables import BOXES, IMAGES, conform, split_regions

TRAINED_IMAGES = {"detection": 24, "classification": 48}
"""Images of the epoch that is measured, and of the one before it, in which libraries warm up."""
PREDICTION = 0.35
"""Time to predict an image over the time to train on it."""
READINGS = 3
"""How often the pipeline decodes an image: audit, cache, pictures of the report."""
START_SECONDS = 60
"""Of the ten processes that `dvc repro` starts."""


class Estimate(NamedTuple):
    """Seconds on this machine: of training all folds, and of the whole pipeline."""

    training: float
    total: float


def estimate(settings: TaskConfig, guess: LabelGuess, sample: ImageSample, raw: Path) -> Estimate:
    """Measure and extrapolate to all images, epochs and folds.

    Args:
        settings: of the new task.
        guess: its labels.
        sample: images that are trained on.
        raw: folder that their paths are below.

    Raises:
        DataError: an image can't be read, or the loss is not finite.
        UsageError: the model can't be built.
    """
    read_seconds, train_seconds = _measure(settings, guess, sample, raw)
    images, split, train = guess.labels.images, settings.split, settings.train
    n_test = int((images["subset"] == "test").sum())
    n_train = len(guess.train) * (1.0 if n_test else 1.0 - split.test_fraction)
    n_folds = train.n_folds or split.n_folds
    n_val = n_train / split.n_folds
    n_views = len(settings.predict.tta)
    training = n_folds * train.epochs * train_seconds * ((n_train - n_val) + PREDICTION * n_val / train.val_interval)
    prediction = PREDICTION * train_seconds * n_folds * n_views * (n_val + (n_test or len(guess.train) - n_train))
    return Estimate(training, training + prediction + READINGS * read_seconds * len(images) + START_SECONDS)


def _measure(settings: TaskConfig, guess: LabelGuess, sample: ImageSample, raw: Path) -> tuple[float, float]:
    """Return seconds an image: to decode and resize it, and to train on it once."""
    from tropho.tasks import build_task
    from tropho.training.loop import Trainer

    settings = with_overrides(settings, {"model.pretrained": False, "train.num_workers": 0})  # no download, no start
    chosen = sample.images.head(TRAINED_IMAGES[guess.kind])
    images = conform(chosen.assign(sha256="", group=chosen["image_id"], duplicate=None, ignore_classes=None), IMAGES)
    boxes = guess.labels.boxes[guess.labels.boxes["image_id"].isin(images["image_id"])]
    gt = GroundTruth(images.reset_index(drop=True), *split_regions(conform(boxes, BOXES)))
    with TemporaryDirectory(prefix="tropho-") as folder:
        augment, path = settings.augment, Path(folder) / "cache"
        start = time.perf_counter()
        write_cache(gt.images, raw, path, augment.image_size, augment.cache_format, augment.grayscale)
        read_seconds = (time.perf_counter() - start) / len(images)
        cache = ImageCache(path)
        fitted = build_task(settings, guess.labels.classes).fit_config(gt, cache)
        trainer = Trainer(build_task(fitted, guess.labels.classes), cache, gt, gt, seed=0)
        try:
            trainer.train_one_epoch(0)
            row = trainer.train_one_epoch(1)
        finally:
            trainer.accelerator.free_memory()
    return read_seconds, row["seconds"] / len(images)
