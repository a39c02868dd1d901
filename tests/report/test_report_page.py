"""The page: complete when everything is there, a sentence where something is missing, safe with hostile names."""

import html.parser
import io
import json
import logging
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tropho.files import sha256_of
from tropho.images.decode import ImageReader
from tropho.paths import Paths
from tropho.plots.detection_plots import detection_figures
from tropho.report.image_embedder import ImageEmbedder
from tropho.stages.report import report, run

HOSTILE = "<script>alert('x')</script> $\\frac{1}{ & _cls"
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
def whole(tmp_path_factory, helpers, settings):
    """Everything the stages leave behind for a detection task with a hostile class name; not to be changed."""
    root, task = (
        tmp_path_factory.mktemp("whole") / "root",
        settings("smear_demo", **{"train.epochs": 10, "train.batch_size": 8}),
    )
    world = helpers["detection_world"](root / "raw", 12, np.random.default_rng(0), ["Trophozoite", HOSTILE])
    helpers["write_data"](root, task.name, world)
    helpers["write_runs"](root, task.name, world, task.model_dump())
    helpers["write_results"](root, task.name, world, "leaderboard_map", 0.8734)
    (root / "params.yaml").write_text("defaults: {train: {epochs: 12, batch_size: 8}}")
    to = root / "reports" / task.name / "evaluate" / "figures"
    figures = (world.images, world.boxes, world.predictions, world.classes, "NEG", ImageReader(world.raw))
    detection_figures(*figures, to / "test", gallery=4)
    return root


@pytest.fixture(scope="module")
def text(whole, settings):
    """The page of the whole tree."""
    return report(settings("smear_demo"), Paths(whole, "smear_demo"))


@pytest.fixture
def tree(whole, tmp_path, monkeypatch):
    """A copy to change, without the figures, which are slow and not what these tests are on."""
    monkeypatch.setattr("tropho.report.run_chapters.learning_curves", lambda *_: None)
    return shutil.copytree(whole, tmp_path / "root", ignore=shutil.ignore_patterns("*.png", "*.safetensors"))


def test_the_whole_page(text):
    page = Page(text)
    assert [each["id"] for each in page.all("section")] == ["headline", *CHAPTERS]
    for told in ("0.873", "out of fold: 0.811", "on the test set (12 images)", "11.20 million", "4.5 MB", "3 min 20 s"):
        assert told in page.words
    for told in ("double box", "The box 3, 4, 9, 4 has no height.", "Train.csv, line 17", "excluded", "HorizontalFlip"):
        assert told in page.words
    for told in ("3 trials: 2 complete, 1 pruned.", "train.lr", "git checkout 0123456789abcdef0123", "SHA-256"):
        assert told in page.words
    assert "train.epochs 10 12" in page.words
    assert "batch_size" not in page.words  # as in the defaults


def test_the_page_is_self_contained_and_light(text):
    page = Page(text)
    assert len(text) < 8_000_000
    assert all(each["src"].startswith("data:image/") for each in page.all("img"))
    assert all(each["href"].startswith(("#", "data:")) for each in page.all("a") + page.all("link"))
    assert not page.all("script")
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_image_has_words_and_a_size(text):
    images = Page(text).all("img")
    assert len(images) >= 10
    assert all(len(each["alt"]) > 10 and int(each["width"]) > 0 for each in images)


def test_names_from_data_are_text(text):
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)") >= 4  # classes, note, issue, counts


def test_headline_number_stands_once(text):
    assert Page(text).words.count("0.873") == 1


def test_the_stage_writes_the_same_page_each_time(tree, settings):
    task = settings("smear_demo")
    path = run(task, tree)
    assert path == tree / "reports" / "smear_demo" / "index.html"
    assert path.read_text(encoding="utf-8") == report(task, Paths(tree, "smear_demo"))


@pytest.mark.parametrize("task", ["smear_demo", "cells_demo"])
def test_nothing_has_been_run(tmp_path, settings, task):
    page = Page(report(settings(task), Paths(tmp_path, task)))
    for stage in ("audit", "split", "augment", "train", "evaluate", "submit"):
        assert f"run `tropho {stage} {task}`" in page.words


LEAVES = [
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


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("content", [None, b"\x00\xff{broken: [", b"[]"], ids=["absent", "broken", "list"])
def test_any_one_file_may_be_missing_or_broken(tree, settings, name, content):
    path = tree / name
    assert path.exists()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    page = Page(report(settings("smear_demo"), Paths(tree, "smear_demo")))
    assert [each["id"] for each in page.all("section")][:2] == ["headline", "data"]


def test_a_submission_that_its_record_does_not_describe_is_called_out(tree, settings):
    record = tree / "submissions" / "smear_demo.json"
    record.write_text(json.dumps({"sha256": "0" * 64}))
    words = Page(report(settings("smear_demo"), Paths(tree, "smear_demo"))).words
    assert "The file is not the one that its record describes" in words


def test_a_submission_that_passed_the_check_says_so(tree, settings):
    submission = tree / "submissions" / "smear_demo.csv"
    submission.with_suffix(".json").write_text(json.dumps({"sha256": sha256_of(submission), "checked": True}))
    words = Page(report(settings("smear_demo"), Paths(tree, "smear_demo"))).words
    assert "found no fault in it" in words


def test_no_search_no_chapter(tree, settings):
    (tree / "data" / "tuned" / "smear_demo" / "trials.csv").unlink()
    (tree / "data" / "tuned" / "smear_demo.yaml").write_text("{}\n")
    task = settings("smear_demo", **{"tune.trials": 0})
    page = Page(report(task, Paths(tree, "smear_demo")))
    assert "tuning" not in [each["id"] for each in page.all("section")]


def test_album_tells_charts_from_photos(tmp_path, helpers):
    helpers["chart"](tmp_path / "chart.png")
    helpers["photo"](tmp_path / "photo.png")
    album = ImageEmbedder()
    chart, photo = (album.add(tmp_path / f"{name}.png", "", "") for name in ("chart", "photo"))
    assert chart.chart
    assert chart.src.startswith("data:image/png")
    assert not photo.chart
    assert photo.src.startswith("data:image/jpeg")


def test_charts_keep_their_size_in_inches():
    stream = io.BytesIO()
    Image.new("RGB", (288, 144), "white").save(stream, "PNG", dpi=(144, 144))
    chart = ImageEmbedder().add(stream.getvalue(), "", "")
    assert (chart.width, chart.height) == (192, 96)


def test_album_shrinks_what_is_heavy_and_then_refuses(tmp_path, helpers, caplog):
    helpers["photo"](tmp_path / "big.png", (1700, 1000))
    album = ImageEmbedder(budget=700_000)
    pictures = [album.add(tmp_path / "big.png", "noise", "") for _ in range(4)]
    assert pictures[0].width < 1700
    assert sum(len(each.src) for each in pictures if each) <= 700_000 + 4 * 30
    assert pictures[-1] is None
    assert "too heavy" in caplog.text


def test_album_lays_transparency_on_white_and_survives_broken_files(tmp_path, caplog):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(stream, "PNG")
    assert ImageEmbedder().add(stream.getvalue(), "", "").chart
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with caplog.at_level(logging.WARNING):
        assert ImageEmbedder().add(tmp_path / "broken.png", "", "") is None
    assert "left out of the report" in caplog.text
