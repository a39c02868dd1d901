"""Report: the page that a person opens, from everything that the stages before left behind."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.files import write_text
from tropho.inference.trained_folds import copy_results
from tropho.paths import Paths
from tropho.report.page import render_page
from tropho.report.reader import Folders


def run(settings: TaskConfig, root: Path) -> Path:
    """Write reports/T/index.html; returns its path."""
    paths = Paths(root, settings.name)
    write_text(paths.report, report(settings, paths))
    copy_results(paths, {"report.html": paths.report})
    return paths.report


def report(settings: TaskConfig, paths: Paths) -> str:
    """The page's HTML; stages that have not run are named in it."""
    folders = Folders(
        audit=paths.audit,
        splits=paths.splits,
        augmented=paths.augmented,
        choice=paths.choice,
        search=paths.search,
        models=paths.models,
        evaluate=paths.evaluate,
        submission=paths.submission,
        ledger=paths.ledger,
        params=paths.root / "params.yaml",
    )
    return render_page(settings, folders)
