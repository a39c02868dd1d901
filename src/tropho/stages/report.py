"""Report: write one page from the files of all other stages, and the same as Markdown and PDF."""

from pathlib import Path

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import write_text
from tropho.inference.trained_folds import copy_results
from tropho.log import info
from tropho.paths import Paths
from tropho.report.page import read_report, render_page, write_documents


def run(settings: TaskConfig, root: Path) -> Path:
    """Write reports/T/index.html and reports/T/document; returns the path of the page.

    Raises:
        DataError: no stage has run.
    """
    paths = Paths(root, settings.name)
    if not any(path.exists() for path in (paths.raw, paths.audit, paths.models)):
        raise DataError(
            f"Nothing of {paths.task} has run, so there is nothing to report; run `dvc repro report@{paths.task}`."
        )
    report = read_report(settings, paths)
    for fault in report.faults:
        info(f"Warning: {fault}")
    write_text(paths.report, render_page(report))
    write_documents(report, paths.report, paths.document)
    copy_results(paths, {"report.html": paths.report})
    return paths.report
