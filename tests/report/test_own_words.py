"""Tests of the author's own words: kept, rendered safely, pictures embedded."""

import re

from stage_outputs import draw_photo
from tropho.report.blocks import Hint, OwnWords
from tropho.report.own_words import own_words, to_html


def test_a_text_stands_in_its_chapter_and_a_hint_says_where_to_write_it(cells_reader):
    (hint,) = own_words(cells_reader, "literature", "What has been done?")
    assert isinstance(hint, Hint)
    assert hint.text.startswith("What has been done? Write it in reports/cells_demo/text/literature.md")
    cells_reader.paths.own_text.mkdir(parents=True)
    (cells_reader.paths.own_text / "literature.md").write_text("# Before\n\nMuch **work**.", encoding="utf-8")
    (words,) = own_words(cells_reader, "literature", "")
    assert isinstance(words, OwnWords)
    assert words.html == "<h3>Before</h3>\n<p>Much <strong>work</strong>.</p>\n"
    assert words.markdown == "# Before\n\nMuch **work**."


def test_html_and_scripts_in_a_text_are_only_text(tmp_path):
    html = to_html("<script>alert(1)</script> [x](javascript:alert(1)) <b>bold</b>", tmp_path)
    assert not re.search(r"<script|<b>|href", html)


def test_tables_are_drawn(tmp_path):
    assert "<td>2</td>" in to_html("| a | b |\n|---|---|\n| 1 | 2 |", tmp_path)


def test_pictures_beside_the_text_are_embedded_and_no_others(tmp_path):
    folder = tmp_path / "text"
    draw_photo(folder / "my photo.png")
    draw_photo(tmp_path / "secret.png")
    html = to_html("![a cell](my%20photo.png) ![b](../secret.png) ![c](none.png) ![d](https://x.org/y.png)", folder)
    assert html.count("data:image/jpeg") == 1
    assert 'alt="a cell"' in html
    assert html.count("can't be read") == 3
    assert "https://x.org" not in re.sub(r"\[[^\]]*\]", "", html)
