"""How far each task has come, read from dvc.lock and the files that are there."""

from pathlib import Path
from typing import Any

from tropho.config.load import load_params, task_settings
from tropho.tracking.provenance import read_lock

STAGES = ("download", "audit", "split", "augment", "tune", "train", "evaluate", "submit", "report")


def stage_states(root: Path) -> dict[str, dict[str, str]]:
    """By task and stage: "done", "changed" (its settings have changed since), "lost" (outputs gone) or "-" (never run).

    Only settings and outputs are looked at; `dvc status` also compares data and code.
    """
    params = load_params(root / "params.yaml")
    locked = read_lock(root)
    return {
        task: {stage: _state(locked.get(f"{stage}@{task}"), params, root) for stage in STAGES}
        for task in params["tasks"]
    }


def _state(entry: dict[str, Any] | None, params: dict[str, Any], root: Path) -> str:
    if entry is None:
        return "-"
    if not all((root / out["path"]).exists() for out in entry.get("outs", [])):
        return "lost"
    recorded = entry.get("params", {}).get("params.yaml", {})
    same = all(_lookup(params, key) == value for key, value in recorded.items())
    return "done" if same else "changed"


def _lookup(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def print_tasks(root: Path) -> None:
    """Print a table of tasks: active or not, kind, and the state of each stage."""
    from rich.console import Console
    from rich.table import Table

    params = load_params(root / "params.yaml")
    active = set(params["active"])
    table = Table("task", "kind", *STAGES, box=None, header_style="bold")
    for task, states in stage_states(root).items():
        kind = task_settings(task, params).kind
        name = f"[bold]{task}[/bold]" if task in active else task
        table.add_row(name, kind, *(states[stage] for stage in STAGES))
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    console.print("\nActive tasks are bold; `dvc repro` works on them. Edit `active` in params.yaml to change that.")
