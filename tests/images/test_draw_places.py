"""Where contact sheets and captions put things, to the pixel."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from tropho.images import draw, fonts
from tropho.images.draw import HIT, class_colours, contact_sheet, draw_boxes, enlarged

GAP, LINE = 8, 22
RED, BLUE = (200, 0, 0), (0, 0, 200)


def of(colour, height, width):
    return np.full((height, width, 3), colour, np.uint8)


def extent(mask):
    """First and last column, first and last row of a mask."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())


def place_of(sheet, colour):
    return extent((sheet == colour).all(axis=2))


def changed(one, two):
    return extent((one != two).any(axis=2))


def test_tiles_stand_in_rows_with_room_for_captions():
    tiles = [of((50 + number, 90, 90), 20 + 10 * number, 40) for number in range(5)]
    sheet = contact_sheet(tiles, [""] * 5, 2, 40)
    tops = [GAP, GAP, 3 * GAP + 30 - GAP + LINE, 3 * GAP + 30 - GAP + LINE]
    tops.append(tops[-1] + 50 + LINE + GAP)
    assert sheet.shape == (tops[-1] + 60 + LINE + GAP + GAP, 2 * 40 + 3 * GAP, 3)
    for number, (tile, top) in enumerate(zip(tiles, tops, strict=True)):
        left = GAP + (number % 2) * (40 + GAP)
        height = tile.shape[0]
        assert place_of(sheet, tile[0, 0]) == (left, left + 39, top, top + height - 1)
    assert (sheet == 255).all(axis=2).sum() == sheet.shape[0] * sheet.shape[1] - sum(t.size // 3 for t in tiles)


def test_a_tile_of_another_width_is_scaled():
    sheet = contact_sheet([of(RED, 10, 20), of(BLUE, 500, 80)], ["", ""], 2, 80)
    assert place_of(sheet, RED) == (GAP, GAP + 79, GAP, GAP + 39)
    assert place_of(sheet, BLUE)[3] == GAP + 499  # one of the right width keeps its height, however tall


def test_captions_stand_under_their_tiles():
    tiles = [of(RED, 30, 60), of(RED, 20, 60), of(BLUE, 20, 60)]
    plain = contact_sheet(tiles, ["", "", ""], 2, 60)
    captioned = contact_sheet(tiles, ["", "Ml", "Ml"], 2, 60)
    assert captioned.shape == plain.shape
    first, last, top, bottom = changed(captioned[: GAP + 30 + LINE], plain[: GAP + 30 + LINE])
    assert GAP + 60 + GAP <= first < last < 2 * (GAP + 60)
    assert GAP + 20 + 3 <= top < bottom < GAP + 20 + LINE
    first, last, top, bottom = changed(captioned[GAP + 30 + LINE :], plain[GAP + 30 + LINE :])
    assert GAP <= first < last < GAP + 60
    assert GAP + 20 + 3 <= top < bottom < GAP + 20 + LINE


def test_title_and_legend_push_the_tiles_down():
    tile = of(BLUE, 20, 200)
    bare, titled, both = (
        contact_sheet([tile], [""], 1, 200, title, legend)
        for title, legend in (("", ()), ("T", ()), ("T", [("x", RED)]))
    )
    assert [place_of(each, BLUE)[2] for each in (bare, titled, both)] == [GAP, GAP + 26, GAP + 26 + LINE]
    assert [each.shape[0] - bare.shape[0] for each in (titled, both)] == [26, 26 + LINE]
    assert place_of(both, RED) == (GAP + 1, GAP + 12, GAP + 26 + 3, GAP + 26 + 14)  # within its outline
    assert both[GAP + 26 + 2, GAP].tolist() == both[GAP + 26 + 15, GAP + 13].tolist() == [30, 30, 30]
    untitled = contact_sheet([tile], [""], 1, 200, "", [("x", RED)])
    assert place_of(untitled, RED)[2:] == (GAP + 3, GAP + 14)


def test_a_long_title_ends_before_the_edge():
    sheet = contact_sheet([of(BLUE, 5, 100)], [""], 1, 100, "i" * 300)
    first, last, _, _ = extent((sheet[: GAP + LINE] < 128).all(axis=2))
    assert first >= GAP
    assert 116 - GAP - 12 < last < 116 - GAP + 1


def test_a_legend_wraps_at_the_edge_and_not_before():
    names = [("mmm", RED), ("mmm", BLUE)]
    wide = contact_sheet([of((9, 90, 9), 5, 400)], [""], 1, 400, "", names)
    needed = place_of(wide, BLUE)[0] - place_of(wide, RED)[0]
    assert place_of(wide, BLUE)[2:] == place_of(wide, RED)[2:]
    dark = (wide[GAP : GAP + LINE, GAP + 14 : GAP + needed] < 128).all(axis=2)
    first, last, _, _ = extent(dark)
    assert 6 <= first <= 9  # 6 pixels after the swatch
    assert 15 <= needed - 14 - last <= 22  # 18 pixels before the next

    fits = contact_sheet([of((9, 90, 9), 5, 50)], [""], 1, 2 * needed - GAP, "", names)
    assert fits.shape[1] == GAP + 2 * needed
    assert place_of(fits, BLUE)[2] == place_of(fits, RED)[2]
    wraps = contact_sheet([of((9, 90, 9), 5, 50)], [""], 1, 2 * needed - GAP - 1, "", names)
    assert place_of(wraps, BLUE)[2] == place_of(wraps, RED)[2] + LINE
    assert place_of(wraps, BLUE)[0] == place_of(wraps, RED)[0] == GAP + 1
    assert place_of(wraps, (9, 90, 9))[2] == GAP + 2 * LINE
    second = (wraps[GAP + LINE : GAP + 2 * LINE, GAP + 20 :] < 128).all(axis=2)
    assert second.any()


def test_a_name_too_long_for_a_line_stands_on_the_first():
    sheet = contact_sheet([of(BLUE, 5, 60)], [""], 1, 60, "", [("m" * 80, RED)])
    assert place_of(sheet, RED)[2] == GAP + 3
    assert place_of(sheet, BLUE)[2] == GAP + LINE


class Typewriter:
    """A font whose letters are all 10 pixels wide."""

    def getlength(self, text):
        return 10 * len(text)


@pytest.mark.parametrize(
    ("width", "shown"),
    [(60, "abcdef"), (59, "ab…ef"), (50, "ab…ef"), (49, "ab…f"), (30, "a…f"), (29, "…"), (0, "…")],
)
def test_what_is_too_long_loses_its_middle(width, shown):
    assert draw._shortened("abcdef", Typewriter(), width) == shown


def test_enlarging_bounds_the_height_and_chooses_how_by_the_factor():
    large, factor = enlarged(of(RED, 400, 10), 20)
    assert (large.shape, factor) == ((60, 2, 3), 0.15)
    assert enlarged(of(RED, 400, 2), 3)[0].shape == (9, 1, 3)
    noise = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    assert np.array_equal(enlarged(noise, 24)[0], noise.repeat(4, 0).repeat(4, 1))
    assert not np.array_equal(enlarged(noise, 18)[0], noise.repeat(3, 0).repeat(3, 1))


def test_colours_repeat_from_the_eighth_class_on():
    colours = list(class_colours([str(number) for number in range(9)]).values())
    assert colours[7:] == colours[:2]
    assert len(set(colours)) == 7


def test_lines_grow_with_the_image():
    for side, thickness in ((100, 1), (500, 2), (1250, 5)):
        drawn = draw_boxes(of((0, 0, 0), 60, side), np.array([[5, 5, 50, 50]]), [HIT])
        assert (drawn[20, :30] == HIT).all(axis=1).sum() == thickness


def test_several_boxes_have_their_own_colours_and_captions():
    boxes = np.array([[10, 40, 30, 60], [60, 40, 90, 70]])
    drawn = draw_boxes(of((0, 0, 0), 100, 120), boxes, [RED, BLUE], ["", "b"])
    assert place_of(drawn, RED) == (10, 29, 40, 59)
    assert place_of(drawn, BLUE)[:2] == (60, 89)
    assert place_of(drawn, BLUE)[2] < 40


def tag(image, box, caption, colour=BLUE):
    """Extents of a caption's tag, and of the letters on it."""
    plain = draw_boxes(image, np.array([box]), [colour])
    tagged = draw_boxes(image, np.array([box]), [colour], [caption])
    left, right, top, bottom = changed(tagged, plain)
    letters = (tagged[top : bottom + 1, left : right + 1] != colour).any(axis=2)
    ink = extent(letters)
    return (left, right, top, bottom), (left + ink[0], left + ink[1], top + ink[2], top + ink[3])


def size_of_text(caption, size):
    pen = ImageDraw.Draw(Image.new("RGB", (9, 9)))
    left, top, right, bottom = pen.textbbox((0, 0), caption, font=ImageFont.truetype(fonts.DEFAULT, size))
    return int(right - left), int(bottom - top)


@pytest.mark.parametrize(("side", "size"), [(300, 10), (1800, 40)])
def test_a_tag_stands_on_its_box_two_pixels_around_the_letters(side, size):
    width, height = (each + 4 for each in size_of_text("jW", size))
    (left, right, top, bottom), ink = tag(of((9, 9, 9), 200, side), [50, 120, 90, 190], "jW")
    assert (left, right, top, bottom) == (50, 50 + width - 1, 120 - height, 119)
    assert np.abs(np.array(ink) - [left + 2, right - 2, top + 2, bottom - 2]).max() <= 1


def test_a_tag_stays_in_the_picture():
    width, height = (each + 4 for each in size_of_text("Abc", 10))
    image = of((9, 9, 9), 100, 120)
    right_edge, _ = tag(image, [110, 50, 118, 60], "Abc")
    assert right_edge == (120 - width, 119, 50 - height, 49)
    just_above, _ = tag(image, [30, height, 60, 80], "Abc")
    assert just_above[2:] == (0, height - 1)
    drawn = draw_boxes(image, np.array([[30, height - 1, 60, 80]]), [BLUE], ["Abc"])
    assert (drawn[: height - 1] == 9).all()  # no room above: in the box
    flat = draw_boxes(of((9, 9, 9), 20, 400), np.array([[5, 10, 395, 18]]), [BLUE], ["Abc"])
    assert (flat[20 - height : 10, 5] == BLUE).all()  # in a large box, moved up as far as it must
    assert (flat[: 20 - height] == 9).all()


def test_a_tag_without_a_free_place_is_left_out():
    image, boxes = of((9, 9, 9), 20, 120), np.array([[5, 10, 115, 18]])
    np.testing.assert_array_equal(draw_boxes(image, boxes, [BLUE], ["Abc"]), draw_boxes(image, boxes, [BLUE]))


@pytest.mark.parametrize(
    ("colour", "letters"),
    [
        ((140, 140, 140), 255),
        ((141, 141, 141), 0),
        ((255, 1, 1), 255),
        ((1, 1, 255), 255),
        ((1, 255, 1), 0),
        ((1, 200, 255), 0),
        ((255, 150, 1), 0),
        ((255, 100, 1), 255),
    ],
)
def test_letters_are_black_on_bright_tags_and_white_on_dark_ones(colour, letters):
    drawn = draw_boxes(of((9, 9, 9), 900, 900), np.array([[50, 500, 900, 900]]), [colour], ["HHH"])
    tag_rows = drawn[495:499, 52:120]
    assert (tag_rows == letters).all(axis=2).any()


def test_letters_of_a_machine_s_font_are_drawn_with_it(monkeypatch):
    stix = Path(mpl.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
    monkeypatch.setattr(fonts, "_machine_fonts", lambda: [stix])
    monkeypatch.setattr(fonts, "_used", set())
    missing = sorted(set(FT2Font(str(stix)).get_charmap()) - fonts._letters(fonts.DEFAULT))
    own = [chr(code) for code in missing if code > 0x2000 and not fonts._needs_shaping(chr(code))]
    made = {contact_sheet([of(RED, 5, 60)], [letter], 1, 60).tobytes() for letter in own[:2]}
    assert len(made) == 2  # each its own shape, not the box that stands for a missing one
