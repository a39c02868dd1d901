"""What this machine has and lacks for Tropho, and what to do about it."""

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tropho.images.thread_pool import usable_cpus

MIN_DISK_GB = 10
MIN_MEMORY_GB = 4


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `remedy` is empty where all is well."""

    what: str
    found: str
    remedy: str = ""


def examine(root: Path) -> Iterator[Finding]:
    """Every finding, cheap ones first; nothing is changed, and nothing sent but what MLflow has missed, to MLflow."""
    yield _python()
    yield _git(root)
    yield _pipeline(root)
    yield _disk(root)
    yield _memory()
    yield from _torch()
    yield _tracking(root)
    yield from _pending_records(root)
    yield from _extras()
    yield _heat_maps()
    yield from _credentials()
    yield _incoming(root)


def print_findings(root: Path) -> None:
    """Print the findings as a table; what needs doing stands in the last column."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "what", "found", "what to do", box=None, header_style="bold")
    for finding in examine(root):
        mark = "[yellow]![/yellow]" if finding.remedy else "[green]ok[/green]"
        table.add_row(mark, finding.what, finding.found, finding.remedy)
    Console(width=None if Console().is_terminal else 160).print(table)


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()}, {usable_cpus()} of {os.cpu_count()} cores may be used")


def _git(root: Path) -> Finding:
    git = shutil.which("git")
    if git is None:
        return Finding("git", "not installed", "install git: DVC keeps the pipeline's history in it")
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [git, "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return Finding("git", "this folder has no commit", "run `git init && git add -A && git commit -m start`")
    return Finding("git", f"commit {done.stdout.strip()}")


def _pipeline(root: Path) -> Finding:
    lacking = [name for name in ("params.yaml", "dvc.yaml", ".dvc") if not (root / name).exists()]
    if lacking:
        return Finding("pipeline", f"{', '.join(lacking)} not here", "run tropho in a checkout of the project")
    return Finding("pipeline", "params.yaml, dvc.yaml and .dvc are here")


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free / 1e9
    remedy = "" if free > MIN_DISK_GB else f"free some: the competition needs about {MIN_DISK_GB} GB"
    return Finding("disk", f"{free:.0f} GB free", remedy)


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return Finding("memory", "unknown on this system")
    remedy = "" if total > MIN_MEMORY_GB else "lower train.batch_size and augment.image_size"
    return Finding("memory", f"{total:.0f} GB", remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:
        yield Finding("torch", f"does not import: {error}", "run `make setup`")
        return
    yield Finding("torch", f"{torch.__version__}, torchvision {torchvision.__version__}")
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
        yield Finding("GPU", f"{torch.cuda.device_count()} x {', '.join(sorted(names))}")
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "Apple silicon")
    else:
        yield Finding("GPU", "none; training runs on the CPU, which the demo tasks are made for")
    weights = list((Path(torch.hub.get_dir()) / "checkpoints").glob("resnet*"))
    found = ", ".join(sorted(each.name for each in weights)) or "none kept yet; fetched when a task asks for them"
    yield Finding("pretrained weights", found)


def _tracking(root: Path) -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri is None:
        return Finding("MLflow", f"sqlite in {root / 'mlflow.db'}")
    return Finding("MLflow", f"the server that MLFLOW_TRACKING_URI names ({uri.split('@')[-1]})")


def _pending_records(root: Path) -> Iterator[Finding]:
    """Record what MLflow has missed, if anything."""
    from tropho.tracking import open_tracker
    from tropho.tracking.store import pending_folder

    def waiting() -> int:
        return len(list(pending_folder(root).glob("*.jsonl")))

    before = waiting()
    if before:
        open_tracker(root).record_pending()
        left = waiting()
        remedy = "start the server or mend its database; the next stage, or this command, records them" if left else ""
        yield Finding("MLflow records", f"{before} processes did not reach it; {before - left} recorded now", remedy)


def _extras() -> Iterator[Finding]:
    extras = {"kaggle": "kagglehub", "rtdetr": "transformers", "zindi": "zindi"}
    for extra, module in extras.items():
        if importlib.util.find_spec(module):
            yield Finding(f"extra '{extra}'", "installed")
        else:
            yield Finding(f"extra '{extra}'", f"not installed; `pip install 'tropho[{extra}]'` if you need it")


def _heat_maps() -> Finding:
    if importlib.util.find_spec("pytorch_grad_cam"):
        return Finding("heat maps", "grad-cam is installed")
    return Finding("heat maps", "none in reports; `pip install --no-deps grad-cam ttach` if you want them")


def _credentials() -> Iterator[Finding]:
    ways: dict[str, list[tuple[str, ...]]] = {
        "Hugging Face": [("HF_TOKEN",)],
        "Kaggle": [("KAGGLE_API_TOKEN",), ("KAGGLE_USERNAME", "KAGGLE_KEY")],
    }
    for what, any_of in ways.items():
        names = ", or ".join(" and ".join(way) for way in any_of)
        is_set = any(all(os.environ.get(name) for name in way) for way in any_of)
        yield Finding(f"{what} credentials", f"{names} {'set' if is_set else 'not set; only private data needs it'}")


def _incoming(root: Path) -> Finding:
    folder = root / "data" / "incoming" / "malaria"
    files = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    found = ", ".join(files) or "nothing yet; `tropho download malaria` says which files to place where"
    return Finding("competition files", found)
