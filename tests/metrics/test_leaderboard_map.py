"""The leaderboard's metric: its reference values, a slow twin, and its edges."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.boxes import box_ops
from tropho.errors import DataError
from tropho.metrics.leaderboard_map import leaderboard_map, rank
from tropho.submission.competition_csv import read_competition_csv
from tropho.tables import BOX, DETECTIONS, empty

GOLDEN = Path(__file__).parent.parent / "golden_zindi_map"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def detections(*rows: tuple) -> pd.DataFrame:
    """Rows of (image_id, label, score, xmin, ymin, xmax, ymax)."""
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


def slow_map(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict:
    """The metric as its description reads, one detection after another."""
    ap = {}
    for label in sorted(set(truth["label"])):
        boxes: dict[str, list] = {}
        for row in truth[truth["label"] == label].itertuples():
            boxes.setdefault(row.image_id, []).append([row.xmin, row.ymin, row.xmax, row.ymax, False])
        rows = [
            row for row in predictions.itertuples() if row.label == label and row.image_id in set(truth["image_id"])
        ]
        rows.sort(key=lambda row: row.image_id)
        rows.sort(key=lambda row: -row.score)
        hits = []
        for row in rows:
            best, best_box = -1.0, None
            for box in boxes.get(row.image_id, []):
                width = min(row.xmax, box[2]) - max(row.xmin, box[0]) + 1
                height = min(row.ymax, box[3]) - max(row.ymin, box[1]) + 1
                if width > 0 and height > 0:
                    union = (row.xmax - row.xmin + 1) * (row.ymax - row.ymin + 1)
                    union += (box[2] - box[0] + 1) * (box[3] - box[1] + 1) - width * height
                    if width * height / union > best:
                        best, best_box = width * height / union, box
            hits.append(best >= 0.5 and not best_box[4])
            if hits[-1]:
                best_box[4] = True
        positives = sum(map(len, boxes.values()))
        recalls, precisions, found = [0.0], [0.0], 0
        for seen, hit in enumerate(hits, start=1):
            found += hit
            recalls.append(found / positives)
            precisions.append(found / seen)
        ap[label] = sum(
            (recalls[i] - recalls[i - 1]) * max(precisions[i:]) for i in range(1, len(recalls))
        )  # fmt: skip
    return {"score": sum(ap.values()) / len(ap), "ap": ap}


@pytest.mark.parametrize("name", EXPECTED)
def test_reference_scores(name):
    truth = read_competition_csv(GOLDEN / "truth.csv")
    result = leaderboard_map(truth, read_competition_csv(GOLDEN / f"{name}.csv"))
    assert result["score"] == pytest.approx(EXPECTED[name], abs=1e-12)
    assert set(result["ap"]) == {"NEG", "Trophozoite", "WBC"}


def rows_of(min_size: int) -> st.SearchStrategy:
    coordinate = st.integers(0, 48).map(lambda eighths: eighths / 8)  # areas are exact: both round an IoU of 0.5 alike
    row = st.tuples(
        st.sampled_from("cab"),
        st.sampled_from("XYZ"),
        st.sampled_from([0.1, 0.5, 0.5, 0.9]) | st.floats(0, 1),
        coordinate,
        coordinate,
        coordinate,
        coordinate,
    )
    ordered = row.map(lambda r: (*r[:3], min(r[3], r[5]), min(r[4], r[6]), max(r[3], r[5]), max(r[4], r[6])))
    return st.lists(ordered, min_size=min_size, max_size=25)


@settings(max_examples=100, deadline=None)
@given(truth=rows_of(1), predicted=rows_of(0), block=st.sampled_from([1, 7, 10**6]))
def test_equals_the_slow_twin(truth, predicted, block):
    images = sorted({row[0] for row in truth})
    predicted = [*predicted, *((image, "other", 0.5, 0, 0, 0, 0) for image in images)]
    before, box_ops.MAX_PAIRS = box_ops.MAX_PAIRS, block
    try:
        fast = leaderboard_map(detections(*truth), detections(*predicted))
    finally:
        box_ops.MAX_PAIRS = before
    slow = slow_map(detections(*truth), detections(*predicted))
    assert fast["ap"] == pytest.approx(slow["ap"], abs=1e-12)
    assert fast["score"] == pytest.approx(slow["score"], abs=1e-12)


ONE = ("a", "X", 1.0, 10.0, 10.0, 19.0, 19.0)


def test_class_absent_from_the_truth_is_ignored():
    assert leaderboard_map(detections(ONE), detections(ONE, ("a", "Y", 1.0, 0, 0, 5, 5))) == {
        "score": 1.0,
        "ap": {"X": 1.0},
    }


def test_class_never_predicted_counts_as_zero():
    truth = detections(ONE, ("b", "Y", 1.0, 0, 0, 5, 5))
    assert leaderboard_map(truth, detections(ONE, ("b", "X", 0.1, 0, 0, 1, 1)))["ap"] == {"X": 1.0, "Y": 0.0}


def test_zero_area_truth_can_be_met():
    flat = ("a", "X", 1.0, 5.0, 5.0, 5.0, 9.0)
    assert leaderboard_map(detections(flat), detections(flat))["score"] == 1.0


def test_overlap_of_exactly_one_half_is_a_hit():
    half = ("a", "X", 1.0, 10.0, 10.0, 19.0, 14.0)  # 10 x 5 of 10 x 10 inclusive pixels
    assert leaderboard_map(detections(ONE), detections(half))["score"] == 1.0


def test_second_detection_of_a_box_is_false_even_if_another_box_is_free():
    near = ("a", "X", 1.0, 12.0, 10.0, 21.0, 19.0)
    found = leaderboard_map(
        detections(ONE, near), detections(ONE, (*ONE[:2], 0.9, *ONE[3:]), (*near[:2], 0.8, *near[3:]))
    )
    assert found["score"] == pytest.approx(0.5 + 0.5 * 2 / 3, abs=1e-12)


def test_missing_image_is_an_error_and_unknown_ones_are_ignored():
    other = ("zzz", "X", 1.0, 0.0, 0.0, 5.0, 5.0)
    assert leaderboard_map(detections(ONE), detections(other, ONE))["score"] == 1.0
    with pytest.raises(DataError, match="1 of 1 images have no prediction, such as 'a'"):
        leaderboard_map(detections(ONE), detections(other))
    with pytest.raises(DataError, match="no prediction"):
        leaderboard_map(detections(ONE), empty(DETECTIONS))
    with pytest.raises(DataError, match="no rows"):
        leaderboard_map(empty(DETECTIONS), detections(ONE))


def test_order_of_rows_matters_only_among_ties_of_one_image():
    truth = read_competition_csv(GOLDEN / "truth.csv")
    predictions = read_competition_csv(GOLDEN / "tied_confidences.csv")
    shuffled = predictions.sample(frac=1, random_state=0).sort_values(["score"], kind="stable")
    by_image = predictions.sort_values("image_id", kind="stable", ascending=False)
    assert leaderboard_map(truth, by_image) == leaderboard_map(truth, predictions)
    assert leaderboard_map(truth, shuffled)["score"] == pytest.approx(EXPECTED["tied_confidences"], abs=0.02)


def test_weight_two_equals_the_image_twice(rng):
    truth = read_competition_csv(GOLDEN / "truth.csv")
    predictions = read_competition_csv(GOLDEN / "jittered.csv")
    predictions["score"] = rng.permutation(len(predictions)) / len(predictions)  # without ties
    ranking = rank(truth, predictions)
    weights = rng.integers(0, 3, (2, len(ranking.image_ids))).astype(float)
    precisions = np.stack([ranked.average_precision(weights) for ranked in ranking.classes.values()], axis=1)
    for row, scores in zip(weights, precisions, strict=True):
        copies = [
            (image, f"{image}#{copy}")
            for image, count in zip(ranking.image_ids, row, strict=True)
            for copy in range(int(count))
        ]
        names = pd.DataFrame(copies, columns=["image_id", "copy"])
        doubled = [
            names.merge(table, on="image_id").drop(columns="image_id").rename(columns={"copy": "image_id"})
            for table in (truth, predictions)
        ]
        assert np.nanmean(scores) == pytest.approx(leaderboard_map(*doubled)["score"], abs=1e-12)


def test_scoring_loads_no_heavy_library():
    code = (
        "import sys, tropho.metrics.leaderboard_map, tropho.submission.competition_csv\n"
        "import tropho.submission.format_check\n"
        "assert not {'torch', 'cv2', 'sklearn', 'matplotlib', 'scipy', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real
def test_the_real_truth_scores_one_against_itself(real_data):
    truth = read_competition_csv(real_data / "lacuna" / "Train.csv")
    assert leaderboard_map(truth, truth) == {"score": 1.0, "ap": {"NEG": 1.0, "Trophozoite": 1.0, "WBC": 1.0}}
    assert len(truth[BOX]) == 23530
