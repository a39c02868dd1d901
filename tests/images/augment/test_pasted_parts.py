"""The parts of copy-paste and of the field of view, on numbers worked out by hand."""

import numpy as np
import pytest

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment import mix as pasting
from tropho.images.augment.crop import Field, choose_window, crop, field_of_view
from tropho.images.augment.mix import MOSAIC_MARGIN, is_separate, margin, mosaic

NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def test_margins_are_a_quarter_of_the_longer_side_and_three_at_least():
    boxes = np.array([[50, 60, 70, 74], [100, 100, 104, 106], [30, 90, 39, 111], [0, 0, 12, 12]], np.float32)
    assert margin(boxes).tolist() == [5, 3, 6, 3]
    assert margin(boxes[:0]).shape == (0,)


def test_margins_may_touch_the_edges_and_other_boxes():
    left_edge = np.array([[3, 50, 9, 56]], np.float32)
    assert is_separate(left_edge, 100, 100).tolist() == [True]
    assert is_separate(left_edge - [0.5, 0, 0.5, 0], 100, 100).tolist() == [False]
    top_edge = np.array([[50, 3, 56, 9]], np.float32)
    assert is_separate(top_edge, 100, 100).tolist() == [True]
    assert is_separate(top_edge, 59, 12).tolist() == [True]
    assert is_separate(top_edge, 58, 12).tolist() == [False]
    assert is_separate(top_edge, 59, 11).tolist() == [False]
    for shift in ([13, 0, 13, 0], [0, 13, 0, 13]):
        pair = np.array([[50, 50, 60, 60], np.array([50, 50, 60, 60]) + shift], np.float32)
        assert is_separate(pair, 200, 200).tolist() == [True, True]
        assert is_separate(pair - [[0] * 4, [each / 13 for each in shift]], 200, 200).tolist() == [False, False]


def test_a_ramp_rises_smoothly_and_alike_on_both_sides():
    ramp = pasting._ramp(3, 7, 10)
    rise = np.array([1 / 6, 3 / 6, 5 / 6])
    np.testing.assert_allclose(ramp[:3], 3 * rise**2 - 2 * rise**3, atol=1e-6)
    assert ramp[3:7].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(ramp, ramp[::-1], atol=1e-6)
    assert pasting._ramp(1, 2, 10)[5:].max() < 0.7


def blended(ground, rim, object_, box=(4, 4, 36, 36)):
    """A patch of 40 x 40 pixels with a large object, drawn over ground of one colour."""
    patch = np.full((40, 40, 3), rim, np.uint8)
    patch[4:36, 4:36] = object_
    over = np.full((40, 40, 3), ground, np.uint8)
    return pasting._blend(over, patch, np.array(box, np.float32)), over


def test_colours_are_multiplied_by_the_ground_s_over_the_rim_s():
    drawn, over = blended((120, 100, 90), (150, 100, 60), (75, 40, 30))
    assert drawn
    assert over[10, 10].tolist() == over[35, 4].tolist() == [60, 40, 45]
    assert over[0, 0].tolist() == over[39, 39].tolist() == [120, 100, 90]
    assert over[20, 0].tolist() == [120, 100, 90]
    drawn, bright = blended(150, 100, 220)
    assert drawn
    assert bright[20, 20].tolist() == [255, 255, 255]  # 330, clipped


@pytest.mark.parametrize(
    ("ground", "rim", "allowed"),
    [(90, 150, True), (89, 150, False), (160, 100, True), (161, 100, False), ((80, 150, 150), 150, False),
     ((160, 161, 100), 100, False), (1, 0, True)],
)  # fmt: skip
def test_gains_have_bounds_that_are_allowed(ground, rim, allowed):
    drawn, over = blended(ground, rim, 50)
    assert drawn == allowed
    if not allowed:
        assert (over == ground).all()


def test_even_ground_has_few_pixels_below_four_fifths_of_its_light():
    ground = np.full((10, 20, 3), 100, np.uint8)
    ground[:2, :, 0], ground[:2, :, 1:] = 80, 10  # light is the brightest channel
    assert pasting._is_even(ground)
    ground[:2, :, 0] = 79
    assert not pasting._is_even(ground)


def test_objects_are_cut_out_with_their_margin_but_not_beyond_the_image():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    donor = AnnotatedImage(
        image, np.array([[20.5, 30.5, 40, 42], [1, 2, 9, 8], [72, 50, 80, 60]], np.float32), np.zeros(3, int)
    )
    patch, box = pasting._patch(donor, 0, "identity")
    assert np.array_equal(patch, image[25:47, 15:45])
    assert box.tolist() == [5.5, 5.5, 25, 17]
    patch, box = pasting._patch(donor, 1, "identity")
    assert np.array_equal(patch, image[0:11, 0:12])
    assert box.tolist() == [1, 2, 9, 8]
    patch, box = pasting._patch(donor, 2, "rot180")
    assert np.array_equal(patch, image[47:60, 69:80][::-1, ::-1])
    assert box.tolist() == [0, 0, 8, 10]


def places(field, boxes, shape, seeds=60):
    found = [
        place
        for seed in range(seeds)
        for place in pasting._places(field, np.array(boxes, float).reshape(-1, 4), shape, np.random.default_rng(seed))
    ]
    return np.array(found).reshape(-1, 2)


def test_places_lie_in_the_image_and_reach_its_edges():
    found = places(Field(np.ones((24, 30), bool), 10), [], (40, 60))
    assert len(found) == 60 * 8
    assert found.min(axis=0).min() >= 0
    assert (found.max(axis=0) <= [300 - 60, 240 - 40]).all()
    assert (found.min(axis=0) <= 20).all()
    assert (found.max(axis=0) >= [300 - 60 - 20, 240 - 40 - 20]).all()


