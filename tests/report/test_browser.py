"""Tests of the page in a real browser without a window: the slider, accessibility, paper. Skipped without a browser."""

import html
import importlib.util
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stage_outputs import detection_dataset, write_data, write_results, write_runs
from tropho.images.cache import write_cache
from tropho.images.decode import ImageReader
from tropho.paths import Paths
from tropho.plots.detection_plots import detection_figures
from tropho.report.page import find_browser, headless, print_pdf, read_report, render_page
from tropho.report.photos import photo_viewer
from tropho.report.reader import Reader

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium, Chrome or Edge is installed")
MAX_PAGES = 12


@pytest.fixture(scope="module")
def reader(tmp_path_factory, settings):
    """Reader of all that the stages write of a detection task; its page is reports/smear_demo/index.html."""
    root, task = tmp_path_factory.mktemp("browser"), settings("smear_demo")
    paths = Paths(root, task.name)
    dataset = detection_dataset(root / "raw", 24, np.random.default_rng(0), ["Trophozoite", "WBC"])
    write_data(root, task.name, dataset)
    write_runs(root, task.name, dataset, json.loads(task.model_dump_json()), folds=3)
    write_results(root, task.name, dataset, "leaderboard_map", 0.8)
    dataset.predictions.to_parquet(paths.evaluate / "oof_postprocessed.parquet")
    write_cache(dataset.images, dataset.raw, paths.augmented / "cache", 96)
    tables = (dataset.images, dataset.boxes, dataset.predictions, dataset.classes, "NEG")
    detection_figures(*tables, ImageReader(dataset.raw), paths.evaluate / "figures" / "oof", gallery=12)
    paths.own_text.mkdir(parents=True)
    (paths.own_text / "literature.md").write_text(
        "## Others\n\nThey did *much*.\n\n| who | score |\n|---|---|\n| A | 1 |"
    )
    (paths.own_text / "title.md").write_text("# Cells\n\nA. Author, [a course](https://example.org)")
    (paths.own_text / "summary.md").write_text("All were found.")
    paths.report.write_text(render_page(read_report(task, paths)), encoding="utf-8")
    return Reader(task, paths)


def run_in_page(page: Path, script: str, folder: Path, *options: str):
    """Result of a script, an expression that may be a promise, in a copy of the page that lets it run."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    ending = f"""<script>addEventListener("load", async () => {{
      const result = await (async () => {{ {script} }})();
      const place = document.createElement("pre");
      place.id = "result";
      place.textContent = JSON.stringify(result);
      document.body.append(place);
    }})</script></body>"""
    copy = folder / "page.html"
    copy.write_text(text.replace("</body>", ending), encoding="utf-8")
    job = ("--virtual-time-budget=60000", "--dump-dom", copy.as_uri())
    command = [*headless(find_browser(), str(folder / "profile")), *options, *job]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)[1]))


def test_slider_redraws_boxes_and_counts(reader, tmp_path):
    script = """
      const slider = document.querySelector("input[type=range]");
      slider.value = 57;
      slider.dispatchEvent(new Event("input"));
      const viewer = slider.closest(".viewer");
      return {
        rows: [...viewer.querySelectorAll(".counts tbody tr")].map((row) => [...row.cells].map((c) => c.textContent)),
        shown: [...viewer.querySelectorAll("rect:not([display])")].map((b) => [b.classList[0], b.dataset.score]),
        said: viewer.querySelector("output").textContent,
      };"""
    result = run_in_page(reader.paths.report, script, tmp_path)
    (viewer,) = photo_viewer(reader)
    for index, row in enumerate(result["rows"]):
        hits, alarms = viewer.counts[57][index]
        assert row[:5] == [viewer.classes[index], "0.57", str(hits), str(alarms), str(viewer.truths[index] - hits)]
    expected = [
        [mark.kind, str(mark.score)]
        for photo in viewer.photos
        for mark in photo.marks
        if (mark.score >= 0.57) == (mark.kind != "missed")
    ]
    assert [[kind, float(score)] for kind, score in result["shown"]] == [[kind, float(s)] for kind, s in expected]
    assert result["said"] == "0.57"


def test_pictures_open_large_by_keyboard(reader, tmp_path):
    script = """
      const button = document.querySelector("button.enlarge");
      button.focus();
      button.click();
      const dialog = document.querySelector("dialog"), before = dialog.open;
      dialog.querySelectorAll("button")[1].click();
      const width = dialog.querySelector(".stage").firstElementChild.style.width;
      dialog.querySelectorAll("button")[0].click();
      return [document.activeElement === button, before, width, dialog.open];"""
    assert run_in_page(reader.paths.report, script, tmp_path) == [True, True, "150%", False]


def test_wide_tables_fade_until_scrolled_to_their_end(reader, tmp_path):
    script = """
      const tables = [...document.querySelectorAll(".table")].filter((t) => t.scrollWidth > t.clientWidth + 4);
      const fading = () => tables.map((table) => table.hasAttribute("data-more"));
      const before = fading();
      for (const table of tables) {
        table.scrollLeft = table.scrollWidth;
        table.dispatchEvent(new Event("scroll"));
      }
      return [before, fading()];"""
    before, after = run_in_page(reader.paths.report, script, tmp_path, "--window-size=390,800")
    assert len(before) > 0
    assert all(before)
    assert not any(after)


@pytest.mark.parametrize("options", [["--window-size=1280,1000"], ["--window-size=390,800"]], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(reader, tmp_path, options):
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed")
    axe = Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    script = f"""{axe};
      for (const details of document.querySelectorAll("details")) details.open = true;
      const found = await axe.run();
      return found.violations.map((v) => [v.impact, v.id, v.nodes.map((node) => node.html.slice(0, 120))]);"""
    violations = run_in_page(reader.paths.report, script, tmp_path, *options)
    assert [found for found in violations if found[0] in {"serious", "critical"}] == []


def test_page_prints_on_few_pages(reader, tmp_path):
    assert print_pdf(reader.paths.report, tmp_path / "report.pdf") == ""
    pages = re.findall(rb"/Type\s*/Page\b", (tmp_path / "report.pdf").read_bytes())
    assert 2 <= len(pages) <= MAX_PAGES
