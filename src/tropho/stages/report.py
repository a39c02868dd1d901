"""Report: write one page from the files of all other stages."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.files import write_text
from tropho.inference.trained_folds import copy_results
from tropho.paths import Paths
from tropho.report.page import render_page


def run(settings: TaskConfig, root: Path) -> Path:
    """Write reports/T/index.html; returns its path."""
    paths = Paths(root, settings.name)
    write_text(paths.report, render_page(settings, paths))
    copy_results(paths, {"report.html": paths.report})
    return paths.report
