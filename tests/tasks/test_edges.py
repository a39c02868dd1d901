"""What tasks do at the edges: one table, no box, one class, an image that nothing was said of."""

import numpy as np
import pandas as pd
import pytest
import torch

from tasks.test_detection_task import Sizes, output, truth_of
from tropho.data.task_data import GroundTruth
from tropho.images.annotated import REGION
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task
from tropho.tasks.classification_dataset import class_weights
from tropho.tasks.detection_dataset import cached_box_sizes, pad_batch

CELLS = ["cat", "dog"]


@pytest.fixture
def detection(settings):
    """Makes a detection task of two classes with changed settings."""
    return lambda **changes: build_task(settings("smear_demo", **changes), ["Trophozoite", "WBC"])


@pytest.fixture
def cells(settings):
    """Makes a classification task of two classes with changed settings."""
    return lambda **changes: build_task(settings("cells_demo", **changes), CELLS)


def labelled(*labels: str | None) -> GroundTruth:
    images = pd.DataFrame({"image_id": [str(number) for number in range(len(labels))], "label": labels})
    return GroundTruth(images.reindex(columns=list(IMAGES)).astype(IMAGES), empty(BOXES))


def says(task, *rows: list[float]) -> pd.DataFrame:
    outputs = [{"probabilities": torch.tensor(row)} for row in rows]
    return task.to_table(outputs, [str(number) for number in range(len(rows))], None)


def test_one_table_is_merged_and_finished_as_it_is(cells, detection):
    task = cells()
    table = says(task, [0.8, 0.2])
    assert task.fuse_views([table]) is table
    assert task.postprocess(table) is table
    assert task.postprocess(table, {"temperature": 1.0}) is table
    np.testing.assert_allclose(task.postprocess(table, {"temperature": 2.0})["p_cat"], [2 / 3], atol=1e-6)
    boxes = detection().to_table([output([[10, 10, 20, 30]], [0.9], [1], 0.8)], ["a"], Sizes())
    assert detection().fuse_views([boxes]) is boxes
    assert detection().fuse_members({"base": boxes}) is boxes


def test_members_are_fused_by_set_or_fitted_weights(cells):
    task = cells(**{"train.ensemble": {"b": {}}, "predict.member_weights": {"base": 3.0, "b": 1.0}})
    tables = {"base": says(task, [1.0, 0.0]), "b": says(task, [0.0, 1.0])}
    assert task.fuse_members(tables)["p_cat"].tolist() == pytest.approx([0.75])
    assert task.fuse_members(tables, {"weights": {"base": 1.0, "b": 4.0}})["p_cat"].tolist() == pytest.approx([0.2])


def test_weights_are_fitted_where_settings_ask_and_there_are_several_members(cells):
    truth = labelled("cat", "dog")
    task = cells(**{"train.ensemble": {"b": {}}, "predict.member_weights": "fitted"})
    right, wrong = says(task, [0.9, 0.1], [0.1, 0.9]), says(task, [0.1, 0.9], [0.9, 0.1])
    found = task.fit_fusion(truth, {"base": [right], "b": [wrong]}, None)["weights"]
    assert found["base"] == pytest.approx(1.0, abs=1e-6)
    assert task.fit_fusion(truth, {"base": [right]}, None) == {}
    assert cells().fit_fusion(truth, {"base": [right], "b": [wrong]}, None) == {}


def test_a_score_is_undefined_without_images(cells):
    task = cells()
    assert np.isnan(task.score(labelled(), says(task)))
    assert task.score(labelled("dog", "dog"), says(task, [0.9, 0.1], [0.1, 0.9])) == 0.5


def test_images_of_one_class_are_told(cells):
    task = cells()
    table = says(task, [0.9, 0.1], [0.4, 0.6])
    (note,) = task.notes(labelled("dog", "dog"), table, {}, table)
    assert note == "All these images are of one class, 'dog', so no score tells classes apart."
    assert task.notes(labelled("dog", "cat"), table, {}, table) == []


def test_probabilities_are_equal_where_nothing_was_predicted(cells):
    assert cells().to_submission(says(cells(), [0.9, 0.1]), ["x"])["p_dog"].tolist() == [0.5]


def test_class_weights_by_hand():
    assert class_weights([0, 0, 0, 1, -1], 3).tolist() == pytest.approx([4 / 6, 2.0, 0.0])
    assert class_weights([], 2).tolist() == [0.0, 0.0]


def test_truth_that_can_be_scored_against():
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


