"""The report: one self-contained HTML page, without scripts and without a single request to anywhere.

Everything that comes from data (class names, file names) passes through Jinja's autoescape.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tropho import __version__
from tropho.config.task_config import TaskConfig
from tropho.report import data_chapters, result_chapters, run_chapters, split_chapter
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader

TEMPLATES = Path(__file__).parent / "templates"


def render_page(settings: TaskConfig, folders: Folders) -> str:
    """The page's HTML, from what the stages left in `folders`; what is missing becomes a sentence."""
    reader, album = Reader(), ImageEmbedder()
    headline = result_chapters.headline(settings, folders, reader)
    # Results first: they have the first claim on the space for images.
    evaluation = result_chapters.evaluation(settings, folders, reader, album)
    training = run_chapters.training(settings, folders, reader, album)
    chapters = [
        data_chapters.data(settings, folders, reader, album),
        split_chapter.split(settings, folders, reader, album),
        data_chapters.augmentation(settings, folders, reader, album),
        run_chapters.tuning(settings, folders, reader, album),
        training,
        evaluation,
        result_chapters.submission(settings, folders, reader, album),
        result_chapters.reproduce(settings, folders, reader),
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
