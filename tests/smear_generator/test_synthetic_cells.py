import cv2
import numpy as np
import pytest

from smear_generator import objects
from smear_generator.field import Canvas, Disc, new_look, stamp, tight_box
from smear_generator.objects import trophozoite, white_cell
from smear_generator.strokes import mix_stains

DRAWN = [trophozoite, white_cell, *objects.SMALL, objects.clump, objects.bubble]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("size", [8.0, 27.5, 60.0])
def test_objects_fade_before_the_patch_border(draw, size):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        patch = draw(rng, size, mix_stains(rng, 0.5), 1.0)
        assert patch.dtype == np.float32
        assert patch.shape[0] == 3
        assert patch.shape[1] == patch.shape[2]
        assert patch.shape[1] % 2 == 1
        assert np.isfinite(patch).all()
        rim = np.concatenate([patch[:, 0], patch[:, -1], patch[:, :, 0], patch[:, :, -1]], axis=1)
        assert np.abs(rim).max() < 0.1, "a stroke that is cut off shows a straight edge"


@pytest.mark.parametrize(("draw", "ratio"), [(trophozoite, 1.0), (white_cell, 1.0)])
def test_objects_have_the_given_size(draw, ratio):
    sides = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        density = np.zeros((3, 121, 121), np.float32)
        box = tight_box("x", density, draw(rng, 40.0, mix_stains(rng, 0.0), 1.0), 60, 60)
        sides.append(np.sqrt((box.xmax - box.xmin) * (box.ymax - box.ymin)))
    assert np.median(sides) == pytest.approx(40.0 * ratio, rel=0.12)


def test_trophozoite_has_dark_dot_and_paler_body():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        density = trophozoite(rng, 40.0, mix_stains(rng, 0.0), 1.0).max(axis=0)
        dot, body = density > 0.75 * density.max(), density > 0.15
        assert 0.02 < dot.sum() / body.sum() < 0.45
        assert cv2.connectedComponents(dot.astype(np.uint8))[0] - 1 <= 3


def test_tight_box_encloses_stamped_patch():
    density = np.zeros((3, 40, 60), np.float32)
    patch = np.zeros((3, 9, 9), np.float32)
    patch[:, 2:5, 3:8] = 0.5
    stamp(density, patch, 20, 10)
    box = tight_box("x", density, patch, 20, 10)
    rows, columns = np.nonzero(density[0])
    assert (box.ymin, box.ymax) == (rows.min(), rows.max() + 1)
    assert (box.xmin, box.xmax) == (columns.min(), columns.max() + 1)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (59, 39), (-3, 20), (30, 43), (500, 500)])
def test_stamp_clips_at_the_border(x, y):
    density = np.zeros((3, 40, 60), np.float32)
    patch = np.ones((3, 9, 9), np.float32)
    stamp(density, patch, x, y)
    seen = max(0, min(60, x + 5) - max(0, x - 4)) * max(0, min(40, y + 5) - max(0, y - 4))
    assert density.sum() == 3 * seen


def test_canvas_places_are_apart_and_inside_the_field(rng):
    disc = Disc(100, 80, 70)
    canvas = Canvas(rng, disc, np.zeros((3, 160, 200), np.float32))
    places = [place for _ in range(40) if (place := canvas.place(8, tries=50)) is not None]
    assert len(places) >= 10
    for index, (x, y) in enumerate(places):
        assert np.hypot(x - disc.x, y - disc.y) + 8 <= disc.radius
        assert all(np.hypot(x - a, y - b) > 14 for a, b in places[:index])


def test_new_look_varies_more_with_difficulty():
    def spread(difficulty: float) -> float:
        looks = [new_look(np.random.default_rng(seed), difficulty) for seed in range(60)]
        return float(np.std([look.stains.azure for look in looks], axis=0).mean())

    assert spread(1.0) > 1.5 * spread(0.0)
