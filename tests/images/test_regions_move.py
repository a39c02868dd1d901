"""Ignored regions follow the picture through every step, and no step takes them for objects."""

import numpy as np
import pandas as pd
import pytest

from tropho.images.annotated import REGION, AnnotatedImage, AnnotatedImages
from tropho.images.augment.crop import choose_window, crop, zoom
from tropho.images.augment.mix import DonorSampler, mosaic
from tropho.images.augment.policies import build_policy
from tropho.images.augment.train_transform import TrainTransform

SIZE = 128
BRIGHT = 200


def scene(*regions, boxes=(), labels=()):
    """A black picture whose regions are bright, so that pixels say where they are."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for left, top, right, bottom in regions:
        image[top:bottom, left:right] = BRIGHT
    every = np.array([*boxes, *regions], np.float32).reshape(-1, 4)
    return AnnotatedImage(image, every, np.array([*labels, *[REGION] * len(regions)], np.int64))


def bright_share_in_regions(made: AnnotatedImage) -> float:
    mask = np.zeros(made.image.shape[:2], bool)
    for left, top, right, bottom in made.boxes[made.labels == REGION].round().astype(int):
        mask[top:bottom, left:right] = True
    bright = made.image[:, :, 0] > BRIGHT / 2
    return 1.0 if not bright.any() else float(mask[bright].mean())


class OneScene:
    """AnnotatedImages of one picture, as the augmenter needs them."""

    def __init__(self, only):
        self.only, self.ignored, self.image_ids = only, np.zeros((1, 2), bool), ["a"]

    def __getitem__(self, number):
        return self.only

    def __len__(self):
        return 1

    def targets(self, number):
        return self.only.boxes, self.only.labels

    def size_of(self, number):
        return self.only.size


STEPS = {
    "policy": ["microscopy", "radiology"],
    "mosaic_prob": [1.0],
    "crop_size": [64],
    "zoom_range": [[0.5, 1.5]],
}


@pytest.mark.parametrize(("step", "value"), [(step, value) for step, values in STEPS.items() for value in values])
def test_each_step_moves_them_with_the_pixels(settings, step, value):
    changes = {"augment.image_size": SIZE, "augment.policy": "none", f"augment.{step}": value}
    drawn = scene((90, 20, 128, 60), boxes=[(10, 10, 40, 40)], labels=[1])
    augmenter = TrainTransform(settings("smear_demo", **changes).augment, True, OneScene(drawn))
    shares = [bright_share_in_regions(augmenter(0, seed)) for seed in range(30)]
    assert min(shares) > 0.9


def test_a_sliver_of_a_region_stays_where_an_object_would_go():
    drawn = scene((0, 0, 100, 100), boxes=[(0, 0, 100, 100)], labels=[0])
    part = crop(drawn, 90, 0, 38, SIZE)
    assert part.labels.tolist() == [REGION]
    assert part.boxes.tolist() == [[0, 0, 10, 100]]
    assert crop(drawn, 100, 0, 28, SIZE).labels.tolist() == []


def test_a_policy_keeps_the_last_of_a_region_at_the_edge():
    policy = build_policy("radiology", SIZE, boxed=True)
    drawn = scene((122, 30, 128, 90))
    for seed in range(60):
        made = AnnotatedImage(*policy(drawn.image, drawn.boxes, drawn.labels, seed))
        assert bright_share_in_regions(made) > 0.8, seed


def test_windows_are_laid_around_objects_alone():
    rng = np.random.default_rng(0)
    drawn = scene((100, 100, 120, 120), boxes=[(10, 10, 20, 20)], labels=[0])
    for _ in range(20):
        left, top, width, height = choose_window(drawn, 32, 32, 1.0, rng)
        assert left <= 10 and top <= 10 and left + width >= 20 and top + height >= 20  # noqa: PT018
    assert zoom(drawn, 0.5).labels.tolist() == [0, REGION]
    assert REGION in mosaic(drawn, lambda: drawn, 0.0, rng).labels


def test_no_region_is_pasted():
    drawn = scene((60, 60, 90, 90), boxes=[(10, 10, 20, 20)], labels=[0])
    partners = DonorSampler(OneScene(drawn))
    for seed in range(10):
        donor, rows = partners.draw_donor(0, np.random.default_rng(seed))
        assert donor.labels[rows].tolist() == [0]
    assert DonorSampler(OneScene(scene((60, 60, 90, 90)))).draw_donor(0, np.random.default_rng(0)) is None


class FakePack:
    def scale(self, image_id):
        return 0.5, 0.5


@pytest.mark.parametrize("label", ["WBC", None, "crowd"])
def test_rows_to_ignore_become_regions_whatever_their_label(label):
    boxes = pd.DataFrame(
        [["a", "WBC", 0, 0, 8, 8, False], ["a", label, 2, 2, 6, 6, True]],
        columns=["image_id", "label", "xmin", "ymin", "xmax", "ymax", "ignore"],
    )
    scenes = AnnotatedImages(FakePack(), pd.DataFrame({"image_id": ["a"]}), boxes, ["WBC"])
    corners, labels = scenes.targets(0)
    assert labels.tolist() == [0, REGION]
    assert corners.tolist() == [[0, 0, 4, 4], [1, 1, 3, 3]]
