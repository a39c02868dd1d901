"""Compare two projects in which `dvc repro` has run: artefacts, MLflow runs, Optuna trials, and what is left over."""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

NOT_COMPARED = (".git/", ".dvc/", "mlartifacts/", "mlflow.db", "optuna.db", "dvc.lock", ".cache/fingerprints/")
"""Beginnings of paths: databases and DVC's files are compared by what they say, not byte by byte."""
OF_THE_RUN = {"run_id", "seconds", "started", "written", "stages_lock", "dvc_lock", "history.csv", "checksum"}
"""Keys and columns that differ between two undisturbed runs: ids of MLflow runs, times, and hashes of files with those.

"history.csv" is the key of that file's SHA-256 in fold.json and run.json; the file has a column of seconds. "checksum"
is that of fold.json itself, which `tropho train` checks whenever it reads the file.
"""
MASKED = (
    r"\b[0-9a-f]{32}\b",  # ids of MLflow runs
    r"\b([0-9a-f]{16}|[0-9a-f]{64})\b",  # hashes of dvc.lock; those of files are compared in the JSON files
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00)?",  # times
    r"\b\d+(\.\d+)?\s?(s|min|h)\b( \d+ (s|min)\b)*",  # durations
)
"""What is masked in the report page and its Markdown."""
TABLES = {"history.csv", "trials.csv", "ledger.csv"}


def differences(one: Path, other: Path) -> list[str]:
    """Say in what `other` differs from `one`, the undisturbed run; an empty list where it does not."""
    ours, theirs = _files(one), _files(other)
    told = [f"missing: {name}" for name in sorted(ours - theirs)]
    told += [f"left over: {name}" for name in sorted(theirs - ours)]
    told += [
        f"differs: {name}" for name in sorted(ours & theirs) if content(one / name, one) != content(other / name, other)
    ]
    for what, tell in {"MLflow": tracked, "Optuna": trials, "dvc.lock": locked}.items():
        before, after = tell(one), tell(other)
        told += [f"{what}, missing: {each}" for each in (before - after).elements()]
        told += [f"{what}, too many: {each}" for each in (after - before).elements()]
    told += [f"damaged in DVC's cache: {path.name}" for path in _damaged_objects(other)]
    return told + [f"process still running: {line}" for line in processes(other).values()]


def _files(root: Path) -> set[str]:
    paths = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in paths if not name.startswith(NOT_COMPARED) and "__pycache__" not in name}


def content(path: Path, root: Path) -> Any:
    """What a file says, apart from what is of the run that wrote it; its SHA-256 where that is all of it."""
    if path.is_relative_to(root / ".cache" / "locks"):
        return "the id of a process"
    if path.suffix == ".json":
        return _without_run(json.loads(path.read_text(encoding="utf-8")))
    if path.name in TABLES or path.name.endswith(".ledger.csv"):
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return [_without_run(row) for row in rows]
    if path.suffix == ".pdf":
        return "the report on paper, which holds the time of printing"
    if path.suffix in {".html", ".md"}:
        return re.sub("|".join(MASKED), "?", path.read_text(encoding="utf-8"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_run(each) for key, each in value.items() if key not in OF_THE_RUN}
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value):
        return "the id of an MLflow run"
    return [_without_run(each) for each in value] if isinstance(value, list) else value


def tracked(root: Path) -> "Counter[str]":
    """Runs of MLflow with what they hold, registered models and their versions; a value logged twice counts once."""
    names = "SELECT run_uuid, runs.name, status, experiments.name FROM runs JOIN experiments USING (experiment_id)"
    with _database(root / "mlflow.db") as database:
        runs = {run: f"{experiment}: {name} {status}" for run, name, status, experiment in database.execute(names)}
        told = Counter(runs.values())
        for run, key, value in database.execute("SELECT run_uuid, key, value FROM params"):
            told[f"{runs[run]}, {key} = {value}"] += 1
        for run, key in database.execute("SELECT DISTINCT run_uuid, key FROM tags"):
            told[f"{runs[run]}, tag {key}"] += 1
        metrics = """SELECT DISTINCT run_uuid, key, step, CASE WHEN key = 'seconds' THEN 0 ELSE value END FROM metrics
            WHERE key NOT LIKE 'system/%'"""
        for run, *values in database.execute(metrics):
            told[f"{runs[run]}, {values}"] += 1
        parents = "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"
        told.update(f"{runs[run]} is part of {runs.get(parent)}" for run, parent in database.execute(parents))
        told.update(
            f"model {name} {status}" for name, status in database.execute("SELECT name, status FROM logged_models")
        )
        told.update(f"version {each}" for each in database.execute("SELECT name, version FROM model_versions"))
        told.update(f"alias {each}" for each in database.execute("SELECT * FROM registered_model_aliases"))
        for run, label in runs.items():
            folder = root / "mlartifacts" / run / "artifacts"
            told.update(f"{label}, file {path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file())
    return told


def trials(root: Path) -> "Counter[str]":
    """Trials of Optuna that count, with their parameters and score: not those that were killed and tried again."""
    history = """SELECT study_id, value_json FROM trial_system_attributes JOIN trials USING (trial_id)
        WHERE key = 'retry_history'"""
    all_trials = """SELECT trial_id, study_id, number, study_name, state, value FROM trials
        JOIN studies USING (study_id) LEFT JOIN trial_values USING (trial_id)"""
    told: Counter[str] = Counter()
    with _database(root / "optuna.db") as database:
        retried = {(study, number) for study, text in database.execute(history) for number in json.loads(text)}
        for trial, study, number, name, state, value in database.execute(all_trials):
            if (study, number) not in retried:
                params = database.execute(
                    "SELECT param_name, param_value FROM trial_params WHERE trial_id = ?", (trial,)
                )
                told[f"{name}: {state} {value} {sorted(params)}"] += 1
    return told


def locked(root: Path) -> "Counter[str]":
    """Stages of dvc.lock."""
    return Counter(re.findall(r"(?m)^  (\S+@\S+):$", (root / "dvc.lock").read_text(encoding="utf-8")))


@contextlib.contextmanager
def _database(path: Path) -> Any:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        yield database


def _damaged_objects(root: Path) -> list[Path]:
    """Objects of DVC's cache that are not what their name says."""
    objects = [path for path in (root / ".dvc/cache/files/md5").rglob("*") if path.is_file() and path.name[0] != "."]
    named = {path: (path.parent.name + path.name).removesuffix(".dir") for path in objects}
    return [
        path
        for path, name in named.items()
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != name
    ]


def processes(root: Path) -> dict[int, str]:
    """Processes that work in a folder, by id: their command lines."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            line = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if (each / "cwd").readlink().is_relative_to(root) and int(each.name) != os.getpid():
                found[int(each.name)] = line
    return {pid: line for pid, line in found.items() if line}  # an ended process whose parent has not looked has none
