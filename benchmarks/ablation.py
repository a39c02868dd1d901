"""What each component of the detection recipe adds: score, training minutes and milliseconds an image.

    python benchmarks/ablation.py smear
    python benchmarks/ablation.py bccd ../shared/data/bccd     # the folder of a data set that is not drawn
    python benchmarks/ablation.py smear --test                 # at the end: the first and the last row, on the test
    python benchmarks/ablation.py pretrained --test            # starts from what was learned on other slides

Rows stand in ablation.yaml. Each adds a component to those before it that gained, is trained on the training part and
judged on the validation part of one grouped split, and is compared image by image with the row that it adds to; the
95 % interval of the gain resamples whole groups. What gains stays, what doesn't is left out of the rows below. Last
comes the plain detector again, trained as many minutes as the full recipe. Where `fixed` is set, nothing is chosen:
every row stays, and --test scores them all, with intervals. `source` is trained before all rows. Results are kept in
ablation/ and a row that is there already is not trained again; tables go to standard output as Markdown.
"""

import argparse
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import TaskData, read_task_data
from tropho.evaluation.evaluator import build_evaluator
from tropho.evaluation.postprocess_search import cross_fit_postprocess
from tropho.files import fingerprint, read_json, write_json
from tropho.inference.ensemble import MemberTables
from tropho.inference.ensemble_members import Members, load_folds, member_records, predict_oof, predict_test
from tropho.inference.predictor import best_device
from tropho.metrics.leaderboard_map import Ranking, leaderboard_intervals, rank, rank_images, score_gain
from tropho.paths import Paths
from tropho.stages import audit, augment, download, split, train
from tropho.submission.competition_csv import read_competition_csv
from tropho.training.devices import make_accelerator

ROOT = Path(__file__).resolve().parent.parent
PLAIN, LONGER = "plain detector", "plain detector, trained as long as the full recipe"

Changes = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A trained recipe, judged on the validation part."""

    name: str
    changes: Changes
    minutes: float
    milliseconds: float
    score: dict[str, float]
    precisions: dict[str, float]
    ranking: Ranking
    groups: pd.Series
    fitted: dict[str, Any]


class Ablation:
    """Trains and judges recipes of one data set below `folder`."""

    def __init__(self, base: TaskConfig, folder: Path) -> None:
        self.base, self.folder = base, folder

    def row(self, name: str, changes: Changes) -> Row:
        """Train a recipe, unless that was done before, and judge it."""
        settings = with_overrides(self.base, changes)
        paths = self.trained(settings)
        members, data = self._members(settings, paths)
        task = next(iter(members[BASE].values())).task
        truth = data.gt.subset([each for number in members[BASE] for each in data.folds[number]])
        groups = truth.images.set_index("image_id")["group"]
        raw, seconds = self._predicted(settings, paths, members, data)
        fit = build_evaluator(task).postprocess_fitter(truth, raw, groups)
        finished = cross_fit_postprocess(task, fit, truth, raw, groups)
        ranking = rank_images(list(truth.images["image_id"]), truth.boxes, finished, settings.audit.negative)
        table = leaderboard_intervals(ranking, groups, "score")
        folds = [
            fold for entry in member_records(read_json(paths.models / "run.json")).values() for fold in entry["folds"]
        ]
        return Row(
            name,
            changes,
            sum(fold["seconds"] for fold in folds) / 60,
            1000 * seconds / len(truth.images),
            table.loc["score"].to_dict(),
            {str(key).removeprefix("ap/"): value for key, value in table["value"].items() if key != "score"},
            ranking,
            groups,
            fit(list(groups.index)),
        )

    def test(self, row: Row) -> tuple[Ranking, pd.Series]:
        """Rank a row's predictions for the test set, finished by what was learned on the validation part.

        Returns:
            The ranking, and the group of each image, indexed by image_id.
        """
        settings = with_overrides(self.base, row.changes)
        paths = self.trained(settings)
        members, data = self._members(settings, paths)
        task, accelerator = next(iter(members[BASE].values())).task, make_accelerator(settings.train)
        truth = data.gt.subset(data.test_ids)
        fused = task.fuse_members(predict_test(members, truth, data, accelerator, row.fitted), row.fitted)
        predicted = task.postprocess(fused, row.fitted, truth.ignore_classes)
        groups = data.gt.images.set_index("image_id")["group"]
        if not paths.held_out.exists():
            return rank_images(data.test_ids, truth.boxes, predicted, settings.audit.negative), groups
        submission = task.to_submission(predicted, data.test_ids)
        return rank(read_competition_csv(paths.held_out), submission), groups

    def _predicted(
        self, settings: TaskConfig, paths: Paths, members: Members, data: TaskData
    ) -> tuple[MemberTables, float]:
        """Members' predictions for the validation part, and their seconds; recipes that look alike share them."""
        looks = settings.predict.model_dump(mode="json", exclude={"member_weights", "negative_members"})
        looks["apart"] = settings.evaluate.fit_postprocess  # views stay so where their fusion is fitted
        table, record = (paths.root / f"looks_{fingerprint(looks)[:12]}{ending}" for ending in (".pkl", ".json"))
        if not record.exists():
            started = time.perf_counter()
            pd.to_pickle(predict_oof(members, data, make_accelerator(settings.train)), table)
            write_json(record, {**looks, "seconds": time.perf_counter() - started})
        return pd.read_pickle(table), read_json(record)["seconds"]  # noqa: S301 - written above

    def _members(self, settings: TaskConfig, paths: Paths) -> tuple[Members, TaskData]:
        data = read_task_data(paths)
        return load_folds(settings, paths, read_json(paths.models / "run.json"), best_device(), data), data

    def trained(self, settings: TaskConfig) -> Paths:
        """Train a recipe; those that differ in prediction alone share their models."""
        asked = settings.model_dump(mode="json", exclude={"predict", "evaluate"})
        paths = Paths(self.folder / fingerprint(asked)[:12], settings.name)
        if (paths.root / "settings.json").exists():
            return paths
        shared = self.folder / f"raw_{fingerprint(asked['download'])[:12]}"
        if not Paths(shared, settings.name).raw.exists():
            download.run(settings, shared)
        (paths.root / "data").mkdir(parents=True, exist_ok=True)
        for name in ("raw", "held_out"):
            link = paths.root / "data" / name
            if not link.is_symlink():
                link.symlink_to(shared / "data" / name)
        for other in self.folder.glob("*/settings.json"):  # `train` takes from runs/ what is trained already
            if _alone(read_json(other)) == _alone(asked):
                shutil.copytree(other.parent / "runs", paths.root / "runs", dirs_exist_ok=True)
        for stage in (audit, split, augment, train):
            stage.run(settings, paths.root)
        write_json(paths.root / "settings.json", asked)
        return paths


