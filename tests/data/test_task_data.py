"""Data of a task: folds, subsets, ground truth."""

from dataclasses import replace

import pandas as pd

from tasks.two_images import truth_of
from tropho.data.task_data import GroundTruth, read_task_data
from tropho.images.cache import ImageCache
from tropho.tables import BOXES, IMAGES, empty


def test_read_task_data_by_fold_and_subset(smear_paths):
    data = read_task_data(smear_paths)
    assert {number: len(ids) for number, ids in data.folds.items()} == {0: 6, 1: 6}
    assert data.test_ids == ["im12.png", "im13.png", "im14.png"]
    learned, judged = data.train_val(0)
    assert list(learned.images["image_id"]) == data.folds[1]
    assert list(judged.images["image_id"]) == data.folds[0]
    assert data.fold_of["im00.png"] == 0
    assert data.at_size(64) is data
    assert data.at_size(100) is data
    smaller = data.at_size(63)
    assert isinstance(smaller.cache, ImageCache)
    assert smaller.cache.size == 63


def test_a_share_of_the_empty_images_is_trained_on(smear_paths):
    """Drawn by seed and fold, in unchanged order; those with ignored regions are not empty, and validation has all."""
    data = read_task_data(smear_paths)
    everything = list(data.gt.images["image_id"])
    region = data.gt.boxes.head(1).assign(image_id=data.folds[1][0])
    data = replace(data, gt=replace(data.gt, regions=region))

    def trained(fraction, seed=0, fold=0):
        train, val = data.with_empty_fraction(fraction, seed).train_val(fold)
        assert list(val.images["image_id"]) == data.folds[fold]
        return list(train.images["image_id"])

    assert trained(1.0) == data.folds[1]
    marked = {*data.gt.boxes["image_id"], *region["image_id"]}
    assert trained(0.0) == [image_id for image_id in data.folds[1] if image_id in marked]
    half = [trained(0.5, seed) for seed in range(8)]
    assert {len(ids) for ids in half} == {5}  # four marked ones, and one of two
    assert all(ids == sorted(ids, key=everything.index) for ids in half)
    assert len({tuple(ids) for ids in half}) == 2
    assert trained(0.5, seed=3) == half[3]
    assert len(data.with_empty_fraction(0.0, 0).gt.images) == len(everything)


def labelled(*labels: str | None) -> GroundTruth:
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], "label": labels})
    return GroundTruth(images.reindex(columns=list(IMAGES)).astype(IMAGES), empty(BOXES))


def test_with_labels_keeps_what_can_be_scored():
    images = labelled("cat", None, "dog").images.assign(status="ok")
    assert GroundTruth(images, empty(BOXES)).with_labels().images["image_id"].tolist() == ["0", "2"]
    boxed = truth_of(["0", "1", "2"], [["0", "WBC", 0, 0, 1, 1]])
    boxed = GroundTruth(boxed.images.assign(status="ok"), boxed.boxes)
    assert boxed.with_labels().images["image_id"].tolist() == ["0", "1", "2"]  # no object is a label too
    marked = GroundTruth(boxed.images.assign(status=["ok", "unlabelled", "ok"]), boxed.boxes)
    assert marked.with_labels().images["image_id"].tolist() == ["0", "2"]
    assert GroundTruth(images.drop(columns="ignore_classes"), empty(BOXES)).ignore_classes is None
    assert GroundTruth(images, empty(BOXES)).ignore_classes.isna().all()
    part = GroundTruth(images, boxed.boxes, boxed.boxes).subset(["2", "0"])
    assert part.images["image_id"].tolist() == ["2", "0"]
    assert len(part.boxes) == len(part.regions) == 1
    assert len(GroundTruth(images, boxed.boxes).subset(["2"]).boxes) == 0
