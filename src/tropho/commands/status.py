"""State of each task: its stages by dvc.lock, its scores, submission and report."""

import json
from pathlib import Path
from typing import Any

from tropho.commands.next_steps import NextStep, format_steps, next_steps
from tropho.commands.stage_lock import is_running
from tropho.config.load import load_params, task_settings
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, reading
from tropho.metrics.metric_names import metric_name
from tropho.paths import Paths
from tropho.stages import STAGES
from tropho.tracking.provenance import read_lock

WIDTH = 160
"""Columns of the tables if the output is no terminal."""
RESULTS = ("task", "score", "subset", "value", "leaderboard", "submission", "report")
CHECKPOINTS = "*/fold*/state.pt"
"""Files in runs/TASK of trainings that have not ended."""
NOT_DONE = {
    "running": "a process works on it",
    "stopped": "it was stopped and goes on from its last epoch, unless settings have changed",
    "lost": (
        "its files are gone: stopped, deleted, or removed by `dvc exp run` while not active; "
        "`dvc repro` brings removed files back from runs/ and the cache without training"
    ),
    "changed": "its settings have changed since it ran",
    "outdated": "an earlier stage is not done",
}
"""States of stages that have run and must run again, and what they mean."""
NEXT_STEPS = """
`dvc repro` works on the active tasks, which have a star. Edit `active` in params.yaml to change that.
Next (after `source .venv/bin/activate`):"""


def print_status(root: Path, task: str | None = None, as_json: bool = False) -> None:
    """Print the stages of each task (or of one), the results of those that have any, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    params = load_params(root / "params.yaml")
    tasks = [task_settings(name, params) for name in ([task] if task is not None else params["tasks"])]
    lock = read_lock(root)
    if as_json:
        print(json.dumps([_record(each, lock, params, root) for each in tasks], indent=2))  # noqa: T201
        return
    stages = Table("task", "kind", *STAGES, box=None, header_style="bold")
    found, states = [], {each.name: stage_states(each.name, lock, params, root) for each in tasks}
    for settings in tasks:
        name = f"[bold]{settings.name} *[/bold]" if settings.name in params["active"] else settings.name
        stages.add_row(name, settings.kind, *states[settings.name].values())
        cells = results_of(Paths(root, settings.name))
        if states[settings.name]["evaluate"] in NOT_DONE and cells["value"] != "-":
            cells["value"] += " (outdated)"
        if set(cells.values()) != {settings.name, "-"}:
            found.append(cells)
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(stages)
    for line in _explain(tasks, states, root):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if found:
        shown = [column for column in RESULTS if column != "leaderboard" or any(row[column] != "-" for row in found)]
        names = ["hidden test" if column == "leaderboard" else column for column in shown]
        results = Table(*names, box=None, header_style="bold")
        for row in found:
            results.add_row(*({**row, "score": metric_name(row["score"])}[column] for column in shown))
        console.print()
        console.print(results)
    console.print(NEXT_STEPS, highlight=False)
    for line in _next_lines(tasks, states, params["active"], root):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _record(settings: TaskConfig, lock: dict[str, Any], params: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return all that the tables say of a task; null for what is not there."""
    states = stage_states(settings.name, lock, params, root)
    results = {key: None if cell == "-" else cell for key, cell in results_of(Paths(root, settings.name)).items()}
    return {
        **results,
        "kind": settings.kind,
        "active": settings.name in params["active"],
        "stages": states,
        "next": [step.command for step in _steps(settings, states, params["active"], root)],
    }


def _explain(tasks: list[TaskConfig], states: dict[str, dict[str, str]], root: Path) -> list[str]:
    """Say what the states mean that are not plain, and how far trainings have come that were stopped or run."""
    shown = {state for each in states.values() for state in each.values()}
    lines = [f"{state}: {meaning}" for state, meaning in NOT_DONE.items() if state in shown]
    for task in tasks:
        state, progress = states[task.name]["train"], _progress(Paths(root, task.name))
        if state in {"running", "stopped"} and progress:
            lines.append(f"{task.name}: training {state} at epoch {progress[1]}/{task.train.epochs} of {progress[0]}")
    return lines


def _progress(paths: Paths) -> tuple[str, int] | None:
    """Return the fold that was trained last and its number of epochs; None without a checkpoint."""
    saved = sorted(paths.runs.glob(CHECKPOINTS), key=lambda path: path.stat().st_mtime)
    if not saved:
        return None
    from tropho.training.checkpoint import Checkpoint

    return saved[-1].parent.name, Checkpoint(saved[-1].parent).n_epochs()


