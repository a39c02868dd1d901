"""Render the report of a task: one HTML page that loads nothing, and the same as Markdown and PDF to hand in.

Names from data (classes, files) pass through Jinja's autoescape, or are escaped for Markdown.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tropho import __version__
from tropho.config.task_config import TaskConfig
from tropho.errors import TrophoError
from tropho.files import atomic_folder, write_text
from tropho.log import info
from tropho.paths import Paths
from tropho.report import comparison, data_chapters, method_chapters, reproduce, result_chapters
from tropho.report.blocks import Block, Hint, OwnWords, Photo, Section, Text
from tropho.report.embed_image import Picture
from tropho.report.own_words import own_words, read_title, read_words, unknown_texts
from tropho.report.photos import drawn
from tropho.report.reader import Reader, texts

T = TypeVar("T")
TEMPLATES = Path(__file__).parent / "templates"
CHAPTERS: tuple[tuple[str, str, Callable[[Reader], list[Block]]], ...] = (
    ("literature", "Literature", comparison.literature),
    ("data", "Data", data_chapters.data),
    ("preprocessing", "Preprocessing", data_chapters.preprocessing),
    ("methods", "Methods", method_chapters.methods),
    ("evaluation", "Evaluation", result_chapters.evaluation),
    ("errors", "Errors", result_chapters.errors),
    ("discussion", "Results and discussion", comparison.discussion),
    ("submission", "Predictions of the test images", result_chapters.submission),
    ("provenance", "How to reproduce", reproduce.provenance),
)
"""Anchor, title, maker, in the order of the course's evaluation points.

These are literature, data, methods, evaluation, results and discussion.
"""
MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~])")
SETTING = re.compile(r"[a-z]+\.[a-z0-9_]+")
INTERVAL = re.compile(r"\[([^\[\],]+), ([^\[\],]+)\]")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Commands of browsers that print without a window."""
PLACES = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("C:/Program Files/Google/Chrome/Application/chrome.exe"),
    Path("C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe"),
)
SECONDS = 120  # that printing may take


@dataclass(frozen=True)
class Report:
    """Content of a report.

    Attributes:
        task: settings.
        title: by the author, or the task's name.
        byline: by the author, below the title.
        summary: by the author, or None.
        headline: the result.
        sections: chapters.
        faults: sentences on files that can't be read or shown.
    """

    task: TaskConfig
    title: str
    byline: OwnWords | None
    summary: OwnWords | None
    headline: result_chapters.Headline
    sections: list[Section]
    faults: list[str]


def read_report(task: TaskConfig, paths: Paths) -> Report:
    """Collect a report from what the stages left; a sentence stands in for what is missing."""
    reader = Reader(task, paths)
    title, byline = read_title(reader)
    summary = read_words(reader, "summary")
    headline = _guarded(lambda: result_chapters.headline(reader), "result", reader) or result_chapters.Headline()
    sections = [_section(reader, *chapter) for chapter in CHAPTERS]
    faults = [*reader.faults, *unknown_texts(reader)]
    return Report(task, title, byline, summary, headline, sections, list(dict.fromkeys(faults)))


def _section(reader: Reader, name: str, title: str, make: Callable[[Reader], list[Block]]) -> Section:
    """Make a chapter; the author's own words stand at its end, unless the maker has placed them."""
    if name == "submission" and reader.task.download.is_competition:
        title = "Submission"
    blocks = _guarded(lambda: make(reader), title, reader)
    if blocks is None:
        blocks = [Text("This chapter can't be shown; the first lines of this page say why.", warn=True)]
    if name in texts("own_words") and not any(isinstance(block, OwnWords | Hint) for block in blocks):
        blocks = [*blocks, own_words(reader, name)]
    return Section(name, title, blocks)


