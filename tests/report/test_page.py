"""Tests of the whole page: complete, with a sentence for what is missing, safe with hostile names."""

import html.parser
import re
import shutil

import numpy as np
import pytest

from stage_outputs import HOSTILE, detection_dataset, write_data, write_results, write_runs
from tropho.images.decode import ImageReader
from tropho.paths import Paths
from tropho.plots.detection_plots import detection_figures
from tropho.report.page import render_page
from tropho.stages.report import run

CHAPTERS = ["data", "split", "augmentation", "tuning", "training", "evaluation", "submission", "reproduce"]


class Page(html.parser.HTMLParser):
    """Tags, their attributes and the visible text of a page; unbalanced tags are an error."""

    VOID = ("meta", "link", "img", "br", "hr")

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
        if "style" not in self.open:
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
    monkeypatch.setattr("tropho.report.run_chapters.plot_learning_curves", lambda *_: None)
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
    assert "batch_size" not in page.words  # as in the defaults


def test_render_page_is_self_contained(text):
    page = Page(text)
    assert all(tag["src"].startswith("data:image/") for tag in page.all("img"))
    assert all(tag["href"].startswith(("#", "data:")) for tag in page.all("a") + page.all("link"))
    assert not page.all("script")
    assert not re.search(r"https?://|@import|url\(", text)


def test_render_page_describes_every_image(text):
    images = Page(text).all("img")
    assert len(images) >= 10
    assert all(len(image["alt"]) > 10 and int(image["width"]) > 0 for image in images)


def test_render_page_escapes_names(text):
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)") >= 4  # classes, note, issue, counts


def test_render_page_shows_headline_number_once(text):
    assert Page(text).words.count("0.873") == 1


def test_run_writes_the_rendered_page(tree, settings):
    task = settings("smear_demo")
    path = run(task, tree)
    assert path == tree / "reports" / "smear_demo" / "index.html"
    assert path.read_text(encoding="utf-8") == render_page(task, Paths(tree, "smear_demo"))


@pytest.mark.parametrize("task", ["smear_demo", "cells_demo"])
def test_render_page_names_missing_stages(tmp_path, settings, task):
    page = Page(render_page(settings(task), Paths(tmp_path, task)))
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
    assert [tag["id"] for tag in page.all("section")][:2] == ["headline", "data"]


def test_render_page_without_search_has_no_tuning_chapter(tree, settings):
    (tree / "data" / "tuned" / "smear_demo" / "trials.csv").unlink()
    (tree / "data" / "tuned" / "smear_demo.yaml").write_text("{}\n")
    task = settings("smear_demo", **{"tune.trials": 0})
    page = Page(render_page(task, Paths(tree, "smear_demo")))
    assert "tuning" not in [tag["id"] for tag in page.all("section")]