def _alone(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without further members."""
    return {**settings, "train": {**settings["train"], "ensemble": {}}}


def ablate(
    ablation: Ablation, plain: Changes, rows: list[dict[str, Any]], fixed: str | None
) -> list[tuple[Row, dict[str, float] | None]]:
    """Every row with its gain over the row that it adds to, the plain detector first.

    Where the first row has a name in `fixed`, every row is added to the one before it, whatever it gained.
    """
    best = first = ablation.row(fixed or PLAIN, plain)
    found: list[tuple[Row, dict[str, float] | None]] = [(first, None)]
    _say(first, None)
    for each in rows:
        members = {**best.changes.get("train.ensemble", {}), **each["changes"].get("train.ensemble", {})}
        changes = {**best.changes, **each["changes"], **({"train.ensemble": members} if members else {})}
        row = ablation.row(each["name"], changes)
        gained = score_gain(row.ranking, best.ranking, row.groups)
        found.append((row, gained))
        _say(row, gained)
        best = row if fixed or (gained["value"] > 0 and each.get("stays", True)) else best
    if fixed:
        return found
    epochs = math.ceil(ablation.base.train.epochs * best.minutes / first.minutes)
    longer = ablation.row(LONGER, {**plain, "train.epochs": epochs})
    return [*found, (longer, None), (best, score_gain(best.ranking, longer.ranking, best.groups))]


def test_rows(ablation: Ablation, rows: list[Row]) -> None:
    """Print every row's score on the test set, and its gain over the row before it, with 95 % intervals."""
    print("\n| recipe | score on the test photos | gain | classes |\n|---|---|---|---|")
    before: Ranking | None = None
    for row in rows:
        ranking, groups = ablation.test(row)
        table = leaderboard_intervals(ranking, groups, "score")
        score = _interval(dict(table.loc["score"]))
        gained = _interval(score_gain(ranking, before, groups), "+") if before else ""
        precisions = table["value"].drop("score").items()
        classes = ", ".join(f"{str(key).removeprefix('ap/')} {value:.3f}" for key, value in precisions)
        print(f"| {row.name} | {score} | {gained} | {classes} |", flush=True)
        before = ranking


def _interval(found: dict[str, float], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


def _fill(changes: Any, source: str) -> Any:
    """Replace {source} in every text below `changes`."""
    if isinstance(changes, dict):
        return {key: _fill(value, source) for key, value in changes.items()}
    if isinstance(changes, list):
        return [_fill(each, source) for each in changes]
    return changes.replace("{source}", source) if isinstance(changes, str) else changes


def _say(row: Row, gained: dict[str, float] | None) -> None:
    print(_cells(row, gained), flush=True)


def _cells(row: Row, gained: dict[str, float] | None) -> str:
    score, more = _interval(row.score), _interval(gained, "+") if gained else ""
    classes = " | ".join(f"{value:.3f}" for value in row.precisions.values())
    return f"| {row.name} | {score} | {more} | {classes} | {row.minutes:.1f} | {row.milliseconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a part of ablation.yaml")
    parser.add_argument("path", nargs="?", type=Path, help="folder of a data set that is not drawn")
    parser.add_argument("--test", action="store_true", help="score the first and the last row on the test as well")
    parser.add_argument("--out", type=Path, default=ROOT / "ablation", help="folder of results")
    asked = parser.parse_args()
    recipe = yaml.safe_load((ROOT / "benchmarks" / "ablation.yaml").read_text(encoding="utf-8"))[asked.data]
    also = dict(recipe["also"])
    if asked.path:
        also["download.path"] = str(asked.path.resolve())
    base = with_overrides(task_settings(recipe["task"], load_params(ROOT / "params.yaml")), also)
    ablation = Ablation(base, asked.out.resolve() / asked.data)
    if source := recipe.get("source"):
        recipe = _fill(recipe, str(ablation.trained(with_overrides(base, source)).models))
    rows = ablate(ablation, recipe["plain"], recipe["rows"], recipe.get("fixed"))
    names = " | ".join(rows[0][0].precisions)
    print(f"\n| recipe | score | gain | {names} | training, min | inference, ms |")
    print("|---" * (5 + len(rows[0][0].precisions)) + "|")
    for row, gained in rows:
        print(_cells(row, gained))
    if asked.test:
        test_rows(ablation, [row for row, _ in (rows if recipe.get("fixed") else [rows[0], *rows[-2:]])])


if __name__ == "__main__":
    main()
