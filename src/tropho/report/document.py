"""Write the report as documents to hand in: Markdown with its pictures, and PDF printed by a browser."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tropho.files import atomic_folder, write_text
from tropho.log import info
from tropho.report.page import Report, render_markdown

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Commands of browsers that print without a window."""
PLACES = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("C:/Program Files/Google/Chrome/Application/chrome.exe"),
    Path("C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe"),
)
SECONDS = 120  # that printing may take


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
