"""Negative classifier."""

import numpy as np
import pandas as pd
import pytest
import torch

from tropho.config.load import member_settings
from tropho.data.task_data import GroundTruth
from tropho.errors import DataError, UsageError
from tropho.evaluation.evaluator import build_evaluator
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task
from tropho.tasks.detection_task import NegativeTask

CLASSES = ["Trophozoite", "WBC"]


EMPTY = {"train.ensemble": {"wide": {"train.seed": 1}, "empty": {"model.name": "negative_classifier"}}}


@pytest.fixture
def presence(settings):
    """The task of a presence member."""
    task = build_task(settings("smear_demo", **{"model.name": "negative_classifier"}), CLASSES)
    assert isinstance(task, NegativeTask)
    return task


def truth_of(boxed: list[str], bare: list[str]) -> GroundTruth:
    images = conform(pd.DataFrame({"image_id": [*boxed, *bare]}).reindex(columns=list(IMAGES)), IMAGES)
    rows = [[each, "WBC", 10.0, 10.0, 30.0, 30.0] for each in boxed]
    return GroundTruth(images, conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES) if rows else empty(BOXES))


def says(**probability: float) -> pd.DataFrame:
    """Negative rows by image."""
    rows = [[image_id, "NEG", score, 0, 0, 0, 0] for image_id, score in probability.items()]
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


def finds(rng: np.random.Generator, absent: dict[str, float]) -> pd.DataFrame:
    """Ten boxes an image of each class, and negative rows."""
    corner = rng.uniform(0, 200, (len(absent) * 20, 2))
    boxes = np.hstack([corner, corner + rng.uniform(20, 60, corner.shape)])
    table = pd.DataFrame(boxes, columns=BOX).assign(score=rng.uniform(0.05, 0.95, len(boxes)))
    table["image_id"], table["label"] = np.repeat(list(absent), 20), np.tile(CLASSES, len(boxes) // 2)
    return pd.concat([conform(table, DETECTIONS), says(**absent)], ignore_index=True)


def test_score_is_the_negative_average_precision(presence):
    truth = truth_of(["a", "b"], ["c", "d"])
    assert presence.primary_metric == "ap/NEG"
    perfect, halfway = says(a=0.1, b=0.2, c=0.8, d=0.9), says(a=0.85, b=0.2, c=0.8, d=0.9)
    assert presence.score(truth, presence.postprocess(perfect)) == pytest.approx(1.0)
    assert presence.score(truth, presence.postprocess(halfway)) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert build_evaluator(presence).metrics(truth, halfway)["ap/NEG"] == presence.score(truth, halfway)


def test_score_refuses_images_with_boxes_alone(presence):
    with pytest.raises(DataError, match=r"split\.n_folds"):
        presence.score(truth_of(["a", "b"], []), says(a=0.1, b=0.2))


def test_predict_does_not_depend_on_the_batch(presence):
    torch.manual_seed(0)
    model = presence.build_model().eval()
    wide = np.random.default_rng(0).integers(0, 255, (40, 96, 3)).astype(np.uint8)
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    batches = [[wide], [wide, tall]]
    found = []
    for batch in batches:
        collated = presence.collate([presence.sample(each) for each in batch])
        assert collated["images"].shape[2:] == (96, 96)
        with torch.inference_mode():
            output = presence.predict(model, collated, "hflip")[0]
        assert output["boxes"].shape == (0, 4)
        found.append(output["presence"])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_fuse_members_keeps_the_detectors_boxes(settings, rng, method):
    task = build_task(settings("smear_demo", **EMPTY, **{"predict.ensemble_method": method}), CLASSES)
    tables = {"base": [finds(rng, {"a": 0.2, "b": 0.6})], "wide": [finds(rng, {"a": 0.4, "b": 0.8})]}
    without = task.fuse_members(tables)
    fused = task.fuse_members({**tables, "empty": [says(a=0.9, b=0.1)]})
    boxes = [each[each["label"] != "NEG"].reset_index(drop=True) for each in (without, fused)]
    pd.testing.assert_frame_equal(boxes[0], boxes[1])
    np.testing.assert_allclose(fused.loc[fused["label"] == "NEG", "score"], [0.5, 0.5], atol=1e-12)
    members = {"train.ensemble": {"empty": EMPTY["train.ensemble"]["empty"]}}
    beside = build_task(settings("smear_demo", **members, **{"predict.ensemble_method": method}), CLASSES)
    alone = beside.fuse_members({"base": tables["base"], "empty": [says(a=0.9, b=0.1)]})
    kept, given = (each[each["label"] != "NEG"] for each in (alone, *tables["base"]))
    by = ["image_id", "score"]
    pd.testing.assert_frame_equal(
        kept.sort_values(by, ignore_index=True), given.sort_values(by, ignore_index=True), check_exact=True
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"predict.negative_members": ["empty"]}, [0.9, 0.1]),
        ({"predict.negative_members": ["base", "wide"]}, [0.3, 0.7]),
        ({"predict.negative_members": ["base", "empty"],
          "predict.member_weights": {"base": 1.0, "wide": 5.0, "empty": 3.0}},
         [(0.2 + 2.7) / 4, (0.6 + 0.3) / 4]),
    ],
)  # fmt: skip
def test_fuse_members_takes_negatives_of_negative_members(settings, rng, chosen, expected):
    task = build_task(settings("smear_demo", **EMPTY, **chosen), CLASSES)
    tables = {"base": [finds(rng, {"a": 0.2, "b": 0.6})], "wide": [finds(rng, {"a": 0.4, "b": 0.8})]}
    raw = task.fuse_members({**tables, "empty": [says(a=0.9, b=0.1)]})
    finished = task.postprocess(raw)
    negative = finished[finished["label"] == "NEG"].set_index("image_id")["score"]
    np.testing.assert_allclose(negative.loc[["a", "b"]], expected, atol=1e-12)
    scaled = raw["score"] * (1 - raw["image_id"].map(negative))
    is_box = raw["label"] != "NEG"
    np.testing.assert_allclose(finished.loc[is_box, "score"], scaled[is_box], atol=1e-12)


CROPPED = {
    "augment.crop_size": 128,
    "augment.mosaic_prob": 0.5,
    "augment.zoom_range": [0.5, 1.5],
    "train.empty_fraction": 0.0,
    "augment.copy_paste_prob": 0.25,
}


def test_member_settings_train_on_whole_images(settings):
    changes = {"model.name": "negative_classifier", "augment.image_size": 96}
    chosen = settings("smear_demo", **CROPPED, **{"train.ensemble": {"empty": changes, "wide": {"train.seed": 1}}})
    base, empty, wide = member_settings(chosen).values()
    assert (empty.augment.crop_size, empty.augment.mosaic_prob, empty.augment.zoom_range) == (None, 0.0, [1.0, 1.0])
    assert empty.augment.copy_paste_prob == 0.25
    assert (empty.train.empty_fraction, wide.train.empty_fraction) == (1.0, 0.0)
    assert wide.augment == base.augment


@pytest.mark.parametrize(
    "change",
    [
        {"augment.crop_size": 64},
        {"augment.mosaic_prob": 0.1},
        {"augment.zoom_range": [0.9, 1.0]},
        {"train.empty_fraction": 0.5},
    ],
)
def test_member_settings_refuse_crops(settings, change):
    chosen = settings("smear_demo", **{"train.ensemble": {"empty": {"model.name": "negative_classifier", **change}}})
    with pytest.raises(
        UsageError, match=rf"ensemble\.empty can't set {next(iter(change))}: .*all images, whole; remove it"
    ):
        member_settings(chosen)
