import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.images.cache import ImageCache, write_cache
from tropho.images.decode import ImageReader
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task


class Sizes:
    """Two images of 200 x 100 pixels, packed at half the size."""

    def original_size(self, image_id):
        return 200, 100

    def scale(self, image_id):
        return 0.5, 0.5


def output(boxes, scores, labels, presence):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "presence": torch.tensor(presence),
    }


def truth_of(image_ids, boxes):
    images = pd.DataFrame({"image_id": image_ids}).reindex(columns=list(IMAGES))
    rows = pd.DataFrame(boxes, columns=["image_id", "label", *BOX]) if boxes else empty(BOXES)
    return GroundTruth(images.astype(IMAGES), conform(rows, BOXES))


@pytest.fixture
def task(settings):
    return build_task(settings("smear_demo"), ["Trophozoite", "WBC"])


@pytest.fixture
def without_negative(settings):
    return build_task(settings("smear_demo", **{"audit.negative": None}), ["Trophozoite", "WBC"])


def test_boxes_come_back_in_original_pixels_clipped_with_a_negative_row(task):
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


def test_a_box_wholly_outside_is_dropped(task):
    table = task.to_table([output([[150, 10, 160, 20]], [0.9], [0], 0.5)], ["a"], Sizes())
    assert table["label"].tolist() == ["NEG"]


def test_scores_are_scaled_by_presence(task):
    table = task.to_table([output([[10, 10, 20, 30]], [0.5], [0], 0.4)], ["a"], Sizes())
    finished = task.postprocess(table).set_index("label")["score"]
    assert finished["Trophozoite"] == pytest.approx(0.5 * 0.4, abs=1e-6)
    assert finished["NEG"] == pytest.approx(0.6, abs=1e-6)


def test_a_perfect_prediction_scores_one_negatives_included(task):
    truth = truth_of(["a", "b"], [["a", "WBC", 20.0, 20.0, 60.0, 70.0], ["a", "Trophozoite", 80.0, 20.0, 99.0, 40.0]])
    outputs = [output([[10, 10, 30, 35], [40, 10, 49.5, 20]], [0.9, 0.9], [1, 0], 0.99), output([], [], [], 0.01)]
    table = task.postprocess(task.to_table(outputs, ["a", "b"], Sizes()))
    assert task.score(truth, table) == pytest.approx(1.0, abs=1e-12)
    metrics = build_evaluator(task).metrics(truth, table)
    assert metrics["leaderboard_map"] == pytest.approx(1.0, abs=1e-12)
    assert metrics["ap/NEG"] == pytest.approx(1.0, abs=1e-12)
    assert metrics["map50"] == pytest.approx(1.0, abs=1e-6)


def test_a_false_alarm_in_an_empty_image_counts_without_a_negative_class(without_negative):
    truth = truth_of(["a", "b"], [["a", "WBC", 20.0, 20.0, 60.0, 70.0]])
    hit = output([[10, 10, 30, 35]], [0.5], [1], 1.0)
    alone = without_negative.to_table([hit, output([], [], [], 0.0)], ["a", "b"], Sizes())
    alarmed = without_negative.to_table([hit, output([[5, 5, 20, 20]], [0.9], [1], 1.0)], ["a", "b"], Sizes())
    assert without_negative.score(truth, alone) == pytest.approx(1.0, abs=1e-12)
    assert without_negative.score(truth, alarmed) == pytest.approx(0.5, abs=1e-12)


def test_merging_twins_changes_no_box(task):
    outputs = [output([[10, 10, 20, 30], [40, 10, 60, 40]], [0.9, 0.4], [1, 0], 0.8)]
    table = task.to_table(outputs, ["a"], Sizes())
    merged = task.fuse_views([table, table])
    assert merged.groupby("label").size().to_dict() == {"NEG": 1, "Trophozoite": 1, "WBC": 1}
    left, right = (each.sort_values("label")[[*BOX, "score"]].to_numpy() for each in (table, merged))
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_every_image_is_in_the_submission(task):
    table = task.to_table([output([[10, 10, 20, 30]], [0.9], [1], 0.8)], ["b"], Sizes())
    submission = task.to_submission(table, ["a", "b"])
    assert submission["image_id"].tolist() == ["a", "b", "b"]
    assert submission.iloc[0]["label"] == "NEG"
    assert submission.iloc[0]["score"] == 0.5
    assert submission["score"].tolist()[1:] == sorted(submission["score"].tolist()[1:], reverse=True)


def test_finds_in_an_image_said_to_be_empty_are_suspect_labels(task):
    boxes = [[f"im{number}", "WBC", 20.0, 20.0, 60.0, 70.0] for number in range(9)]
    truth = truth_of([*(row[0] for row in boxes), "none"], boxes)
    truth = GroundTruth(truth.images.assign(width=200, height=100), truth.boxes)
    found = task.to_table([output([[10, 10, 30, 35]], [0.9], [1], 0.9)] * 10, list(truth.images["image_id"]), Sizes())
    suspects = build_evaluator(task).label_issues(truth, task.postprocess(found))
    told = suspects[["image_id", "kind", "action", "label", *BOX]].to_numpy().tolist()
    assert told == [["none", "not_negative", "add", "WBC", 20, 20, 60, 70]]
    assert suspects["score"].tolist() == [pytest.approx(0.9, abs=1e-6)]  # nine of ten such finds are right


