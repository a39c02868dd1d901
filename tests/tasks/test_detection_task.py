"""Detection task."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tasks.two_images import Sizes, output, truth_of
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.tables import BOX, BOXES, DETECTIONS, conform
from tropho.tasks import build_task

CELLS = ["cat", "dog"]


@pytest.fixture
def detection(settings):
    """Makes a detection task of two classes with changed settings."""
    return lambda **changes: build_task(settings("smear_demo", **changes), ["Trophozoite", "WBC"])


@pytest.fixture
def cells(settings):
    """Makes a classification task of two classes with changed settings."""
    return lambda **changes: build_task(settings("cells_demo", **changes), CELLS)


def says(task, *rows: list[float]) -> pd.DataFrame:
    outputs = [{"probabilities": torch.tensor(row)} for row in rows]
    return task.to_table(outputs, [str(number) for number in range(len(rows))], None)


def test_fuse_and_postprocess_keep_a_single_table(cells, detection):
    task = cells()
    table = says(task, [0.8, 0.2])
    assert task.fuse_views([table]) is table
    assert task.postprocess(table) is table
    assert task.postprocess(table, {"temperature": 1.0}) is table
    np.testing.assert_allclose(task.postprocess(table, {"temperature": 2.0})["p_cat"], [2 / 3], atol=1e-6)
    boxes = detection().to_table([output([[10, 10, 20, 30]], [0.9], [1], 0.8)], ["a"], Sizes())
    assert detection().fuse_views([boxes]) is boxes
    assert detection().fuse_members({"base": [boxes]}) is boxes


def test_drop_ignored_images_with_a_negative_class(detection):
    regions = conform(
        pd.DataFrame([["b", "WBC", 0, 0, 50, 50, True]], columns=["image_id", "label", *BOX, "ignore"]), BOXES
    )
    truth = truth_of(["a", "b"], [["a", "WBC", 20, 20, 60, 70]])
    truth = GroundTruth(truth.images, truth.boxes, regions)
    task = detection()
    rows = [output([[10, 10, 30, 35]], [0.5], [1], 0.9), output([[60, 30, 80, 40]], [0.9], [1], 0.1)]
    table = task.to_table(rows, ["a", "b"], Sizes())
    assert task.leaderboard(truth, table)["ap"]["WBC"] == 1.0
    assert "NEG" not in task.leaderboard(truth, table)["ap"]
    bare = detection(**{"audit.negative": None})
    assert bare.score(truth, table[table["label"] != "NEG"]) == pytest.approx(0.5)


def test_member_weights_without_boxes(settings):
    chosen = {"train.ensemble": {"empty": {"model.name": "negative_classifier"}}, "predict.negative_members": ["empty"]}
    task = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])
    assert task.member_weights("empty") == {"Trophozoite": 0.0, "WBC": 0.0, "NEG": 1.0}
    assert task.member_weights("base") == {"Trophozoite": 1.0, "WBC": 1.0, "NEG": 0.0}


@pytest.fixture
def task(settings):
    return build_task(settings("smear_demo"), ["Trophozoite", "WBC"])


@pytest.fixture
def without_negative(settings):
    return build_task(settings("smear_demo", **{"audit.negative": None}), ["Trophozoite", "WBC"])


def test_to_table_clips_boxes_in_original_pixels(task):
    outputs = [output([[10, 10, 20, 30], [90, 40, 130, 60]], [0.9, 0.4], [1, 0], 0.8), output([], [], [], 0.1)]
    table = task.to_table(outputs, ["a", "b"], Sizes())
    assert table[["image_id", "label"]].to_numpy().tolist() == [
        ["a", "WBC"],
        ["a", "Trophozoite"],
        ["a", "NEG"],
        ["b", "NEG"],
    ]
    np.testing.assert_allclose(
        table[BOX].to_numpy(), [[20, 20, 40, 60], [180, 80, 200, 100], [0] * 4, [0] * 4], atol=1e-4
    )
    np.testing.assert_allclose(table["score"], [0.9, 0.4, 0.2, 0.9], atol=1e-6)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == DETECTIONS


def test_to_table_drops_a_box_outside_the_image(task):
    table = task.to_table([output([[150, 10, 160, 20]], [0.9], [0], 0.5)], ["a"], Sizes())
    assert table["label"].tolist() == ["NEG"]


def test_postprocess_scales_scores_by_presence(task):
    table = task.to_table([output([[10, 10, 20, 30]], [0.5], [0], 0.4)], ["a"], Sizes())
    finished = task.postprocess(table).set_index("label")["score"]
    assert finished["Trophozoite"] == pytest.approx(0.5 * 0.4, abs=1e-6)
    assert finished["NEG"] == pytest.approx(0.6, abs=1e-6)


def test_score_of_a_perfect_prediction_is_one(task):
    truth = truth_of(["a", "b"], [["a", "WBC", 20.0, 20.0, 60.0, 70.0], ["a", "Trophozoite", 80.0, 20.0, 99.0, 40.0]])
    outputs = [output([[10, 10, 30, 35], [40, 10, 49.5, 20]], [0.9, 0.9], [1, 0], 0.99), output([], [], [], 0.01)]
    table = task.postprocess(task.to_table(outputs, ["a", "b"], Sizes()))
    assert task.score(truth, table) == pytest.approx(1.0, abs=1e-12)
    metrics = build_evaluator(task).metrics(truth, table)
    assert metrics["leaderboard_map"] == pytest.approx(1.0, abs=1e-12)
    assert metrics["ap/NEG"] == pytest.approx(1.0, abs=1e-12)
    assert metrics["map50"] == pytest.approx(1.0, abs=1e-6)


def test_score_counts_false_positives_in_empty_images(without_negative):
    truth = truth_of(["a", "b"], [["a", "WBC", 20.0, 20.0, 60.0, 70.0]])
    hit = output([[10, 10, 30, 35]], [0.5], [1], 1.0)
    alone = without_negative.to_table([hit, output([], [], [], 0.0)], ["a", "b"], Sizes())
    alarmed = without_negative.to_table([hit, output([[5, 5, 20, 20]], [0.9], [1], 1.0)], ["a", "b"], Sizes())
    assert without_negative.score(truth, alone) == pytest.approx(1.0, abs=1e-12)
    assert without_negative.score(truth, alarmed) == pytest.approx(0.5, abs=1e-12)


def test_fuse_views_of_equal_tables_changes_no_box(task):
    outputs = [output([[10, 10, 20, 30], [40, 10, 60, 40]], [0.9, 0.4], [1, 0], 0.8)]
    table = task.to_table(outputs, ["a"], Sizes())
    merged = task.fuse_views([table, table])
    assert merged.groupby("label").size().to_dict() == {"NEG": 1, "Trophozoite": 1, "WBC": 1}
    left, right = (each.sort_values("label")[[*BOX, "score"]].to_numpy() for each in (table, merged))
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_to_submission_has_every_image(task):
    table = task.to_table([output([[10, 10, 20, 30]], [0.9], [1], 0.8)], ["b"], Sizes())
    submission = task.to_submission(table, ["a", "b"])
    assert submission["image_id"].tolist() == ["a", "b", "b"]
    assert submission.iloc[0]["label"] == "NEG"
    assert submission.iloc[0]["score"] == 0.5
    assert submission["score"].tolist()[1:] == sorted(submission["score"].tolist()[1:], reverse=True)


def test_strata_join_present_classes(task):
    truth = truth_of(["a", "b"], [["a", "WBC", 0.0, 0.0, 1.0, 1.0], ["a", "Trophozoite", 0.0, 0.0, 1.0, 1.0]])
    assert task.strata(truth) == ['["Trophozoite", "WBC"]', ""]


def test_fit_config_fits_anchors_in_cached_pixels(settings):
    left_open = {"model.fit_levels": True, "model.fpn_levels": None}
    task = build_task(settings("smear_demo", **left_open), ["Trophozoite", "WBC"])
    truth = truth_of(["a"], [["a", "WBC", 20.0, 20.0, 80.0, 80.0], ["a", "WBC", 20.0, 20.0, 70.0, 80.0]])
    fitted = task.fit_config(truth, Sizes())
    assert fitted.model.fpn_levels == [3]  # 30 pixels after packing; 3 strides of P3 are 24
    assert not fitted.model.fit_levels
    assert TaskConfig.model_validate(yaml.safe_load(yaml.safe_dump(fitted.model_dump()))) == fitted
    fixed = build_task(settings("smear_demo"), ["Trophozoite", "WBC"])
    assert fixed.fit_config(truth, Sizes()) is fixed.settings


class Blobs(torch.nn.Module):
    """Finds the box around what is light in each image, with a score of 0.9."""

    def forward(self, images):
        found = []
        for image in images:
            rows, columns = torch.nonzero(image[0] > 127, as_tuple=True)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found.append(output([float(side) for side in box], [0.9], [0], 0.5))
        return found


def test_predict_maps_boxes_of_every_view_back(task):
    picture = np.zeros((40, 72, 3), np.uint8)
    picture[10:20, 40:64] = 255
    batch = task.collate([task.sample(picture)])
    for view in ("identity", "hflip", "transpose", "rot90", "antitranspose", "rot270@2", "vflip@1.5", "rot180@0.5"):
        (found,) = task.predict(Blobs(), batch, view)
        torch.testing.assert_close(found["boxes"], torch.tensor([[40.0, 10.0, 64.0, 20.0]]), atol=1e-4, rtol=0)
