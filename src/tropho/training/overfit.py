"""Learn a handful of images by heart, and score them as `tropho predict` would predict their files."""

import math
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from tropho.config.augment_config import DISABLED
from tropho.config.load import with_overrides
from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import GroundTruth, TaskData, rows_of
from tropho.errors import DataError
from tropho.inference.ensemble import Ensemble
from tropho.inference.predictor import Predictor, load_predictor
from tropho.inference.trained_folds import CONFIG, WEIGHTS, config_text
from tropho.metrics.metric_names import metric_name
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.loop import Trainer
from tropho.training.target_checks import Finding

N_IMAGES = 4  # images to learn, unless more are needed to show every class
MAX_CLASSES = 8
MAX_STEPS = 600
MAX_SECONDS = 45.0
FIRST_LOOK, NEXT_LOOK = 12, 1.3
"""Steps before the first prediction, and the factor from one prediction's step to the next."""
LEARNED_BOXES, LEARNED = 0.7, 0.9
"""Score of images that count as learned: mean average precision of boxes, or a score of whole images."""
FALLEN, CONSTANT = 0.5, 0.97
"""Shares of the first loss: below the one a network has learned something, above the other nothing."""
MIN_STEPS = 40  # steps of a training given up for want of time, below which nothing follows from it
MAX_MIXED_LOOKS = 3  # predictions in a row with the right boxes and the wrong classes, after which the training ends
PLAIN = {
    **{f"augment.{key}": value for key, value in DISABLED.items()},
    "train.schedule": "constant",
    "train.warmup_epochs": 5.0,
    "train.epochs": MAX_STEPS,
    "train.val_interval": MAX_STEPS,
    "train.early_stopping_patience": None,
    "train.freeze_backbone_epochs": 0,
    "train.num_workers": 0,
    "train.log_layer_stats": False,
    "train.sampler": "shuffle",
    "train.ensemble": {},
    "predict.tta": ["identity"],
    "predict.tile_size": None,
    "predict.member_weights": "equal",
    "predict.negative_members": None,
}
"""Settings of this training: each epoch is one step on the same, unchanged images."""


def pick_images(task: Task, gt: GroundTruth) -> list[str]:
    """Pick images that show every class, an image without objects if there is one, and more up to N_IMAGES.

    Of a class, images with few boxes come first.
    """
    n_boxes = gt.boxes["image_id"].value_counts()
    names: dict[str, set[str]] = {image_id: set() for image_id in gt.images["image_id"]}
    rows = gt.boxes if len(gt.boxes) else gt.images.dropna(subset="label")
    for image_id, name in zip(rows["image_id"], rows["label"], strict=True):
        names[image_id].add(name)
    order = sorted(names, key=lambda image_id: n_boxes.get(image_id, 0))
    picked: list[str] = []
    for name in task.classes[:MAX_CLASSES]:
        if not any(name in names[image_id] for image_id in picked):
            picked += [image_id for image_id in order if name in names[image_id]][:1]
    picked += [image_id for image_id in order if not names[image_id]][:1]
    more = [image_id for image_id in order if names[image_id] and image_id not in picked]
    return picked + more[: max(0, N_IMAGES - len(picked))]


