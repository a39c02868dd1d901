"""What came of a run, and which experiments are worth trying next."""

from pathlib import Path
from typing import NamedTuple

import yaml

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.files import read_json, reading
from tropho.metrics.metric_names import metric_name
from tropho.new_task.recipe import usual_epochs
from tropho.paths import Paths
from tropho.tables import SPLITS, read_table

MAX_EXPERIMENTS = 3
FOUND_NOTHING = 0.02
"""Score of a detection below which its boxes are of no use."""
SUBSETS = {"oof": "validation images, out of fold", "test": "test images"}


class NextStep(NamedTuple):
    """A command to copy, and why it may help."""

    command: str
    why: str


def describe_run(settings: TaskConfig, root: Path) -> list[str]:
    """Describe the results of a task: score with its interval, report, submission; then what to try next.

    Returns: lines; a result that is not there has none, and a damaged file has its fault in place of the result.
    """
    paths = Paths(root, settings.name)
    lines = [f"{settings.name}: {settings.description}" if settings.description else settings.name]
    if paths.metrics.exists() and (paths.evaluate / "metrics.json").exists():
        lines.append(f"  score       {_score(paths)}")
    if paths.report.exists():
        lines.append(f"  report      {paths.report.relative_to(root).as_posix()} (open it in a browser)")
    if paths.submission.exists():
        lines.append(f"  submission  {paths.submission.relative_to(root).as_posix()}{_check(paths, settings)}")
    return [*lines, "Try next:", *format_steps(next_steps(settings, root))]


def _score(paths: Paths) -> str:
    path = paths.evaluate / "metrics.json"
    try:
        with reading(path):
            headline = read_json(path)["headline"]
            name, on = metric_name(headline["name"]), SUBSETS[headline["subset"]]
            value, low, high = headline["value"], headline["low"], headline["high"]
    except DataError as error:
        return str(error)
    if value is None:
        return f"{name} is undefined on the {on}"
    interval = "" if low is None or high is None else f" (95 % interval {low:.3f} to {high:.3f})"
    return f"{name} {value:.3f}{interval}, {on}"


def _check(paths: Paths, settings: TaskConfig) -> str:
    record = paths.submission.with_suffix(".json")
    if not record.exists():
        return ""
    try:
        content = read_json(record)
    except DataError as error:
        return f"; {error}"
    if not content.get("rows"):
        return ", without rows"
    if content.get("checked"):
        return ", checked"
    return ", without a sample to check it against" if settings.download.is_competition else ""


def next_steps(settings: TaskConfig, root: Path) -> list[NextStep]:
    """List what to do once a task has run: experiments that its settings leave open, then how to compare them.

    Without a score the only step is the one that gets it.
    """
    name, paths = settings.name, Paths(root, settings.name)
    if not paths.metrics.exists() and not (paths.evaluate / "metrics.json").exists():
        return [NextStep(f"dvc repro report@{name}", "train and evaluate it")]
    steps = [
        NextStep(f"dvc exp run {' '.join(f'-S {_override(name, key, value)}' for key, value in changes.items())}", why)
        for changes, why in experiments(settings, paths)
    ]
    if is_guessing(settings, paths) and settings.train.epochs >= _usual_epochs(settings, paths):
        why = "no better than guessing: look for faults of data and settings"
        steps.insert(0, NextStep(f"tropho check {name}", why))
    if settings.download.source == "generator":
        steps.append(NextStep("tropho new-task NAME FOLDER", "use your own images in place of this demo's"))
    if settings.download.is_competition:
        site = settings.download.source.capitalize()
        steps.append(NextStep(f"tropho upload {name}", f"send the submission to {site} and record its score"))
    return [*steps, NextStep(f"tropho leaderboard {name}", "compare all trainings so far")]


def _override(task: str, key: str, value: str) -> str:
    text = f"++tasks.{task}.{key}={value}"
    return f"'{text}'" if "[" in text else text


def experiments(settings: TaskConfig, paths: Paths) -> list[tuple[dict[str, str], str]]:
    """List up to three changes of settings that often help, by dotted key, each with its reason."""
    train, model = settings.train, settings.model
    found: list[tuple[dict[str, str], str]] = []
    usual = _usual_epochs(settings, paths)
    if is_guessing(settings, paths) and train.epochs < usual:
        why = f"no better than guessing: train longer ({train.epochs} epochs; new-task would choose {usual})"
        found.append(({"train.epochs": str(usual)}, why))
    elif _best_is_last(settings, paths):
        found.append(({"train.epochs": str(2 * train.epochs)}, "the last epoch was the best: train longer"))
    if model.name in {"mlp", "lenet"}:
        found.append(({"model.name": "resnet"}, "a deeper network"))
    if model.name in {"resnet", "fcos"} and not model.pretrained:
        lr = "3.0e-4" if settings.kind == "classification" else "5.0e-4"
        found.append(
            (
                {"model.pretrained": "true", "train.lr": lr},
                "start from ImageNet weights (fetched once); needs a lower rate",
            )
        )
    if train.n_folds is not None and train.n_folds < settings.split.n_folds:
        why = f"train all {settings.split.n_folds} folds: surer scores, better test"
        found.append(({"train.n_folds": "null"}, why))
    if settings.predict.tta == ["identity"]:
        found.append(({"predict.tta": "[identity,hflip]"}, "predict mirrored images, too; trains nothing"))
    return [each for each in found if _is_possible(settings, each[0])][:MAX_EXPERIMENTS]


def _is_possible(settings: TaskConfig, changes: dict[str, str]) -> bool:
    try:
        with_overrides(settings, {key: yaml.safe_load(value) for key, value in changes.items()})
    except UsageError:
        return False
    return True


def is_guessing(settings: TaskConfig, paths: Paths) -> bool:
    """Whether a task's score may be one of guessing: 1 / classes by its interval, or next to nothing for boxes."""
    path = paths.evaluate / "metrics.json"
    try:
        with reading(path):
            headline = read_json(path)["headline"]
            value, low = headline["value"], headline.get("low")
        if value is None or settings.kind == "detection":
            return value is not None and value < FOUND_NOTHING
        return bool((value if low is None else low) <= 1 / len(read_json(paths.audit / "summary.json")["classes"]))
    except DataError:
        return False


def _usual_epochs(settings: TaskConfig, paths: Paths) -> int:
    """Return how many epochs `tropho new-task` would choose; 0 where the folds are not known."""
    try:
        splits = read_table(paths.splits, SPLITS)
    except DataError:
        return 0
    return usual_epochs(settings.kind, int((splits["subset"] == "train").sum()))


def _best_is_last(settings: TaskConfig, paths: Paths) -> bool:
    """Whether each fold was best after its last epoch, of at least two that it was validated after."""
    record = paths.models / "run.json"
    try:
        with reading(record):
            folds = read_json(record)["folds"]
            once = settings.train.val_interval  # so many epochs, or fewer, are validated only at the end
            return bool(folds) and all(fold["best_epoch"] == fold["epochs"] > once for fold in folds)
    except DataError:  # no training, or a damaged record of it
        return False


def format_steps(steps: list[NextStep]) -> list[str]:
    """Format commands and reasons as lines; a long command has its reason on the line above."""
    return [line for step in steps for line in (f"  # {step.why}", f"  {step.command}")]
