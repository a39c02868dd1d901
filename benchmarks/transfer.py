"""What `model.weights` gains: a task from scratch, and from a model of another task, at shares of its training photos.

    python benchmarks/transfer.py bccd ../shared/data/bccd
    python benchmarks/transfer.py brain ../shared/data/brain_mri --source ../shared/data/nih_cells

`bccd`: blood cells after the generator's smears (280 photos), one class of which has the same name. `brain`: MRI slices
after NIH's blood cells. Both arms of a row have the same photos, order, schedule and seed; whole groups are drawn.
Small shares train longer: as many steps as the whole set, but at most five times its epochs. The epoch that is best on
the validation photos is scored on the test, once, with 95 % intervals that resample groups; the gain is paired. What
is predicted already is not trained again. A look at all of it: --epochs 1 --source-epochs 1 --shares 0.1.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData, read_task_data
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.inference.trained_folds import StartWeights, find_start_weights
from tropho.metrics.bootstrap import with_intervals
from tropho.metrics.leaderboard_map import leaderboard_intervals, rank_images, score_gain
from tropho.paths import Paths
from tropho.stages import audit, augment, download, split, train
from tropho.tasks import build_task
from tropho.training.devices import make_accelerator
from tropho.training.loop import Trainer
from tropho.training.training_fingerprint import fitted_settings

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 5
"""Times the epochs of the whole set that a share trains at most."""
DETECTOR = {"audit.cluster_slides": False, "train.val_interval": 1, "train.batch_size": 8, "train.n_folds": 1}
CLASSIFIER = {"augment.image_size": 64, "augment.grayscale": False, "train.val_interval": 1, "train.n_folds": 1}
LOCAL = {"download.source": "local"}
RECIPES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "bccd": (
        "smear_demo",
        {**DETECTOR, "download.images": 280, "audit.missing_labels": "none", "train.epochs": 12},
        "smear_demo",
        {**DETECTOR, **LOCAL, "audit.format": "voc", "audit.classes": None, "audit.negative": None,
         "audit.missing_labels": "none", "split.published_val": "keep", "train.epochs": 5},
    ),
    "brain": (
        "cells_demo",
        {**CLASSIFIER, **LOCAL, "audit.group_pattern": "(C[0-9]+P[0-9]+)", "train.epochs": 9},
        "brain_tumor",
        {**CLASSIFIER, **LOCAL, "train.epochs": 9},
    ),
}  # fmt: skip
"""Task and changes of the source, and of the target."""


@dataclass(frozen=True)
class Target:
    """A task that is trained on shares of its photos."""

    settings: TaskConfig
    data: TaskData
    folder: Path

    def predictions(self, share: float, seed: int, name: str, start: StartWeights | None) -> pd.DataFrame:
        """Train on a share and predict the test, unless that was done before."""
        file = self.folder / f"{name}_{share:g}_{seed}_{self.settings.train.epochs}.parquet"
        if not file.exists():
            self._train(share, seed, start).to_parquet(file)
        return pd.read_parquet(file)

    def _train(self, share: float, seed: int, start: StartWeights | None) -> pd.DataFrame:
        train_gt, val_gt = self.data.train_val(0)
        chosen = train_gt.subset(draw_groups(train_gt, share, seed))
        epochs = min(math.ceil(self.settings.train.epochs / share), LONGEST * self.settings.train.epochs)
        changes = {"train.epochs": epochs, "train.val_interval": max(1, epochs // 5)}
        task = build_task(fitted_settings(with_overrides(self.settings, changes), self.data), self.data.classes)
        weights = Trainer(task, self.data.cache, chosen, val_gt, seed, name=f"{share:.0%}", start=start).fit().weights
        model, accelerator = task.build_model(), make_accelerator(task.settings.train)
        model.load_state_dict(weights)
        model = model.to(accelerator.device)
        gt, cache = self.test, self.data.cache
        loader = make_eval_loader(task, gt, cache, accelerator, 8)
        [[table]] = predict_all(task, [model], loader, list(gt.images["image_id"]), cache, accelerator, ["identity"])
        return task.postprocess(table, ignore_classes=self.test.ignore_classes)

    @property
    def test(self) -> GroundTruth:
        """Labelled test photos."""
        return self.data.gt.subset(self.data.test_ids).with_labels()

    def score(self, predictions: pd.DataFrame) -> dict[str, float]:
        """Value, low and high of mAP50 or of the balanced accuracy."""
        groups = self.test.images.set_index("image_id")["group"]
        if self.settings.kind == "detection":
            return dict(leaderboard_intervals(self._ranking(predictions), groups, "score").loc["score"])
        return dict(with_intervals(lambda w: {"score": self._accuracy(predictions, w)}, groups).loc["score"])

    def gain(self, ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, float]:
        """Value, low and high of the paired difference."""
        groups = self.test.images.set_index("image_id")["group"]
        if self.settings.kind == "detection":
            return score_gain(self._ranking(ours), self._ranking(theirs), groups)
        difference: Callable[[np.ndarray], dict[str, np.ndarray]] = lambda weights: {  # noqa: E731
            "gain": self._accuracy(ours, weights) - self._accuracy(theirs, weights)
        }
        return dict(with_intervals(difference, groups).loc["gain"])

    def _ranking(self, predictions: pd.DataFrame) -> Any:
        ids = list(self.test.images["image_id"])
        return rank_images(ids, self.test.boxes, predictions, self.settings.audit.negative)

    def _accuracy(self, predictions: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
        """Balanced accuracy (D,) for weights (D, N) of the photos."""
        labels = self.test.images["label"].to_numpy()
        found = predictions.set_index("image_id")["label"].loc[self.test.images["image_id"]].to_numpy()
        with np.errstate(invalid="ignore"):
            recalls = [
                (weights * ((labels == name) & (found == name))).sum(axis=1) / (weights * (labels == name)).sum(axis=1)
                for name in sorted(set(labels))
            ]
        return np.mean(recalls, axis=0)


def draw_groups(gt: GroundTruth, share: float, seed: int) -> list[str]:
    """Draw whole groups up to a share of the photos; smaller shares are parts of larger ones."""
    groups = gt.images["group"].to_numpy()
    names = np.unique(groups.astype(str))
    order = np.random.default_rng(seed).permutation(names)
    counts = np.cumsum([(groups == name).sum() for name in order])
    kept = order[: max(1, int((counts <= share * len(groups) + 0.5).sum()))]
    return list(gt.images["image_id"][np.isin(groups, kept)])


def prepare(settings: TaskConfig, root: Path, trained: bool) -> Paths:
    """Run the stages up to the cached images, or up to the trained fold, unless that was done before."""
    paths = Paths(root, settings.name)
    if not (paths.models if trained else paths.augmented).exists():
        for stage in (download, audit, split, augment, *([train] if trained else [])):
            stage.run(settings, root)
    return paths


def cells(found: dict[str, float], sign: str = "") -> str:
    """Format a value with its interval."""
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("path", type=Path, help="folder of the target's data")
    parser.add_argument("--source", type=Path, help="folder of the source's data; bccd's source is drawn")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="of the whole target")
    parser.add_argument("--source-epochs", type=int)
    parser.add_argument("--set", nargs="*", default=[], help="KEY=NUMBER of both, such as augment.image_size=64")
    parser.add_argument("--out", type=Path, default=ROOT / "transfer", help="folder of results")
    asked = parser.parse_args()
    params, folder = load_params(ROOT / "params.yaml"), asked.out.resolve() / asked.recipe
    both = {key: int(value) for key, _, value in (each.partition("=") for each in asked.set)}
    source_task, source, target_task, target = RECIPES[asked.recipe]
    source, target = {**source, **both}, {**target, **both, "download.path": str(asked.path.resolve())}
    source |= {"download.path": str(asked.source.resolve())} if asked.source else {}
    source |= {"train.epochs": asked.source_epochs} if asked.source_epochs else {}
    target |= {"train.epochs": asked.epochs} if asked.epochs else {}
    source_paths = prepare(with_overrides(task_settings(source_task, params), source), folder / "source", True)
    settings = with_overrides(task_settings(target_task, params), target)
    data = read_task_data(prepare(settings, folder / "target", False))
    start = find_start_weights(str(source_paths.models), source_paths.root)
    judged = Target(settings, data, folder)
    print(f"{len(judged.test.images)} test photos; classes {', '.join(data.classes)}; weights {start and start.path}\n")
    print("| photos to train on | seed | from scratch | from the other model | gain |\n|---|---|---|---|---|")
    for share in asked.shares:
        for seed in asked.seeds:
            n_images = len(draw_groups(data.train_val(0)[0], share, seed))
            scratch, after = (judged.predictions(share, seed, *arm) for arm in (("scratch", None), ("after", start)))
            row = [cells(judged.score(scratch)), cells(judged.score(after)), cells(judged.gain(after, scratch), "+")]
            print(f"| {n_images} ({share:.0%}) | {seed} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
