"""Tests of the documents beside the page: complete, and without a browser the reason is told."""

import subprocess
from types import SimpleNamespace

import pytest

from tropho.files import write_text
from tropho.report import page as document
from tropho.report.page import read_report, render_page


@pytest.fixture
def written(cells_reader, monkeypatch):
    """A function that writes the documents with this browser; returns their folder."""

    def write(browser):
        monkeypatch.setattr(document, "find_browser", lambda: browser)
        report = read_report(cells_reader.task, cells_reader.paths)
        write_text(cells_reader.paths.report, render_page(report))
        document.write_documents(report, cells_reader.paths.report, cells_reader.paths.document)
        return cells_reader.paths.document

    return write


def test_without_a_browser_there_is_markdown_and_a_sentence(written, capsys):
    folder = written(None)
    assert {path.name for path in folder.iterdir()} == {"report.md", "images"}
    told = capsys.readouterr().err
    assert "There is no document/report.pdf: neither Chromium, Chrome nor Edge is installed." in told
    assert "print it from there" in told


def test_a_browser_that_fails_leaves_no_pdf(written, capsys, monkeypatch):
    def fail(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(document, "subprocess", SimpleNamespace(run=fail, SubprocessError=subprocess.SubprocessError))
    folder = written("/usr/bin/some-browser")
    assert not (folder / "report.pdf").exists()
    assert "some-browser failed (TimeoutExpired)" in capsys.readouterr().err


def test_a_browser_that_prints_nothing_is_told(written, capsys, monkeypatch):
    run = SimpleNamespace(run=lambda *_, **__: None, SubprocessError=subprocess.SubprocessError)
    monkeypatch.setattr(document, "subprocess", run)
    written("/usr/bin/some-browser")
    assert "some-browser printed nothing" in capsys.readouterr().err
