"""The report: one self-contained HTML page, without scripts and without a single request to anywhere.

Everything that comes from data (class names, file names) passes through Jinja's autoescape.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tropho import __version__
from tropho.reporting import chapters_data, chapters_results, chapters_runs, chapters_split
from tropho.reporting.album import Album
from tropho.reporting.inputs import Folders, Reader
from tropho.settings import TaskSettings

TEMPLATES = Path(__file__).parent / "templates"


def render_page(settings: TaskSettings, folders: Folders) -> str:
    """The page's HTML, from what the stages left in `folders`; what is missing becomes a sentence."""
    reader, album = Reader(), Album()
    headline = chapters_results.headline(settings, folders, reader)
    # Results first: they have the first claim on the space for images.
    evaluation = chapters_results.evaluation(settings, folders, reader, album)
    training = chapters_runs.training(settings, folders, reader, album)
    chapters = [
        chapters_data.data(settings, folders, reader, album),
        chapters_split.split(settings, folders, reader, album),
        chapters_data.augmentation(settings, folders, reader, album),
        chapters_runs.tuning(settings, folders, reader, album),
        training,
        evaluation,
        chapters_results.submission(settings, folders, reader, album),
        chapters_results.reproduce(settings, folders, reader),
    ]
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=settings.name,
            task=settings,
            headline=headline,
            sections=[chapter for chapter in chapters if chapter is not None],
            faults=list(dict.fromkeys(reader.faults)),
            version=__version__,
            css=Markup(css),  # noqa: S704 - our own file
            css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii"),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