def test_places_are_clear_of_boxes_on_every_side_but_near_them():
    box = np.array([100, 90, 150, 130])
    found = places(Field(np.ones((24, 30), bool), 10), [box], (20, 30), 300)
    left, top, right, bottom = found[:, 0], found[:, 1], found[:, 0] + 30, found[:, 1] + 20
    beside, level = (right <= box[0]) | (left >= box[2]), (bottom <= box[1]) | (top >= box[3])
    assert (beside | level).all()
    for gaps in (box[0] - right[~level], left[~level] - box[2], box[1] - bottom[~beside], top[~beside] - box[3]):
        assert 0 <= gaps[gaps >= 0].min() < 10


@pytest.mark.parametrize("upright", [False, True])
def test_a_gap_that_just_fits_is_used(upright):
    walls = np.array([[0, 0, 30, 400], [60, 0, 400, 400]])
    walls = walls[:, [1, 0, 3, 2]] if upright else walls
    found = places(Field(np.ones((40, 40), bool), 10), walls, (20, 20), 20)
    across = found[:, int(upright)]
    assert len(found) == 20 * 8
    assert 30 <= across.min() <= across.max() <= 40


def test_points_of_a_field_lie_in_its_cells():
    inside = np.zeros((4, 5), bool)
    inside[1, 3] = True
    field = Field(inside, 10)
    points = np.array([field.draw(np.random.default_rng(seed)) for seed in range(50)])
    assert (points >= [30, 10]).all()
    assert (points < [40, 20]).all()
    assert (np.ptp(points, axis=0) > 8).all()
    x, y = field.middles()
    assert x.tolist() == [5, 15, 25, 35, 45]
    assert y.tolist() == [5, 15, 25, 35]


def test_a_quarter_of_the_light_is_no_field_yet():
    image = np.full((480, 640, 3), 50, np.uint8)
    image[:, 320:] = 200
    field = field_of_view(image)
    assert field.inside.shape == (48, 64)
    assert field.inside[:, 32:].all()
    assert not field.inside[:, :30].any()
    image[:, :320] = 51
    assert field_of_view(image).inside.all()
    assert field_of_view(np.full((5, 7, 3), 9, np.uint8)).inside.shape == (5, 7)


def test_cells_are_looked_at_in_their_middle():
    image = np.zeros((640, 640, 3), np.uint8)
    image[5::10, 5::10] = 200
    assert field_of_view(image).inside.all()
    assert field_of_view(image).inside.sum() == 64 * 64


def test_pieces_of_a_mosaic_meet_between_a_quarter_and_three_quarters():
    scenes = [AnnotatedImage(np.full((80, 120, 3), 10 + number, np.uint8), *NO_BOXES) for number in range(4)]
    seams = []
    for seed in range(40):
        others = iter(scenes[1:])
        made = mosaic(scenes[0], lambda others=others: next(others), 0.0, np.random.default_rng(seed)).image[..., 0]
        x, y = int((made[0] == 10).sum()), int((made[:, 0] == 10).sum())
        for number, part in enumerate((made[:y, :x], made[:y, x:], made[y:, :x], made[y:, x:])):
            assert (part == 10 + number).all()
        seams.append((x / 120, y / 80))
    assert np.min(seams) >= MOSAIC_MARGIN - 1 / 80
    assert np.max(seams) <= 1 - MOSAIC_MARGIN
    assert np.ptp(seams, axis=0).min() > 0.35


@pytest.mark.parametrize(("middle", "held_by"), [(40, 21), (20, 20)])
def test_a_window_holds_what_is_at_its_start_and_not_what_is_at_its_end(middle, held_by):
    """Windows of 20 pixels around the only bright pixel start at 20 or 21; one pair of starts holds the object."""
    image = np.zeros((60, 60, 3), np.uint8)
    image[30, 30] = 200
    boxes = np.array([[middle - 1, middle - 1, middle + 1, middle + 1]], np.float32)
    scene = AnnotatedImage(image, boxes, np.array([0]))
    starts = {choose_window(scene, 20, 20, 0.0, np.random.default_rng(seed))[:2] for seed in range(60)}
    assert starts <= {(20, 20), (20, 21), (21, 20), (21, 21)}
    assert (held_by, held_by) not in starts
    assert len(starts) >= 2


def test_the_window_with_the_fewest_objects_is_taken():
    middles = [(x, y) for x in range(5, 60, 4) for y in range(5, 40, 4)]
    boxes = np.array([[x - 1, y - 1, x + 1, y + 1] for x, y in middles], np.float32)
    scene = AnnotatedImage(np.full((60, 60, 3), 150, np.uint8), boxes, np.zeros(len(boxes), int))
    tops = [choose_window(scene, 30, 20, 0.0, np.random.default_rng(seed))[1] for seed in range(40)]
    assert np.median(tops) == 40  # the lower edge has fewest
    assert min(tops) > 22


def test_what_is_left_of_a_box_counts_by_its_area():
    scene = AnnotatedImage(np.zeros((80, 80, 3), np.uint8), np.array([[40, 40, 50, 60]], np.float32), np.array([7]))
    assert crop(scene, 0, 0, 43, 80).boxes.tolist() == [[40, 40, 43, 60]]  # 0.3 of it
    assert crop(scene, 0, 0, 42, 80).labels.tolist() == []
    assert crop(scene, 47, 0, 33, 80).boxes.tolist() == [[0, 40, 3, 60]]
    assert crop(scene, 45, 48, 35, 32).boxes.tolist() == [[0, 0, 5, 12]]
    assert crop(scene, 45, 49, 35, 31).labels.tolist() == []
