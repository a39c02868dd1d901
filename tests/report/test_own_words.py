"""Tests of the author's own words: kept, rendered safely, pictures embedded."""

import re

import pytest
from PIL import Image

from stage_outputs import draw_photo
from tropho.report import own_words as module
from tropho.report.blocks import Hint, OwnWords
from tropho.report.comparison import literature
from tropho.report.own_words import own_words, read_title, read_words, render_words, unknown_texts
from tropho.report.page import read_report, render_markdown, render_page
from tropho.report.reader import texts
from tropho.stages.report import run


def test_a_text_stands_in_its_chapter_and_a_hint_says_where_to_write_it(cells_reader):
    assert literature(cells_reader)[0].text.endswith("nothing has been published on them.")
    hint = own_words(cells_reader, "literature")
    assert isinstance(hint, Hint)
    assert hint.text.startswith("What has been done?")
    assert " Write it in reports/cells_demo/text/literature.md" in hint.text
    cells_reader.paths.own_text.mkdir(parents=True)
    (cells_reader.paths.own_text / "literature.md").write_text("# Before\n\nMuch **work**.", encoding="utf-8")
    assert literature(cells_reader) == []  # contradicted by nothing
    words = own_words(cells_reader, "literature")
    assert isinstance(words, OwnWords)
    assert words.html == "<h3>Before</h3>\n<p>Much <strong>work</strong>.</p>\n"
    assert words.markdown == "### Before\n\nMuch **work**."


@pytest.fixture
def render(tmp_path):
    """A function that renders a text of a folder; returns the words and what is wrong."""

    def render(text):
        faults = []
        return render_words(text, tmp_path / "text" / "data.md", faults), faults

    return render


@pytest.fixture
def write(cells_reader, monkeypatch):
    """A function that writes a text of the author's; no PDF is printed."""
    monkeypatch.setattr("tropho.report.page.find_browser", lambda: None)

    def write(name, text):
        cells_reader.paths.own_text.mkdir(parents=True, exist_ok=True)
        (cells_reader.paths.own_text / name).write_text(text, encoding="utf-8")

    return write


def test_html_and_scripts_in_a_text_are_only_text(render):
    html = render("<script>alert(1)</script> [x](javascript:alert(1)) <b>bold</b>")[0].html
    assert not re.search(r"<script|<b>|href", html)


def test_tables_are_drawn(render):
    assert "<td>2</td>" in render("| a | b |\n|---|---|\n| 1 | 2 |")[0].html


def test_pictures_beside_the_text_are_embedded_and_no_others(render, tmp_path):
    folder = tmp_path / "text"
    draw_photo(folder / "my photo.png")
    draw_photo(tmp_path / "secret.png")
    others = "![b](../secret.png) ![c](none.png) ![d](https://x.org/y.png) ![e](a/../../text/my%20photo.png)"
    words, faults = render(f"![a cell](my%20photo.png) {others} ![f](my_photo.png)")
    assert words.html.count("data:image/jpeg") == 1
    assert 'alt="a cell"' in words.html
    assert words.html.count("can't be read") == len(faults) == 5
    assert "https://x.org" not in re.sub(r"\[[^\]]*\]", "", words.html)
    assert words.files == {"my photo.png": folder / "my photo.png"}
    assert faults[1].startswith("data.md: none.png can't be read beside this text")
    assert faults[-1] == "data.md: my_photo.png can't be read beside this text (did you mean 'my photo.png'?)."


def test_a_picture_is_turned_upright(render, tmp_path):
    (tmp_path / "text").mkdir()
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "text" / "a.jpg", exif=exif)
    assert module.embed_image(tmp_path / "text" / "a.jpg", "", "").width == 20


def test_headings_lie_below_the_chapter_in_markdown_too(render):
    text = "# One\n\nTwo\n---\n\n```\n# no heading\n```\n\n###### Six #\n#hash"
    words, _ = render(text)
    assert words.markdown.splitlines() == [
        *("### One", "", "#### Two", "", "", "```", "# no heading", "```", "", "###### Six #", "#hash")
    ]
    assert re.findall(r"<h(\d)>", words.html) == ["3", "4", "6"]


def test_pictures_of_the_text_lie_beside_the_document(cells_reader, write):
    write("data.md", "## Mine\n\n![A glioma](glioma.png)")
    draw_photo(cells_reader.paths.own_text / "glioma.png")
    text, files = render_markdown(read_report(cells_reader.task, cells_reader.paths))
    assert "\n#### Mine\n" in text
    assert "![A glioma](glioma.png)" in text
    assert files["glioma.png"] == (cells_reader.paths.own_text / "glioma.png").read_bytes()


def test_the_stage_says_what_it_does_not_show(cells_reader, write, capsys):
    write("discusion.md", "Mine")
    write("xyz.txt", "Mine")
    write(".hidden.md", "Mine")
    write("data.md", "![x](nofile.png)")
    run(cells_reader.task, cells_reader.paths.root)
    told = capsys.readouterr().err
    assert "reports/cells_demo/text/discusion.md belongs to no chapter (did you mean 'discussion'?)." in told
    assert "text/xyz.txt belongs to no chapter; known are data, discussion, errors" in told
    assert "data.md: nofile.png can't be read beside this text." in told
    assert "hidden" not in told
    page = cells_reader.paths.report.read_text(encoding="utf-8")
    assert "discusion.md belongs to no chapter" in page


def test_every_chapter_text_is_shown_once(cells_reader, write):
    for name in texts("own_words"):
        write(f"{name}.md", f"My {name}.")
    page = render_page(read_report(cells_reader.task, cells_reader.paths))
    assert all(page.count(f"My {name}.") == 1 for name in texts("own_words"))


def test_title_authors_and_summary_stand_at_the_top(cells_reader, write):
    page = render_page(read_report(cells_reader.task, cells_reader.paths))
    assert "<h1>cells_demo</h1>" in page
    assert "text/title.md and a summary in summary.md" in page
    write("title.md", "# Cells <of> blood #\n\nA. Author, B. Author  \nMachine learning, 2026\n")
    write("summary.md", "We **found** it.")
    report = read_report(cells_reader.task, cells_reader.paths)
    page, (text, _) = render_page(report), render_markdown(report)
    assert "<h1>Cells &lt;of&gt; blood</h1>" in page
    assert "<p>A. Author, B. Author<br" in page
    assert page.index("We <strong>found</strong> it.") < page.index('id="headline"')
    assert "and a summary in summary.md" not in page
    assert text.startswith("# Cells \\<of\\> blood\n\nA. Author, B. Author")
    assert text.index("## Summary") < text.index("We **found** it.") < text.index("## Result")
    assert unknown_texts(cells_reader) == []
    write("title.md", "Only a title")
    assert read_title(cells_reader) == ("Only a title", None)
    assert read_words(cells_reader, "data") is None
