"""Report of what this machine has and lacks for Tropho, and what to do about it."""

import importlib.util
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from tropho.images.thread_pool import usable_cpus
from tropho.paths import Paths
from tropho.tracking import open_tracker
from tropho.tracking.provenance import git
from tropho.tracking.store import pending_folder

MIN_DISK_GB = 10
MIN_MEMORY_GB = 4
EXTRAS = {"kaggle": "kagglehub", "detr": "transformers", "zindi": "zindi"}
CREDENTIALS: dict[str, list[tuple[str, ...]]] = {
    "Hugging Face": [("HF_TOKEN",)],
    "Kaggle": [("KAGGLE_API_TOKEN",), ("KAGGLE_USERNAME", "KAGGLE_KEY")],
    "Zindi": [("ZINDI_USERNAME", "ZINDI_PASSWORD")],
}
"""By site: the sets of variables that sign in, one of which is enough."""


class Finding(NamedTuple):
    """One line of the report; `remedy` is empty if all is well."""

    item: str
    state: str
    remedy: str = ""


def print_findings(root: Path, as_json: bool = False) -> None:
    """Print every finding as a table; the last column says what to do."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        print(json.dumps([finding._asdict() for finding in examine(root)], indent=2))  # noqa: T201
        return
    table = Table("", "what", "found", "what to do", box=None, header_style="bold")
    for finding in examine(root):
        table.add_row("[yellow]![/yellow]" if finding.remedy else "[green]ok[/green]", *finding)
    Console(width=None if Console().is_terminal else 160).print(table)


def examine(root: Path) -> Iterator[Finding]:
    """Yield every finding, cheap ones first; nothing is changed or sent but pending records, to MLflow."""
    yield Finding("Python", f"{platform.python_version()}, {usable_cpus()} of {os.cpu_count()} cores may be used")
    yield _git(root)
    missing = [name for name in ("params.yaml", "dvc.yaml", ".dvc") if not (root / name).exists()]
    remedy = "run tropho in a checkout of the project" if missing else ""
    yield Finding("pipeline", f"missing: {', '.join(missing)}" if missing else "params.yaml, dvc.yaml, .dvc", remedy)
    yield from _dvc_lock(root)
    free = shutil.disk_usage(root).free / 1e9
    remedy = "" if free > MIN_DISK_GB else f"free some: the competition needs about {MIN_DISK_GB} GB"
    yield Finding("disk", f"{free:.0f} GB free", remedy)
    total = psutil.virtual_memory().total / 1e9
    remedy = "" if total > MIN_MEMORY_GB else "lower train.batch_size and augment.image_size"
    yield Finding("memory", f"{total:.0f} GB", remedy)
    yield from _torch()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    server = f"the server that MLFLOW_TRACKING_URI names ({uri.split('@')[-1]})" if uri else ""
    yield Finding("MLflow", server or f"sqlite in {root / 'mlflow.db'}")
    yield from _pending_records(root)
    for extra, module in EXTRAS.items():
        is_there = importlib.util.find_spec(module) is not None
        state = "installed" if is_there else f"not installed; `pip install -e '.[{extra}]'` if you need it"
        yield Finding(f"extra '{extra}'", state)
    is_there = importlib.util.find_spec("pytorch_grad_cam") is not None
    install = "none in reports; `pip install --no-deps grad-cam ttach` if you want them"
    yield Finding("heat maps", "grad-cam is installed" if is_there else install)
    yield from _credentials()
    folder = Paths(root, "malaria").incoming
    files = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ""
    hint = "nothing yet; `tropho download malaria` says which files to place where"
    yield Finding("competition files", files or hint)


def _git(root: Path) -> Finding:
    if shutil.which("git") is None:
        return Finding("git", "not installed", "install git: DVC keeps the pipeline's history in it")
    if not (commit := git(root, "rev-parse", "--short", "HEAD")):
        return Finding("git", "this folder has no commit", "run `git init && git add -A && git commit -m start`")
    return Finding("git", f"commit {commit}")


def _dvc_lock(root: Path) -> Iterator[Finding]:
    """Find a lock file of DVC that a kill left empty or cut: every `dvc repro` would refuse to start."""
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except OSError:  # none: no stage was ever locked
        return
    except ValueError:
        remedy = f"delete {path.relative_to(root)} while no dvc command runs"
        yield Finding("DVC's lock file", "empty or cut, by a kill", remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:
        yield Finding("torch", f"does not import: {error}", "run `make setup`")
        return
    yield Finding("torch", f"{torch.__version__}, torchvision {torchvision.__version__}")
    gpu = "none; training runs on the CPU, which the demo tasks are made for"
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
        gpu = f"{torch.cuda.device_count()} x {', '.join(sorted(names))}"
    elif torch.backends.mps.is_available():
        gpu = "Apple silicon"
    yield Finding("GPU", gpu)
    weights = sorted(path.name for path in (Path(torch.hub.get_dir()) / "checkpoints").glob("resnet*"))
    yield Finding("pretrained weights", ", ".join(weights) or "none kept yet; fetched when a task asks for them")


def _pending_records(root: Path) -> Iterator[Finding]:
    """Record what MLflow has missed, if anything."""
    before = len(list(pending_folder(root).glob("*.jsonl")))
    if before:
        open_tracker(root).record_pending()
        left = len(list(pending_folder(root).glob("*.jsonl")))
        remedy = "start the server or repair its database, then run this command or a stage" if left else ""
        yield Finding("MLflow records", f"{before} processes did not reach it; {before - left} recorded now", remedy)


def _credentials() -> Iterator[Finding]:
    kaggle = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    files = [str(file) for file in (kaggle / "kaggle.json", kaggle / "access_token") if file.exists()]
    for site, alternatives in CREDENTIALS.items():
        names = ", or ".join(" and ".join(variables) for variables in alternatives)
        is_set = any(all(os.environ.get(name) for name in variables) for variables in alternatives)
        state = f"{names} {'set' if is_set else 'not set; only private data and competitions need it'}"
        if site == "Kaggle" and files and not is_set:
            state = f"in {files[0]}"
        yield Finding(f"{site} credentials", state)
