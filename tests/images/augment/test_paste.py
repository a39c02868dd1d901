"""Pasted objects lie free in the field, look as they did, and have boxes that fit."""

import numpy as np
import pytest

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.mix import is_separate, paste

NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
GREEN_PART = 0.5  # of an object's colour against its ground


def field(width: int, height: int, ground: tuple[int, ...], radius: int, seed: int = 0) -> np.ndarray:
    """A round bright field with some noise in a dark surround."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - width / 2, y - height / 2) < radius
    image = np.where(inside[..., None], np.array(ground), 5) + rng.integers(-3, 4, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def donor() -> AnnotatedImage:
    """Three objects that take half of the green light."""
    image = field(320, 240, (160, 150, 120), 400)
    boxes = np.array([[40, 50, 60, 64], [120, 90, 150, 120], [200, 30, 212, 46]], np.float32)
    for xmin, ymin, xmax, ymax in boxes.astype(int):
        image[ymin:ymax, xmin:xmax, 1] = image[ymin:ymax, xmin:xmax, 1] * GREEN_PART
    return AnnotatedImage(image, boxes, np.array([0, 1, 0]))


def test_objects_land_in_the_field_clear_of_each_other_in_the_colours_of_their_new_ground(
    donor: AnnotatedImage,
) -> None:
    ground = (110, 130, 150)
    image = field(320, 240, ground, 110)
    own = np.array([[140, 100, 180, 140]], np.float32)
    image[100:140, 140:180] = (60, 30, 70)
    before = image.copy()
    turned = pasted = 0
    for seed in range(30):
        scene = AnnotatedImage(image, own, np.array([1]))
        made = paste(scene, donor, np.array([0, 1, 2]), np.random.default_rng(seed))
        assert np.array_equal(image, before)
        assert made.boxes[0].tolist() == own[0].tolist()
        assert (made.boxes.dtype, made.labels.dtype) == (np.float32, np.int64)
        pasted += len(made.boxes) - 1
        new = made.boxes[1:]
        sides = np.sort(new[:, 2:] - new[:, :2], axis=1)
        assert {tuple(each) for each in sides.tolist()} <= {(14, 20), (30, 30), (12, 16)}
        assert made.labels[1:].tolist() == [int(side[0] == 30) for side in sides]
        turned += sum(box[2] - box[0] == 14 for box in new)
        corners = np.abs(np.concatenate([new[:, :2], new[:, 2:], new[:, [0, 3]], new[:, [2, 1]]]) - [160, 120])
        assert (np.hypot(*corners.T) < 115).all()
        everything = made.boxes
        for row in range(len(everything)):
            for other in range(row):
                gap = np.maximum(everything[row, :2], everything[other, :2])
                assert (gap >= np.minimum(everything[row, 2:], everything[other, 2:])).any()
        for xmin, ymin, xmax, ymax in new.astype(int):
            colour = made.image[ymin + 1 : ymax - 1, xmin + 1 : xmax - 1].mean(axis=(0, 1))
            np.testing.assert_allclose(colour, np.array(ground) * [1, GREEN_PART, 1], atol=4)
        far = np.ones(image.shape[:2], bool)
        for xmin, ymin, xmax, ymax in new.astype(int):
            far[max(0, ymin - 10) : ymax + 10, max(0, xmin - 10) : xmax + 10] = False
        assert np.array_equal(made.image[far], image[far])
    assert pasted == 90  # there is room for all
    assert 8 < turned < 22  # the 20 x 14 object lies across as often as not


def test_edges_are_faded_in(donor: AnnotatedImage) -> None:
    """At the rim of the pasted patch nothing shows: the step is no higher than the noise."""
    image = np.full((240, 320, 3), (140, 150, 130), np.uint8)
    made = paste(AnnotatedImage(image, *NO_BOXES), donor, np.array([1]), np.random.default_rng(1))
    xmin, ymin, xmax, ymax = made.boxes[0].astype(int)
    changed = np.abs(made.image.astype(int) - image)
    assert changed[:, : xmin - 8].max() == 0
    assert changed[ymin - 8 : ymax + 8, xmin - 8 : xmin - 4].max() <= 3
    assert changed[ymin:ymax, xmin:xmax, 1].mean() > 50


def test_nothing_lands_on_dark_spots_or_where_there_is_no_room(donor: AnnotatedImage) -> None:
    image = np.full((240, 320, 3), 150, np.uint8)
    image[:, ::8] = 40  # dark lines everywhere: things that nobody labelled
    full = np.array([[0, 0, 320, 240]], np.float32)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert len(paste(AnnotatedImage(image, *NO_BOXES), donor, np.arange(3), rng).boxes) == 0
        clean = AnnotatedImage(np.full_like(image, 150), full, np.array([1]))
        assert len(paste(clean, donor, np.arange(3), rng).boxes) == 1


def test_what_would_have_to_change_its_colours_too_far_is_left_out(donor: AnnotatedImage) -> None:
    dim = AnnotatedImage(np.full((240, 320, 3), 60, np.uint8), *NO_BOXES)
    assert len(paste(dim, donor, np.arange(3), np.random.default_rng(0)).boxes) == 0


def test_only_objects_that_stand_alone_inside_the_image_can_be_cut_out() -> None:
    boxes = np.array(
        [[50, 50, 60, 60], [2, 50, 12, 60], [80, 50, 90, 60], [92, 50, 102, 60], [60, 90, 68, 98]], np.float32
    )
    # margins are 3: the second is 2 from the edge, third and fourth are 2 apart, the last ends 2 before the edge
    assert is_separate(boxes, 200, 100).tolist() == [True, False, False, False, False]
    assert is_separate(boxes, 200, 101).tolist() == [True, False, False, False, True]
    assert is_separate(boxes[:0], 200, 100).shape == (0,)
