"""Names in figures: drawn where a font has their letters, replaced where none has, and never parsed as formulas."""

import warnings
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font

from tropho.images import draw, fonts
from tropho.plots import panels, style

STIX = Path(mpl.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
NAMES = ["None", r"$\frac$", "日本", "خلية", "कोशिका", "Клетка", "a+b", "_x", "a\rb\n", "e\u0301", "🦠", "\u200d"]


@pytest.fixture
def bare(monkeypatch):
    """A machine without fonts of its own."""
    monkeypatch.setattr(fonts, "_machine_fonts", list)
    monkeypatch.setattr(fonts, "_used", set())


@pytest.mark.usefixtures("bare")
def test_what_no_font_draws_has_a_stand_in():
    assert fonts.stand_ins(["a", "日本", "é", "خلية"]) == {"خلية": "class 4", "日本": "class 2"}
    assert fonts.stand_ins(["class 2", "日本"]) == {"日本": "label 2"}
    with fonts.naming(["a", "日本"]):
        assert fonts.drawn("missed 日本 0.93") == "missed class 2 0.93"
    assert fonts.drawn("画像_01.png") == "(753b 50cf)_01.png"
    assert fonts.drawn("병원체 1") == "(byeong weon ce) 1"


def test_a_font_of_the_machine_is_used_where_it_has_the_letters(monkeypatch):
    own = next(chr(code) for code in FT2Font(str(STIX)).get_charmap()
               if code > 0x2000 and not fonts.font_for(chr(code)) and not fonts._needs_shaping(chr(code)))  # fmt: skip
    monkeypatch.setattr(fonts, "_machine_fonts", lambda: [STIX])
    monkeypatch.setattr(fonts, "_used", set())
    assert fonts.font_for(f"a{own}") == STIX
    assert fonts.stand_ins([own]) == {}
    assert fonts._used == {STIX}
    fontManager.addfont(str(STIX))  # a cache of another installation may not know this copy
    assert Path(findfont(FT2Font(str(STIX)).family_name)).name == STIX.name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.png_bytes(panels.confusion(np.eye(1), [own], "title"))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_drawn_without_a_warning(name):
    with warnings.catch_warnings(), fonts.naming([name, "b"]):
        warnings.simplefilter("error")
        figure = panels.grouped_bars({style.plain(name): np.array([0.5, 0.2])}, [name, "b"], "title")
        fonts.save_png(figure, BytesIO())
        sheet = draw.contact_sheet([np.zeros((20, 20, 3), np.uint8)], [f"{name}.png"], 1, 90, name, [(name, (9, 9, 9))])
        draw.draw_boxes(sheet, np.array([[5, 5, 20, 20]]), [(9, 9, 9)], [name])


@pytest.mark.usefixtures("bare")
@given(st.text())
def test_what_is_drawn_can_be_drawn(text):
    assert fonts.font_for(fonts.drawn(text)) == fonts.DEFAULT