def _guarded(make: Callable[[], T], title: str, reader: Reader) -> T | None:
    """Make a part of the page; None, with the fault noted, if a file is damaged or of another version of Tropho."""
    try:
        return make()
    except (TrophoError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        reader.faults.append(
            f"The chapter '{title}' can't be shown ({reason}); run `dvc repro` to make its files again."
        )
        return None


def render_page(report: Report) -> str:
    """Return the page's HTML."""
    css, js = ((TEMPLATES / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment = _environment(autoescape=True)
    environment.filters["breakable"] = lambda text: INTERVAL.sub("[\\1,\u00a0\\2]", str(text))
    environment.filters["by_parts"] = _by_parts
    return environment.get_template("report.html.j2").render(
        **vars(report),
        version=__version__,
        css=Markup(css),  # noqa: S704 - our own file
        js=Markup(js),  # noqa: S704 - the same
        css_hash=_digest(css),
        js_hash=_digest(js),
    )


def render_markdown(report: Report) -> tuple[str, dict[str, bytes]]:
    """Return the report as Markdown, and the files that it refers to by their path beside it."""
    files: dict[str, bytes] = {}

    def file(picture: Picture | Photo) -> str:
        picture = drawn(picture) if isinstance(picture, Photo) else picture
        name = f"images/{hashlib.sha256(picture.data).hexdigest()[:12]}{picture.suffix}"
        files[name] = picture.data
        return name

    def words(block: OwnWords) -> str:
        files.update({name: path.read_bytes() for name, path in block.files.items()})
        return block.markdown

    environment = _environment(autoescape=False)
    environment.filters |= {"plain": _escape, "cell": lambda text: " ".join(_escape(text).split())}
    text = environment.get_template("report.md.j2").render(**vars(report), file=file, words=words)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", files


def _environment(autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - Markdown is escaped by a filter of its own
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _by_parts(text: str) -> Markup:
    """Escape a cell for HTML; a setting, such as train.batch_size, may wrap after its dot and underscores."""
    if not SETTING.fullmatch(text):
        return escape(text)
    return Markup(re.sub("([._])", r"\1<wbr>", text))  # noqa: S704 - letters, digits, dots and underscores alone


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _escape(text: object) -> str:
    return MARKDOWN.sub(r"\\\1", str(text))


def find_browser() -> str | None:
    """Find Chromium, Chrome or Edge; None if none is installed."""
    commands = (shutil.which(name) for name in BROWSERS)
    return next(filter(None, commands), None) or next((str(path) for path in PLACES if path.is_file()), None)


def headless(browser: str, profile: str) -> list[str]:
    """Begin a command that runs a browser without a window, with a folder of its own for its profile."""
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # which root can't use
    return [browser, "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}", *sandbox]


def write_documents(report: Report, page: Path, to: Path) -> None:
    """Write report.md, its pictures and, with a browser, report.pdf into a folder.

    Args:
        report: content.
        page: the HTML page, which the browser prints.
        to: the folder, which is replaced.
    """
    with atomic_folder(to) as folder:
        text, files = render_markdown(report)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        write_text(folder / "report.md", text)
        fault = print_pdf(page, folder / "report.pdf")
    if fault:
        info(f"There is no {to.name}/report.pdf: {fault} Open {page} in a browser and print it from there.")


def print_pdf(page: Path, to: Path) -> str:
    """Print a page to PDF; return why there is none, or an empty text."""
    browser = find_browser()
    if browser is None:
        return "neither Chromium, Chrome nor Edge is installed."
    with tempfile.TemporaryDirectory() as profile:
        job = ("--no-pdf-header-footer", f"--print-to-pdf={to.resolve()}", page.resolve().as_uri())
        try:
            command = [*headless(browser, profile), *job]
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603 - no shell
        except (OSError, subprocess.SubprocessError) as error:
            to.unlink(missing_ok=True)
            return f"{Path(browser).name} failed ({type(error).__name__})."
    return "" if to.is_file() else f"{Path(browser).name} printed nothing."
