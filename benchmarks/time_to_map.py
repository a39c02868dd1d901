"""Time until a detector that is trained from scratch reaches a score on BCCD, at the defaults of params.yaml.

    python benchmarks/time_to_map.py FOLDER                 # a folder of BCCD as VOC, with the published splits
    python benchmarks/time_to_map.py FOLDER --set model.fpn_channels=128 --set model.num_head_convs=2

Each seed trains on the published training photos, and validates on the published validation set after every epoch, as
users do. Seconds are those of the wall clock from the first step on, validation included; preparing the images, done
once, stands apart. The score is the mean average precision at IoU 0.5. Run it on an idle machine.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.task_config import SECTIONS, TaskConfig
from tropho.data.task_data import TaskData, read_task_data
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.metrics.leaderboard_map import leaderboard_intervals
from tropho.paths import Paths
from tropho.stages import audit, augment, download, split
from tropho.tasks import build_task
from tropho.training.loop import Trainer
from tropho.training.training_fingerprint import fitted_settings

ROOT = Path(__file__).resolve().parent.parent
TASK = "bccd"


class Result(NamedTuple):
    """What one seed's training reached."""

    epochs: int | None
    """Until the score was reached; None = never."""
    seconds: float | None
    """Likewise."""
    total: float
    """Seconds of all epochs."""
    score: str
    """After the last epoch, with its 95 % interval."""


def bccd_settings(folder: Path, image_size: int, epochs: int, changes: dict[str, Any]) -> TaskConfig:
    """Settings of a new task on BCCD: what its files ask for, and the defaults."""
    params = load_params(ROOT / "params.yaml")
    entry: dict[str, Any] = {section: {} for section in SECTIONS}
    entry |= {"kind": "detection", "description": "Blood cells", "presets": "none"}
    entry["download"] = {"source": "local", "path": str(folder.resolve())}
    entry["audit"] = {"format": "voc"}
    entry["split"] = {"published_val": "keep"}
    entry["augment"] = {"image_size": image_size}
    entry["model"] = {"name": "fcos", "fpn_levels": None, "fit_levels": True}
    entry["train"] = {"epochs": epochs, "batch_size": 8}
    params["tasks"][TASK] = entry
    return with_overrides(task_settings(TASK, params), changes)


def prepare(settings: TaskConfig, root: Path) -> TaskData:
    """Run the stages before training."""
    for stage in (download, audit, split, augment):
        stage.run(settings, root)
    return read_task_data(Paths(root, settings.name))


def train(settings: TaskConfig, data: TaskData, seed: int, target: float) -> Result:
    """Train the one fold and note when its score reaches the target."""
    settings = fitted_settings(with_overrides(settings, {"train.seed": seed}), data)
    task = build_task(settings, data.classes)
    train_gt, val_gt = data.train_val(0)
    reached: list[tuple[int, float]] = []

    def note(row: dict[str, float]) -> None:
        seconds = time.perf_counter() - started
        print(f"seed {seed}, epoch {row['epoch']:.0f}: {row['score']:.3f} after {seconds:.0f} s", flush=True)
        if row["score"] >= target:
            reached.append((int(row["epoch"]), seconds))

    trainer = Trainer(task, data.cache, train_gt, val_gt, seed, on_epoch=note)
    started = time.perf_counter()
    trainer.fit()
    total = time.perf_counter() - started
    size = settings.predict.batch_size
    loader = make_eval_loader(task, val_gt, data.cache, trainer.accelerator, size)
    ids = list(val_gt.images["image_id"])
    [[raw]] = predict_all(task, [trainer.eval_model], loader, ids, data.cache, trainer.accelerator)
    ranking = task.ranking(val_gt, task.postprocess(raw))
    groups = val_gt.images.set_index("image_id")["group"]
    score = leaderboard_intervals(ranking, groups, "score").loc["score"]
    first = reached[0] if reached else (None, None)
    return Result(*first, total, f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", type=float, default=0.55)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=416, help="longer side, pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes a setting")
    asked = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in asked.set)}
    settings = bccd_settings(asked.folder, asked.image_size, asked.epochs, changes)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        data = prepare(settings, Path(folder))
        print(f"prepared in {time.perf_counter() - started:.0f} s", flush=True)
        results = {seed: train(settings, data, seed, asked.target) for seed in asked.seeds}
    print(f"\n| seed | epochs to {asked.target} | seconds to {asked.target} | seconds in all | score at the end |")
    print("|---|---|---|---|---|")
    for seed, (epochs, seconds, total, score) in results.items():
        print(f"| {seed} | {_cell(epochs)} | {_cell(seconds)} | {total:.0f} | {score} |")
    # A seed that never reaches the target counts as slower than any.
    median = statistics.median_low(
        sorted(float("inf") if each.seconds is None else each.seconds for each in results.values())
    )
    print(f"median: {median:.0f} s to {asked.target}")


def _cell(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
