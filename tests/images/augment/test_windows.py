"""Windows lie in their image, around objects or away from them, and boxes follow."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.crop import choose_window, crop, field_of_view, zoom


def scene_of(boxes: list[tuple[float, ...]], width: int = 120, height: int = 80) -> AnnotatedImage:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return AnnotatedImage(np.full((height, width, 3), 150, np.uint8), array, np.arange(len(array)))


def test_boxes_are_cut_at_the_window_and_go_when_too_little_is_left() -> None:
    scene = scene_of([(10, 10, 20, 20), (25, 30, 45, 40), (46, 30, 50, 34), (0, 0, 5, 5), (30, 50, 40, 60)])
    part = crop(scene, 30, 20, 20, 33)
    # of the second 15 of 20 columns are in it, of the third all, of the last 3 of 10 rows: just enough
    assert part.boxes.tolist() == [[0, 10, 15, 20], [16, 10, 20, 14], [0, 30, 10, 33]]
    assert part.labels.tolist() == [1, 2, 4]
    assert part.size == (20, 33)
    assert crop(scene, 30, 20, 20, 32).labels.tolist() == [1, 2]
    assert crop(scene, 60, 0, 20, 20).boxes.shape == (0, 4)


coordinates = st.tuples(st.floats(0, 110), st.floats(0, 70), st.floats(0.5, 60), st.floats(0.5, 60))


@given(st.lists(coordinates, max_size=6), st.integers(1, 200), st.integers(1, 200), st.integers(0, 99), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_window_lies_in_the_image(
    drawn: list[tuple[float, ...]], width: int, height: int, seed: int, around: bool
) -> None:
    scene = scene_of([(x, y, min(x + w, 120), min(y + h, 80)) for x, y, w, h in drawn])
    rng = np.random.default_rng(seed)
    left, top, wide, high = choose_window(scene, width, height, float(around), rng)
    assert (wide, high) == (min(width, 120), min(height, 80))
    assert 0 <= left <= 120 - wide
    assert 0 <= top <= 80 - high
    part = crop(scene, left, top, wide, high)
    assert part.size == (wide, high)
    assert (part.boxes >= 0).all()
    assert (part.boxes <= [wide, high, wide, high]).all()
    if around and drawn:  # the object that was drawn, or as much of it as the window holds, is in the window
        sides = np.minimum(scene.boxes[:, 2:] - scene.boxes[:, :2], [wide, high])
        low = np.maximum(scene.boxes[:, :2], [left, top])
        shown = np.minimum(scene.boxes[:, 2:], [left + wide, top + high]) - low
        assert (shown >= sides - 1.01).all(axis=1).any()


def test_windows_around_objects_hold_them_anywhere_and_others_keep_away(rng: np.random.Generator) -> None:
    scene = scene_of([(50, 30, 60, 40)])
    around = [choose_window(scene, 40, 40, 1.0, rng) for _ in range(200)]
    assert all(20 <= left <= 50 and 0 <= top <= 30 for left, top, _, _ in around)
    assert len({left for left, *_ in around}) > 20
    away = [choose_window(scene, 40, 40, 0.0, rng) for _ in range(200)]
    assert not any(left <= 55 < left + 40 and top <= 35 < top + 40 for left, top, _, _ in away)
    both = [choose_window(scene, 40, 40, 0.5, rng) for _ in range(400)]
    held = sum(left <= 50 and left + 40 >= 60 and top <= 30 and top + 40 >= 40 for left, top, _, _ in both)
    assert 150 < held < 250  # 200 expected, standard deviation 10


def test_windows_away_from_objects_lie_in_the_round_field(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:240, :320]
    inside = np.hypot(x - 160, y - 120) < 80
    image = np.where(inside[..., None], 140, 4).astype(np.uint8)
    scene = AnnotatedImage(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for _ in range(100):
        left, top, wide, high = choose_window(scene, 40, 40, 0.5, rng)
        assert inside[top : top + high, left : left + wide].mean() > 0.2  # its middle is in the field


def test_the_field_holds_its_dark_cells_but_not_the_surround() -> None:
    y, x = np.mgrid[:480, :640]
    image = np.full((480, 640, 3), 6, np.uint8)
    image[np.hypot(x - 320, y - 240) < 200] = (150, 120, 110)
    image[np.hypot(x - 300, y - 250) < 14] = (20, 15, 25)  # a nucleus
    field = field_of_view(image)
    assert field.step == 10
    assert field.inside[25, 30]
    assert not field.inside[:3].any()
    assert abs(field.inside.sum() * 100 / (np.pi * 200**2) - 1) < 0.08
    assert field_of_view(np.zeros((30, 40, 3), np.uint8)).inside.all()


def test_zooming_takes_boxes_along() -> None:
    scene = scene_of([(12, 8, 60, 40)])
    larger = zoom(scene, 1.25)
    assert larger.size == (150, 100)
    assert larger.boxes.tolist() == [[15, 10, 75, 50]]
    smaller = zoom(scene, 0.34)
    assert smaller.size == (41, 27)
    np.testing.assert_allclose(smaller.boxes, [[12 * 41 / 120, 8 * 27 / 80, 60 * 41 / 120, 40 * 27 / 80]], rtol=1e-6)
    assert zoom(scene, 1.0) is scene
