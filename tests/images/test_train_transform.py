"""Which steps of augmentation are taken, and how large samples become."""

import numpy as np
import pytest

from images.test_regions_move import OneScene
from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.train_transform import TrainTransform

OFF = {"policy": "none", "copy_paste_prob": 0.0, "mosaic_prob": 0.0, "crop_size": None, "zoom_range": [1.0, 1.0]}


@pytest.fixture
def made(settings):
    """Make augmenters of a grey picture with one dark object, all steps off but those named."""
    image = np.full((96, 128, 3), 150, np.uint8)
    image[40:52, 40:56] = 80
    scene = AnnotatedImage(image, np.array([[40, 40, 56, 52]], np.float32), np.array([0]))

    def make(only=scene, **steps):
        changes = {f"augment.{key}": value for key, value in {**OFF, "image_size": 128, **steps}.items()}
        return TrainTransform(settings("smear_demo", **changes).augment, True, OneScene(only))

    return make


def test_longest_sides_follow_the_settings(made):
    assert made().sides == (128, 128)
    assert made(zoom_range=[0.5, 1.25]).sides == (64, 160)
    assert made(zoom_range=[0.55, 1.001]).sides == (70, 129)
    assert made(crop_size=48, zoom_range=[0.5, 2.0]).sides == (1, 48)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_crop_has_its_size_after_zooming(made, zoom):
    sample = made(crop_size=32, zoom_range=[zoom, zoom])(0, 3)
    assert sample.size == (32, 32)
    assert made(zoom_range=[zoom, zoom])(0, 3).size == (int(128 * zoom), int(96 * zoom))


def test_objects_are_pasted_only_into_images_with_objects(made):
    empty = AnnotatedImage(np.full((96, 128, 3), 150, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert max(len(made(copy_paste_prob=1.0)(0, seed).boxes) for seed in range(8)) == 2
    assert {len(made()(0, seed).boxes) for seed in range(8)} == {1}
    assert len(made(empty, copy_paste_prob=1.0)(0, 0).boxes) == 0


def test_what_decides_samples_is_recorded(made):
    record = made(crop_size=32, mosaic_prob=0.5).to_dict()
    assert record["name"] == "none"
    assert record["augmentations"] == {
        "copy_paste_prob": 0.0, "mosaic_prob": 0.5, "crop_size": 32, "zoom_range": [1.0, 1.0],
    }  # fmt: skip
