"""Tests of the page and the documents beside it: complete, with sentences for what is missing, safe with any names."""

import base64
import hashlib
import html.parser
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from stage_outputs import HOSTILE, detection_dataset, write_data, write_results, write_runs
from tropho.errors import DataError
from tropho.files import write_text
from tropho.images.decode import ImageReader
from tropho.paths import Paths
from tropho.plots.detection_plots import detection_figures
from tropho.report import page as page_module
from tropho.report.page import read_report, render_markdown, write_documents
from tropho.stages.report import run

CHAPTERS = [
    *("literature", "data", "preprocessing", "methods", "evaluation", "errors", "discussion", "submission"),
    "provenance",
]


def render_page(task, paths):
    return page_module.render_page(read_report(task, paths))


@pytest.fixture(autouse=True)
def no_browser(monkeypatch):
    """Print no PDF, which takes seconds."""
    monkeypatch.setattr("tropho.report.page.find_browser", lambda: None)


class Page(html.parser.HTMLParser):
    """Tags, their attributes and the visible text of a page; unbalanced tags are an error."""

    VOID = ("meta", "link", "img", "br", "hr", "wbr")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            if self.tags and self.tags[-1][0] == "wbr":
                data = self.text.pop() + data
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def complete(tmp_path_factory, settings):
    """Root of all stage outputs of a detection task with a hostile class name; not to be changed."""
    root, task = (
        tmp_path_factory.mktemp("complete") / "root",
        settings("smear_demo", **{"train.epochs": 10, "train.batch_size": 8}),
    )
    dataset = detection_dataset(root / "raw", 12, np.random.default_rng(0), ["Trophozoite", HOSTILE])
    write_data(root, task.name, dataset)
    write_runs(root, task.name, dataset, task.model_dump())
    write_results(root, task.name, dataset, "leaderboard_map", 0.8734)
    (root / "params.yaml").write_text("defaults: {train: {epochs: 12, batch_size: 8}}")
    folder = root / "reports" / task.name / "evaluate" / "figures"
    tables = (dataset.images, dataset.boxes, dataset.predictions, dataset.classes, "NEG")
    detection_figures(*tables, ImageReader(dataset.raw), folder / "test", gallery=4)
    return root


@pytest.fixture(scope="module")
def text(complete, settings):
    """The page of all stage outputs."""
    return render_page(settings("smear_demo"), Paths(complete, "smear_demo"))


@pytest.fixture
def tree(complete, tmp_path, monkeypatch):
    """A copy to change, without figures, which are slow."""
    monkeypatch.setattr("tropho.report.method_chapters.plot_learning_curves", lambda *_: None)
    return shutil.copytree(complete, tmp_path / "root", ignore=shutil.ignore_patterns("*.png", "*.safetensors"))


def test_render_page_shows_all(text):
    page = Page(text)
    assert [tag["id"] for tag in page.all("section")] == ["headline", *CHAPTERS]
    for words in (
        "0.873",
        "out of fold: 0.811",
        "on the test set (12 images)",
        "11.20 million",
        "4.5 MB",
        "3 min 20 s",
    ):
        assert words in page.words
    for words in ("The box 3, 4, 9, 4 has no height.", "Train.csv, line 17", "excluded", "HorizontalFlip"):
        assert words in page.words
    for words in ("3 trials: 2 complete, 1 pruned.", "train.lr", "git checkout 0123456789abcdef0123", "SHA-256"):
        assert words in page.words
    assert "train.epochs 10 12" in page.words
    assert "train.batch_size 8 12" not in page.words  # as in the defaults
    assert page.words.count("train.batch_size") == 1  # in the table of every setting


def test_render_page_is_self_contained(text):
    page = Page(text)
    assert all(tag["src"].startswith("data:image/") for tag in page.all("img"))
    assert all(tag["href"].startswith(("#", "data:")) for tag in page.all("a") + page.all("link"))
    assert not any("src" in tag for tag in page.all("script"))
    assert not re.search(r"https?://|@import|url\(", text)


def test_policy_of_the_page_allows_its_own_style_and_script_alone(text):
    (policy,) = [tag["content"] for tag in Page(text).all("meta") if "http-equiv" in tag]
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r' (style|on\w+)="', text)


def test_render_page_describes_every_image(text):
    images = Page(text).all("img")
    assert len(images) >= 10
    assert all(len(image["alt"]) > 10 and int(image["width"]) > 0 for image in images)


def test_small_charts_are_bounded_on_paper(text):
    page = Page(text)
    charts = [tag["class"].split() for tag in page.all("figure") if "chart" in tag.get("class", "")]
    widths = [int(tag["width"]) for tag in page.all("img") if tag["src"].startswith("data:image/png")]
    assert ["half" in classes for classes in charts] == [width <= 518 for width in widths]
    assert {"half" in classes for classes in charts} == {True, False}
    assert "figure.half img { max-width: 9cm; }" in text