def _steps(settings: TaskConfig, states: dict[str, str], active: list[str], root: Path) -> list[NextStep]:
    """List what to do next with a task: first the stages that are not done, and then no advice by an outdated score."""
    steps = next_steps(settings, root)
    if not _has_begun(states):
        return steps
    steps = [step for step in steps if not step.command.startswith("dvc ")]
    if "running" in states.values():
        return steps
    why = "run the stages that are not done"
    why += "" if settings.name in active else f"; first add {settings.name} to active in params.yaml"
    return [NextStep(f"dvc repro report@{settings.name}", why), *steps]


def _has_begun(states: dict[str, str]) -> bool:
    return bool(set(states.values()) & set(NOT_DONE))


def _next_lines(tasks: list[TaskConfig], states: dict[str, dict[str, str]], active: list[str], root: Path) -> list[str]:
    """Say what to do next: how to get a score, or all advice for one task, or the first for each active task."""
    finished = [task for task in tasks if Paths(root, task.name).metrics.exists() or _has_begun(states[task.name])]
    if not finished:
        return [
            "  dvc repro                    run the active tasks",
            "  tropho new-task NAME FOLDER  add a task of yours",
        ]
    shown = [task for task in tasks if task.name in active] or finished[:1]
    advice = {task.name: _steps(task, states[task.name], active, root) for task in shown}
    steps = [NextStep("mlflow ui --backend-store-uri sqlite:///mlflow.db", "see the runs in the browser")]
    if len(shown) == 1:
        return format_steps([*advice[shown[0].name], *steps])
    firsts = [NextStep(found[0].command, f"{name}: {found[0].why}") for name, found in advice.items() if found]
    own = [step for found in advice.values() for step in found if step.command.startswith("tropho new-task")][:1]
    more = NextStep(f"tropho status {shown[0].name}", "all advice for one task")
    return format_steps([*firsts, more, *own, *steps])


def stage_states(task: str, lock: dict[str, Any], params: dict[str, Any], root: Path) -> dict[str, str]:
    """Compare each stage's entry of dvc.lock with the settings and outputs; `dvc status` also compares data and code.

    Returns: stage -> "done", "-" (never run), or a key of NOT_DONE.
    """
    states: dict[str, str] = {}
    for stage in STAGES:
        state = _state(stage, lock.get(f"{stage}@{task}"), params, Paths(root, task))
        states[stage] = "outdated" if state == "done" and _has_begun(states) else state
    return states


def _state(stage: str, entry: dict[str, Any] | None, params: dict[str, Any], paths: Paths) -> str:
    """Return the state of a stage by its entry of dvc.lock, whatever those before it have come to."""
    is_whole = entry is not None and all((paths.root / out["path"]).exists() for out in entry.get("outs", []))
    recorded = ((entry or {}).get("params") or {}).get("params.yaml", {})
    if is_running(paths.lock(stage)):
        return "running"
    if stage == "train" and not is_whole and any(paths.runs.glob(CHECKPOINTS)):
        return "stopped"
    if entry is None:
        return "-"
    if not is_whole:
        return "lost"
    return "done" if all(_lookup(params, key) == value for key, value in recorded.items()) else "changed"


def _lookup(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def results_of(paths: Paths) -> dict[str, str]:
    """Collect a task's cells of the table of results; "-" for stages that have not run.

    A damaged file of metrics is named in place of the score, with the command that makes it again. "leaderboard" is the
    submission's score by the test truth that a generator holds out, if there is one.
    """
    cells = dict.fromkeys(RESULTS, "-") | {"task": paths.task}
    metrics = paths.evaluate / "metrics.json"
    if metrics.exists():
        try:
            with reading(metrics):
                headline = read_json(metrics)["headline"]
                found = {"score": headline["name"], "subset": headline["subset"], "value": _number(headline["value"])}
        except DataError:
            found = {"score": f"{metrics.name} is damaged", "value": f"run `dvc repro -f evaluate@{paths.task}`"}
        cells |= found
    if paths.submission.exists():
        cells["submission"] = str(paths.submission.relative_to(paths.root))
        cells["leaderboard"] = _held_out_score(paths)
    if paths.report.exists():
        cells["report"] = str(paths.report.relative_to(paths.root))
    return cells


def _held_out_score(paths: Paths) -> str:
    if not paths.held_out.exists():
        return "-"
    from tropho.metrics.leaderboard_map import leaderboard_map
    from tropho.submission.competition_csv import read_competition_csv

    try:
        result = leaderboard_map(read_competition_csv(paths.held_out), read_competition_csv(paths.submission))
    except DataError:  # the truth is of other photos, drawn with other settings since
        return "-"
    return _number(result["score"])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