class Overfit:
    """A training on a handful of images that ends once their files in `raw` are predicted well, or for want of time.

    The settings have all that is fitted to the data.
    """

    def __init__(
        self, settings: TaskConfig, data: TaskData, image_ids: list[str], raw: Path, max_seconds: float = MAX_SECONDS
    ) -> None:
        settings = with_overrides(settings, {**PLAIN, "train.batch_size": max(2, len(image_ids))})
        self.task = build_task(settings, data.classes)
        self.data, self.gt, self.raw, self.max_seconds = data, data.gt.subset(image_ids), raw, max_seconds
        self.losses: list[float] = []
        self.score, self.box_score = 0.0, 0.0
        self._look, self._mixed_looks, self._start = FIRST_LOOK, 0, time.perf_counter()
        self.trainer = Trainer(self.task, data.cache, self.gt, self.gt, settings.train.seed, on_epoch=self._on_step)

    def check(self) -> Finding:
        """Train, and tell whether the images were learned and are predicted as the tables have them."""
        try:
            self.trainer.fit()
            if learned := self.is_learned:
                self._predict_saved()
        except DataError as error:
            return Finding("overfit", "fault", str(error))
        first, last, n_steps = self.losses[0], self.losses[-1], len(self.losses)
        what = (
            f"{len(self.gt.images)} images in {n_steps} steps and {time.perf_counter() - self._start:.0f} s: loss "
            f"{first:.3g} to {last:.3g}, {metric_name(self.task.primary_metric)} {self.score:.2f}, predicted as by "
            "`tropho predict`"
        )
        if self.is_learned:
            return Finding("overfit", "ok", f"Learned {what}.")
        if learned:
            return Finding("overfit", "fault", f"Learned, but lost once saved and loaded: {what}.")
        is_mixed = self.box_score >= self._wanted and (n_steps >= MIN_STEPS or self._mixed_looks == MAX_MIXED_LOOKS)
        is_wrong = n_steps >= MIN_STEPS and not FALLEN * first <= last <= CONSTANT * first
        if self.score > self._wanted / 2 or not (is_mixed or is_wrong or n_steps == MAX_STEPS):
            text = f"No result after the time for this check, so there is nothing to correct. Trained on {what}."
            return Finding("overfit", "warning", text)
        if is_mixed:
            return Finding("overfit", "fault", f"Mixed up the classes of {what}, {self.box_score:.2f} without classes.")
        return Finding("overfit", "fault", f"Did not learn {what}; look at train.lr and at the picture of the targets.")

    @property
    def is_learned(self) -> bool:
        """Whether the score is that of images that were learned."""
        return self.score >= self._wanted

    @property
    def _wanted(self) -> float:
        return LEARNED_BOXES if self.task.primary_metric == "leaderboard_map" else LEARNED

    def _on_step(self, row: dict[str, float]) -> None:
        n_steps = len(self.losses)
        self.losses.append(row["loss"])
        is_last = n_steps + 1 == MAX_STEPS or time.perf_counter() - self._start > self.max_seconds
        if not is_last and n_steps + 1 < self._look:
            return
        self._look = math.ceil(NEXT_LOOK * (n_steps + 1))
        self._predict(Predictor(self.task, self.trainer.eval_model.eval(), self.data.decoding))
        is_mixed = self.box_score >= self._wanted and self.score < self._wanted / 2
        self._mixed_looks = self._mixed_looks + 1 if is_mixed else 0
        self.trainer.state.finished = is_last or self.is_learned or self._mixed_looks == MAX_MIXED_LOOKS

    def _predict(self, predictor: Predictor) -> None:
        """Score the predictions of the image files, made as `tropho predict` makes them."""
        settings, images = self.task.settings, self.gt.images
        ensemble = Ensemble({BASE: [predictor]}, None, [], settings.audit.max_megapixels)
        files = zip(images["image_id"], images["path"], strict=True)
        tables = [ensemble.predict_file(self.raw / path, image_id) for image_id, path in files]
        predictions, gt = ensemble.postprocess(tables, self.gt.ignore_classes), self.gt
        if self.task.primary_metric != "leaderboard_map":
            self.score = self.task.score(gt, predictions)
            return
        shown = set(gt.boxes["image_id"])  # empty images would raise the mean by a class of their own
        gt = gt.subset(image_id for image_id in gt.images["image_id"] if image_id in shown)
        predictions = rows_of(gt, predictions)
        self.score = self.task.score(gt, predictions)
        is_object, name = predictions["label"].isin(self.task.classes), self.task.classes[0]
        unnamed = predictions.assign(label=predictions["label"].mask(is_object, name))
        self.box_score = self.task.score(replace(gt, boxes=gt.boxes.assign(label=name)), unnamed)

    def _predict_saved(self) -> None:
        """Predict once more by a model that was saved and loaded again, as a trained fold is."""
        with TemporaryDirectory() as folder:
            config = config_text(self.task.settings, self.data.classes, self.data.decoding)
            (Path(folder) / CONFIG).write_text(config, encoding="utf-8")
            state = self.trainer.eval_model.state_dict()
            weights = {name: value.cpu().clone().contiguous() for name, value in state.items()}  # some may be shared
            save_file(weights, Path(folder) / WEIGHTS)
            self._predict(load_predictor(Path(folder), self.trainer.accelerator.device))