def test_render_page_escapes_names(text):
    assert text.count("<script") == 1  # the page's own
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)") >= 4  # classes, note, issue, counts


def test_render_page_shows_headline_number_on_top_and_beside_guessing(text):
    assert Page(text).words.count("0.873") == 2


def test_run_writes_the_rendered_page(tree, settings):
    task = settings("smear_demo")
    path = run(task, tree)
    assert path == tree / "reports" / "smear_demo" / "index.html"
    assert path.read_text(encoding="utf-8") == render_page(task, Paths(tree, "smear_demo"))


def test_nothing_is_written_of_a_task_that_never_ran(settings, tmp_path):
    with pytest.raises(DataError, match=r"Nothing of smear_demo has run, .* run `dvc repro report@smear_demo`"):
        run(settings("smear_demo"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["smear_demo", "cells_demo"])
def test_render_page_names_missing_stages(tmp_path, settings, task):
    page = Page(render_page(settings(task), Paths(tmp_path, task)))
    assert [tag["id"] for tag in page.all("section")] == ["headline", *CHAPTERS]
    for stage in ("audit", "split", "augment", "train", "evaluate", "submit"):
        assert f"run `tropho {stage} {task}`" in page.words


FILES = [
    "data/audit/smear_demo/summary.json",
    "data/audit/smear_demo/images.csv",
    "data/audit/smear_demo/boxes.csv",
    "data/audit/smear_demo/issues.csv",
    "data/splits/smear_demo.csv",
    "data/augmented/smear_demo/policy.json",
    "data/tuned/smear_demo/trials.csv",
    "data/tuned/smear_demo.yaml",
    "models/smear_demo/run.json",
    "models/smear_demo/fold0/history.csv",
    "models/smear_demo/fold0/config.yaml",
    "reports/smear_demo/evaluate/metrics.json",
    "reports/smear_demo/evaluate/thresholds.json",
    "reports/smear_demo/evaluate/test.parquet",
    "submissions/smear_demo.csv",
    "submissions/smear_demo.json",
    "params.yaml",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"\x00\xff{broken: [", b"[]"], ids=["absent", "broken", "list"])
def test_render_page_survives_a_missing_or_broken_file(tree, settings, name, content):
    path = tree / name
    assert path.exists()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    page = Page(render_page(settings("smear_demo"), Paths(tree, "smear_demo")))
    assert [tag["id"] for tag in page.all("section")] == ["headline", *CHAPTERS]


def test_markdown_says_the_same_and_its_pictures_are_beside_it(complete, settings):
    text, files = render_markdown(read_report(settings("smear_demo"), Paths(complete, "smear_demo")))
    assert re.findall(r"(?m)^## (.*)$", text)[0] == "Literature"
    for words in ("0.873", "11.20 million", "git checkout 0123456789abcdef0123", "| train.lr | 0.001 |"):
        assert words in text
    addresses = set(re.findall(r"\]\((images/[^)]+)\)", text))
    assert addresses == set(files)
    assert len(files) >= 10
    assert "<script>" not in text.replace("\\<", "")


@pytest.fixture
def written(cells_reader, monkeypatch):
    """A function that writes the documents with this browser; returns their folder."""

    def write(browser):
        monkeypatch.setattr(page_module, "find_browser", lambda: browser)
        report = read_report(cells_reader.task, cells_reader.paths)
        write_text(cells_reader.paths.report, page_module.render_page(report))
        write_documents(report, cells_reader.paths.report, cells_reader.paths.document)
        return cells_reader.paths.document

    return write


def test_without_a_browser_there_is_markdown_and_a_sentence(written, capsys):
    folder = written(None)
    assert {path.name for path in folder.iterdir()} == {"report.md", "images"}
    told = capsys.readouterr().err
    assert "There is no document/report.pdf: neither Chromium, Chrome nor Edge is installed." in told
    assert "print it from there" in told


def time_out(command, **_):
    raise subprocess.TimeoutExpired(command, 1)


@pytest.mark.parametrize(
    ("run", "words"), [(time_out, "failed (TimeoutExpired)"), (lambda *_, **__: None, "printed nothing")]
)
def test_a_browser_that_fails_leaves_no_pdf(written, capsys, monkeypatch, run, words):
    browser = SimpleNamespace(run=run, SubprocessError=subprocess.SubprocessError)
    monkeypatch.setattr(page_module, "subprocess", browser)
    folder = written("/usr/bin/some-browser")
    assert not (folder / "report.pdf").exists()
    assert f"some-browser {words}" in capsys.readouterr().err
