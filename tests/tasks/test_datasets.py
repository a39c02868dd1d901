"""Datasets, and batches of detection."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from tasks.two_images import Sizes, truth_of
from tropho.data.task_data import GroundTruth
from tropho.images.annotated import REGION
from tropho.images.cache import ImageCache, write_cache
from tropho.tasks import build_task
from tropho.tasks.datasets import cached_box_sizes, class_weights, pad_batch


def sample(height: int, width: int):
    return torch.full((3, height, width), 7, dtype=torch.uint8), {}, height


@pytest.mark.parametrize(
    ("shapes", "square", "padded"),
    [
        ([(32, 64)], False, (32, 64)),
        ([(33, 1)], False, (64, 32)),
        ([(32, 10), (5, 65)], False, (32, 96)),
        ([(33, 70)], True, (96, 96)),
    ],
)
def test_pad_batch_to_strides_and_squares(shapes, square, padded):
    batch = pad_batch([sample(*shape) for shape in shapes], 32, square)
    assert batch["images"].shape[2:] == padded
    assert batch["sizes"].tolist() == [list(shape) for shape in shapes]
    assert batch["images"].sum() == sum(3 * 7 * height * width for height, width in shapes)
    assert batch["index"].tolist() == [height for height, _ in shapes]


def test_cached_box_sizes():
    boxes = truth_of(["a"], [["a", "WBC", 20.0, 30.0, 80.0, 50.0]]).boxes
    assert cached_box_sizes(boxes, Sizes()).tolist() == [[30.0, 10.0]]
    assert cached_box_sizes(boxes.iloc[:0], Sizes()).shape == (0, 2)
    assert REGION < 0


@pytest.fixture
def task(settings):
    return build_task(settings("smear_demo"), ["Trophozoite", "WBC"])


def test_collate_pads_to_strides(task):
    samples = [task.sample(np.full((30, 50, 3), 7, np.uint8)), task.sample(np.full((40, 20, 3), 9, np.uint8))]
    batch = task.collate(samples)
    assert batch["images"].shape == (2, 3, 64, 64)
    assert batch["images"].dtype == torch.uint8
    assert (batch["images"][0, :, :30, :50] == 7).all()
    assert batch["images"][0, :, 30:].sum() == 0
    assert batch["images"][1, :, :40, :20].float().mean() == 9


def test_dataset_marks_ignore_classes(task, tmp_path):
    for image_id in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"{image_id}.png"), np.zeros((20, 40, 3), np.uint8))
    files = pd.DataFrame({"image_id": ["a", "b", "c"], "path": ["a.png", "b.png", "c.png"]})
    write_cache(files, tmp_path, tmp_path / "pack", 32)
    pack = ImageCache(tmp_path / "pack")
    truth = truth_of(["a", "b", "c"], [["a", "WBC", 20.0, 20.0, 60.0, 70.0]])
    marked = GroundTruth(truth.images.assign(ignore_classes=['["WBC"]', pd.NA, '["Trophozoite", "WBC"]']), truth.boxes)
    targets = [
        target for _, target, _ in (task.build_dataset(pack, marked, train=True)[0, index, 0] for index in range(3))
    ]
    assert [target["ignore"].tolist() for target in targets] == [[False, True], [False, False], [True, True]]
    assert not any(task.build_dataset(pack, truth, train=True)[0, index, 0][1]["ignore"].any() for index in range(3))


def test_class_weights_by_hand():
    assert class_weights([0, 0, 0, 1, -1], 3).tolist() == pytest.approx([4 / 6, 2.0, 0.0])
    assert class_weights([], 2).tolist() == [0.0, 0.0]


def test_class_weights_balance_the_classes():
    weights = class_weights([0, 0, 0, 1, -1], 3)
    assert weights[2] == 0
    assert weights[0] * 3 == pytest.approx(weights[1] * 1)
    assert weights[0] * 3 + weights[1] == pytest.approx(4)
