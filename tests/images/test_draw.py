"""Drawings stand where the boxes are, and never change the picture they are given."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tropho.images.draw import (
    FALSE,
    HIT,
    MISSED,
    class_colours,
    contact_sheet,
    draw_boxes,
    enlarged,
    write_png,
)


def test_lines_cover_the_outermost_pixels_of_the_box_and_nothing_else() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    drawn = draw_boxes(image, np.array([[5, 3, 15, 9]]), [HIT], thickness=1)
    expected = image.copy()
    expected[3:9, 5:15] = HIT
    expected[4:8, 6:14] = 0
    assert np.array_equal(drawn, expected)
    assert (image == 0).all()


def test_thickness_grows_inwards() -> None:
    drawn = draw_boxes(np.zeros((40, 40, 3), np.uint8), np.array([[10, 10, 30, 30]]), [FALSE], thickness=3)
    assert (drawn[10:13, 10:30] == FALSE).all()
    assert (drawn[:10] == 0).all()
    assert (drawn[13:27, 13:27] == 0).all()


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), np.zeros((0, 4), np.float32), np.array([])])
def test_no_boxes_change_nothing(boxes: np.ndarray) -> None:
    image = np.full((8, 9, 3), 77, np.uint8)
    image.flags.writeable = False
    assert np.array_equal(draw_boxes(image, boxes, [], []), image)


def test_captions_are_written_in_the_picture_even_at_its_edges() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    for box in ([0, 0, 10, 10], [110, 90, 120, 100], [-5, -5, 200, 200], [50, 50, 60, 60]):
        plain = draw_boxes(image, np.array([box]), [MISSED])
        tagged = draw_boxes(image, np.array([box]), [MISSED], ["WBC 0.93"])
        assert tagged.shape == image.shape
        assert (tagged != plain).any(axis=2).sum() > 100


def test_captions_cover_no_box_and_are_left_out_without_room() -> None:
    image = np.zeros((120, 120, 3), np.uint8)
    crowd = np.array([[x, y, x + 10, y + 10] for x in range(0, 120, 12) for y in range(0, 120, 12)], float)
    plain = draw_boxes(image, crowd, [HIT] * len(crowd))
    assert np.array_equal(draw_boxes(image, crowd, [HIT] * len(crowd), ["WBC 0.93"] * len(crowd)), plain)
    pair = np.array([[30, 60, 50, 80], [30, 40, 50, 58]], float)  # the second is where the first one's tag would be
    tagged = draw_boxes(image, pair, [HIT, FALSE], ["x", "y"])
    for left, top, right, bottom in pair.astype(int):
        assert np.array_equal(
            tagged[top:bottom, left:right], draw_boxes(image, pair, [HIT, FALSE])[top:bottom, left:right]
        )


def test_long_captions_of_a_sheet_are_broken_and_not_cut() -> None:
    tile = np.zeros((20, 120, 3), np.uint8)
    short, long = (contact_sheet([tile], [text], 1, 120) for text in ("one", "a caption of several words, all of it"))
    assert long.shape[0] > short.shape[0]
    below = short.shape[0] - 16  # where the only line of the short caption ends
    assert (long[below:] < 200).any()


def test_as_many_colours_and_captions_as_boxes() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="zip"):
        draw_boxes(image, np.array([[1, 1, 5, 5]]), [])
    with pytest.raises(ValueError, match="zip"):
        draw_boxes(image, np.array([[1, 1, 5, 5]]), [HIT], ["a", "b"])


@given(st.lists(st.floats(-50, 150), min_size=4, max_size=4))
def test_any_finite_box_can_be_drawn(values: list[float]) -> None:
    box = np.array([min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])])
    assert draw_boxes(np.zeros((60, 60, 3), np.uint8), box[None], [HIT], ["x"]).shape == (60, 60, 3)


def test_contact_sheet_holds_every_tile_unchanged_at_its_own_width() -> None:
    tiles = [np.full((50 + 10 * number, 100, 3), 40 * number, np.uint8) for number in range(5)]
    sheet = contact_sheet(
        tiles, [f"tile {number}" for number in range(5)], 2, 100, "A title", [("WBC", HIT), ("other", FALSE)]
    )
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * 108 + 8
    for number, tile in enumerate(tiles[1:], 1):
        assert (sheet == 40 * number).all(axis=2).sum() >= tile.shape[0] * tile.shape[1]
    assert (sheet == HIT).all(axis=2).any()


def test_contact_sheet_scales_tiles_and_survives_odd_input() -> None:
    assert contact_sheet([np.zeros((10, 10, 3), np.uint8)], ["x" * 500], 4, 80).shape[1] == 96
    assert contact_sheet([], [], 3).ndim == 3
    many = [(f"class number {number}", HIT) for number in range(30)]
    one = contact_sheet([np.zeros((10, 10, 3), np.uint8)], [""], 1, 200, legend=many[:1])
    assert contact_sheet([np.zeros((10, 10, 3), np.uint8)], [""], 1, 200, legend=many).shape[0] > one.shape[0]


def test_enlarging_keeps_small_pixels_square_and_tells_the_factor() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    large, factor = enlarged(image, 50)
    assert factor == 10
    assert np.array_equal(large, image.repeat(10, 0).repeat(10, 1))


def test_colours_differ_for_the_usual_number_of_classes() -> None:
    colours = class_colours(["a", "b", "c", "d"])
    assert list(colours) == ["a", "b", "c", "d"]
    assert len(set(colours.values())) == 4
    assert len(class_colours([str(number) for number in range(20)])) == 20


def test_write_png_is_lossless(tmp_path: Path, rng: np.random.Generator) -> None:
    image = np.full((30, 30, 3), 240, np.uint8)
    image[10:20, 10:20] = rng.integers(0, 256, 3)
    write_png(tmp_path / "new" / "a.png", image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png"]