@pytest.mark.parametrize("box", [[10, 60, 20, 70], [110, 10, 120, 20], [-9, 10, 0, 20], [10, 10, 10, 20]])
def test_boxes_without_anything_in_the_image_are_dropped(detection, box):
    table = detection().to_table([output([box, [10, 10, 20, 20]], [0.9, 0.8], [0, 1], 0.5)], ["a"], Sizes())
    assert table["label"].tolist() == ["WBC", "NEG"]


def test_an_image_that_nothing_was_predicted_of_has_no_row_without_a_negative_class(detection):
    task = detection(**{"audit.negative": None})
    table = task.to_table([output([[10, 10, 20, 20], [50, 10, 60, 20]], [0.3, 0.8], [0, 1], 0.5)], ["b"], Sizes())
    assert task.to_submission(table, ["a", "b"])["score"].tolist() == pytest.approx([0.8, 0.3])
    assert len(task.to_submission(table, ["a"])) == 0
    assert len(task.to_table([], [], Sizes())) == 0


def test_images_without_objects_are_told(detection):
    table = empty(DETECTIONS)
    assert detection().notes(truth_of(["a", "b"], []), table, {}, table) == [
        "None of these 2 images has an object, so the score is that of 'NEG' alone."
    ]
    bare = detection(**{"audit.negative": None})
    assert bare.notes(truth_of(["a"], []), table, {}, table) == [
        "None of these 1 images has an object, so the score is undefined."
    ]
    assert bare.notes(truth_of(["a"], [["a", "WBC", 0, 0, 9, 9]]), table, {}, table) == []
    assert np.isnan(bare.score(truth_of(["a"], []), table))


def test_negative_rows_are_no_boxes(detection):
    task, truth = detection(), truth_of(["a", "b"], [["a", "WBC", 20, 20, 60, 70]])
    table = task.to_table([output([[10, 10, 30, 35]], [0.9], [1], 0.9), output([], [], [], 0.1)], ["a", "b"], Sizes())
    assert set(task.measure(truth, table)) >= {"ap/NEG", "ap/WBC", "map50/WBC"}
    assert task.measure(truth, table)["map50"] == 1.0
    assert set(task.thresholds(truth, table)) == {"Trophozoite", "WBC"}


def test_an_image_of_ignored_regions_alone_does_not_count_where_there_is_a_negative_class(detection):
    regions = conform(
        pd.DataFrame([["b", "WBC", 0, 0, 50, 50, True]], columns=["image_id", "label", *BOX, "ignore"]), BOXES
    )
    truth = truth_of(["a", "b"], [["a", "WBC", 20, 20, 60, 70]])
    truth = GroundTruth(truth.images, truth.boxes, regions)
    task = detection()
    rows = [output([[10, 10, 30, 35]], [0.5], [1], 0.9), output([[60, 30, 80, 40]], [0.9], [1], 0.1)]
    table = task.to_table(rows, ["a", "b"], Sizes())
    assert task.measure(truth, table)["ap/WBC"] == 1.0
    assert "ap/NEG" not in task.measure(truth, table)
    bare = detection(**{"audit.negative": None})
    assert bare.score(truth, table[table["label"] != "NEG"]) == pytest.approx(0.5)


def test_members_without_boxes_count_for_the_negative_class_alone(settings):
    chosen = {"train.ensemble": {"empty": {"model.name": "negative_classifier"}}, "predict.negative_members": ["empty"]}
    fusion = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])._fusion
    assert fusion._weights("empty") == {"Trophozoite": 0.0, "WBC": 0.0, "NEG": 1.0}
    assert fusion._weights("base") == {"Trophozoite": 1.0, "WBC": 1.0, "NEG": 0.0}


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
def test_batches_are_padded_to_strides_and_maybe_to_squares(shapes, square, padded):
    batch = pad_batch([sample(*shape) for shape in shapes], 32, square)
    assert batch["images"].shape[2:] == padded
    assert batch["sizes"].tolist() == [list(shape) for shape in shapes]
    assert batch["images"].sum() == sum(3 * 7 * height * width for height, width in shapes)
    assert batch["index"].tolist() == [height for height, _ in shapes]


def test_sizes_of_boxes_in_packed_pixels():
    boxes = truth_of(["a"], [["a", "WBC", 20.0, 30.0, 80.0, 50.0]]).boxes
    assert cached_box_sizes(boxes, Sizes()).tolist() == [[30.0, 10.0]]
    assert cached_box_sizes(boxes.iloc[:0], Sizes()).shape == (0, 2)
    assert REGION < 0