def test_batches_are_padded_to_whole_strides(task):
    samples = [task.sample(np.full((30, 50, 3), 7, np.uint8)), task.sample(np.full((40, 20, 3), 9, np.uint8))]
    batch = task.collate(samples)
    assert batch["images"].shape == (2, 3, 64, 64)
    assert batch["images"].dtype == torch.uint8
    assert (batch["images"][0, :, :30, :50] == 7).all()
    assert batch["images"][0, :, 30:].sum() == 0
    assert batch["images"][1, :, :40, :20].float().mean() == 9


def test_strata_join_the_classes_present(task):
    truth = truth_of(["a", "b"], [["a", "WBC", 0.0, 0.0, 1.0, 1.0], ["a", "Trophozoite", 0.0, 0.0, 1.0, 1.0]])
    assert task.strata(truth) == ['["Trophozoite", "WBC"]', ""]


def test_classes_that_the_audit_found_unlabelled_are_ignored_in_training(task, tmp_path):
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


def test_anchors_are_fitted_to_boxes_in_packed_pixels(settings):
    left_open = {"model.fit_levels": True, "model.fpn_levels": None}
    task = build_task(settings("smear_demo", **left_open), ["Trophozoite", "WBC"])
    truth = truth_of(["a"], [["a", "WBC", 20.0, 20.0, 80.0, 80.0], ["a", "WBC", 20.0, 20.0, 70.0, 80.0]])
    fitted = task.fit_config(truth, Sizes())
    assert fitted.model.fpn_levels == [3]  # 30 pixels after packing; 3 strides of P3 are 24
    assert not fitted.model.fit_levels
    assert TaskConfig.model_validate(yaml.safe_load(yaml.safe_dump(fitted.model_dump()))) == fitted
    fixed = build_task(settings("smear_demo"), ["Trophozoite", "WBC"])
    assert fixed.fit_config(truth, Sizes()) is fixed.settings


def chosen(settings, **overrides) -> dict:
    """Thresholds for a hit at 0.9, a false alarm at 0.8, a hit at 0.5 and two more false alarms down to 0.3."""
    task = build_task(settings("smear_demo", **overrides), ["Trophozoite", "WBC"])
    boxes = [["a", "WBC", 10.0, 10.0, 30.0, 30.0], ["a", "WBC", 60.0, 10.0, 90.0, 40.0]]
    far = [[120.0 + 20 * number, 60.0, 130.0 + 20 * number, 70.0] for number in range(3)]
    found = [boxes[0][2:], far[0], far[1], far[2], boxes[1][2:]]
    rows = [["a", "WBC", score, *box] for score, box in zip([0.9, 0.8, 0.7, 0.6, 0.5], found, strict=True)]
    predictions = conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)
    return build_evaluator(task).thresholds(truth_of(["a"], boxes), predictions)["WBC"]


def test_confidences_are_chosen_by_the_rule_of_the_settings(settings):
    assert chosen(settings)["threshold"] == 0.9  # F1 2/3 against 4/7 with everything
    assert chosen(settings, **{"evaluate.beta": 2.0})["threshold"] == 0.5  # F2 10/13 against 5/9
    assert chosen(settings, **{"evaluate.beta": 1.0})["threshold"] == 0.9
    required = chosen(settings, **{"evaluate.min_recall": 0.9})
    assert (required["threshold"], required["recall"], required["precision"]) == (0.5, 1.0, 0.4)


def test_the_drawn_curve_is_of_the_beta_that_chose(settings, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "tropho.evaluation.detection_evaluator.detection_figures", lambda *given: seen.append(given[-1])
    )
    task = build_task(settings("smear_demo", **{"evaluate.beta": 2.0}), ["Trophozoite", "WBC"])
    truth = truth_of(["a"], [["a", "WBC", 10.0, 10.0, 30.0, 30.0]])
    build_evaluator(task).plots(
        truth, conform(pd.DataFrame(columns=list(DETECTIONS)), DETECTIONS), {}, ImageReader(tmp_path), tmp_path
    )
    assert seen == [2.0]


class Blobs(torch.nn.Module):
    """Finds the box around what is light in each image, with a score of 0.9."""

    def forward(self, images):
        found = []
        for image in images:
            rows, columns = torch.nonzero(image[0] > 127, as_tuple=True)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found.append(output([float(side) for side in box], [0.9], [0], 0.5))
        return found


def test_every_view_finds_the_same_box(task):
    picture = np.zeros((40, 72, 3), np.uint8)
    picture[10:20, 40:64] = 255
    batch = task.collate([task.sample(picture)])
    for view in ("identity", "hflip", "transpose", "rot90", "antitranspose", "rot270@2", "vflip@1.5", "rot180@0.5"):
        (found,) = task.predict(Blobs(), batch, view)
        torch.testing.assert_close(found["boxes"], torch.tensor([[40.0, 10.0, 64.0, 20.0]]), atol=1e-4, rtol=0)
