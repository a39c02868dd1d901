"""Render the report of a task as one HTML page without scripts and without a request to anywhere.

Names from data (classes, files) pass through Jinja's autoescape.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tropho import __version__
from tropho.config.task_config import TaskConfig
from tropho.paths import Paths
from tropho.report import data_chapters, result_chapters, run_chapters
from tropho.report.reader import Reader

TEMPLATES = Path(__file__).parent / "templates"
CHAPTERS = (
    data_chapters.data,
    data_chapters.split,
    data_chapters.augmentation,
    run_chapters.tuning,
    run_chapters.training,
    result_chapters.evaluation,
    result_chapters.submission,
    result_chapters.reproduce,
)


def render_page(task: TaskConfig, paths: Paths) -> str:
    """Return the page's HTML from what the stages left; a sentence stands in for what is missing."""
    reader = Reader(task, paths)
    headline = result_chapters.headline(reader)
    sections = [section for chapter in CHAPTERS if (section := chapter(reader)) is not None]
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        task=task,
        headline=headline,
        sections=sections,
        faults=list(dict.fromkeys(reader.faults)),
        version=__version__,
        css=Markup(css),  # noqa: S704 - our own file
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii"),
    )
