"""Label issues of boxes."""

import numpy as np
import pandas as pd
import pytest

from tropho.evaluation.box_issues import find_box_issues, mirror_boxes, precision_at_score, prob_background
from tropho.tables import BOXES, DETECTIONS, LABEL_ISSUES, conform


def boxes(*rows: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES)


def finds(*rows: tuple) -> pd.DataFrame:
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


IMAGES = pd.DataFrame({"image_id": ["ok", "a", "empty"], "width": 2000, "height": 1000})


RIGHT = [("ok", "WBC", 100 * place, 0, 100 * place + 50, 50) for place in range(20)]


SURE = [(*row[:2], 0.9 + place / 1000, *row[2:]) for place, row in enumerate(RIGHT)]


def judged(labels: list[tuple], found: list[tuple], **options) -> list[tuple]:
    """(kind, action, label, box, score) of each suspect, beside 20 boxes that are right and surely found."""
    table = find_box_issues(IMAGES, boxes(*RIGHT, *labels), finds(*SURE, *found), **options)
    columns = ["kind", "action", "label", "xmin", "ymin", "xmax", "ymax", "score"]
    return [(*row[:3], tuple(row[3:7]), row[7]) for row in table[columns].itertuples(index=False)]


def test_find_box_issues_ranks_planted_errors_first(planted):
    suspects = find_box_issues(planted.images, planted.boxes, planted.predictions, "NEG")
    right = planted.found(suspects)
    count = sum(map(len, planted.faults.values()))
    assert count >= 70
    assert len(planted.boxes) > 500
    assert right[: count // 2].mean() >= 0.85
    assert right[:count].mean() >= 0.75
    for kind, faults in planted.faults.items():
        assert right[suspects["kind"] == kind].sum() >= 0.8 * len(faults), kind
    unfound = suspects["kind"] == "spurious"
    assert right[~unfound].mean() >= 0.85
    assert right[unfound].mean() >= 0.35  # the others are objects that the model misses


def test_find_box_issues_of_correct_labels_are_few(planted):
    """What is said of labels that a model agrees with but for its own noise."""
    truth = planted.predictions[planted.predictions["score"] > 0.6]
    agreed = conform(truth[truth["label"] != "NEG"], BOXES)
    assert len(find_box_issues(planted.images, agreed, planted.predictions, "NEG")) <= 0.03 * len(agreed)


def test_find_box_issues_ignores_row_order(planted, rng):
    expected = find_box_issues(planted.images, planted.boxes, planted.predictions, "NEG")
    shuffled = [table.sample(frac=1, random_state=rng) for table in (planted.boxes, planted.predictions)]
    pd.testing.assert_frame_equal(find_box_issues(planted.images, *shuffled, "NEG"), expected)
    assert {name: str(kind) for name, kind in expected.dtypes.items()} == LABEL_ISSUES
    assert expected["rank"].tolist() == list(range(1, len(expected) + 1))
    assert expected["score"].is_monotonic_decreasing


def test_overlooked_scores_precision():
    (suspect,) = judged([], [("ok", "WBC", 0.9105, 0, 200, 50.04, 250)])
    assert suspect[:4] == ("overlooked", "add", "WBC", (0, 200, 50, 250))
    assert suspect[4] == pytest.approx(11 / 12, abs=1e-6)  # of it and the eleven that are less sure


def test_precision_at_score_rises():
    table = pd.DataFrame({"label": "WBC", "score": [0.1, 0.2, 0.3, 0.4, 0.5], "hit": [False, True, False, True, True]})
    other = pd.DataFrame({"label": "Trophozoite", "score": [0.9], "hit": [False]})
    both = pd.concat([table, other], ignore_index=True)
    np.testing.assert_allclose(precision_at_score(both), [0, 0.5, 0.5, 1, 1, 0], atol=1e-12)


def test_not_negative_in_an_empty_image():
    found = [("empty", "WBC", 0.91, 0, 0, 50, 50), ("empty", "NEG", 0.9, 0, 0, 0, 0)]
    assert [row[:2] for row in judged([], found, negative="NEG")] == [("not_negative", "add")]
    assert [row[:2] for row in judged([], found[:1])] == [("overlooked", "add")]


def test_overlooked_suggests_one_of_overlapping_detections():
    sure = [("ok", "Trophozoite", 0.9, 0, 500 + 60 * place, 30, 530 + 60 * place) for place in range(9)]
    labels = [(*row[:2], *row[3:]) for row in sure]
    found = [*sure, ("ok", "WBC", 0.92, 0, 200, 50, 250), ("ok", "Trophozoite", 0.9, 2, 200, 50, 250)]
    assert [row[:3] for row in judged(labels, found)] == [("overlooked", "add", "WBC")]


def test_spurious_without_detection_near():
    (suspect,) = judged([("a", "WBC", 0, 0, 50, 50)], [])
    # Nothing is found near any mirrored box, and near one annotated box of 21.
    assert suspect == ("spurious", "drop", "WBC", (0, 0, 50, 50), pytest.approx(0.25 / (0.25 + 0.75 / 21), abs=1e-6))


def test_prob_background_falls_with_score():
    best, by_chance = np.array([0.0, 0.1, 0.9, 0.9, 0.0]), np.array([0.0, 0.0, 0.0, 0.1])
    labels, decoy_labels = pd.Series(["WBC"] * 4 + ["Trophozoite"]), pd.Series(["WBC"] * 4)
    # Of the weight at 0, 3/4 * 1/4 are decoys and 1/4 * 3/4 annotated; at 0.1, 1/16 and 3/16. The other class has
    # no decoys.
    np.testing.assert_allclose(prob_background(labels, best, decoy_labels, by_chance), [0.5, 0.25, 0, 0, 0], atol=1e-12)


def test_spurious_counts_detections_of_any_class():
    labels, found = [("a", "WBC", 0, 0, 50, 50)], [("a", "Trophozoite", 0.2, 0, 20, 50, 70)]
    assert judged(labels, found) == []


def test_near_iou_is_at_most_the_hit_iou():
    """IoU 17/83: a hit where 0.1 is asked for, and no sign that either is wrong; a miss where 0.5 is."""
    labels, found = [("a", "WBC", 0, 0, 50, 50)], [("a", "WBC", 0.92, 33, 0, 83, 50)]
    assert judged(labels, found, iou=0.1) == []
    assert sorted(row[0] for row in judged(labels, found, iou=0.5)) == ["overlooked", "spurious"]


def test_spurious_needs_a_model_with_recall():
    missed = [("a", "WBC", 100 * place, 0, 100 * place + 50, 50) for place in range(11)]
    assert len(judged(missed[:9], [])) == 9
    assert judged(missed, []) == []


def test_mirror_boxes_avoids_annotated_boxes():
    images = pd.DataFrame({"width": [100], "height": [60]}, index=["a"])
    truths = boxes(("a", "WBC", 0, 0, 20, 10), ("a", "WBC", 75, 45, 95, 55))
    decoys = mirror_boxes(images, truths)
    assert decoys[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [
        [80, 0, 100, 10],
        [5, 45, 25, 55],
        [0, 50, 20, 60],
        [75, 5, 95, 15],
    ]  # but not [80, 50, 100, 60] or [5, 5, 25, 15], which touch a box


def test_swap_needs_no_detection_of_its_own_class():
    swapped = ("a", "Trophozoite", 0, 0, 50, 50)
    found = ("a", "WBC", 0.92, 1, 1, 50, 50)
    (suspect,) = judged([swapped], [found])
    assert suspect[:4] == ("swap", "relabel", "WBC", (0, 0, 50, 50))
    assert judged([swapped], [found, ("a", "Trophozoite", 0.7, 0, 0, 50, 50)]) == []


def test_badloc_moves_the_box():
    (suspect,) = judged([("a", "WBC", 25, 0, 75, 50)], [("a", "WBC", 0.92, 0, 0, 50, 50)])
    assert suspect[:4] == ("badloc", "move", "WBC", (0, 0, 50, 50))


def test_badloc_moves_to_no_other_box():
    labels = [("a", "WBC", 0, 0, 50, 50), ("a", "WBC", 30, 0, 80, 50)]
    both = [("a", "WBC", 0.95, 0, 0, 50, 50), ("a", "WBC", 0.92, 5, 0, 55, 50)]
    assert "badloc" not in [row[0] for row in judged(labels, both)]


def test_duplicate_is_the_second_box():
    labels = [("a", "WBC", 0, 0, 50, 50), ("a", "WBC", 5, 5, 50, 50)]
    (suspect,) = judged(labels, [("a", "WBC", 0.95, 0, 0, 50, 49)])
    assert suspect[:4] == ("duplicate", "drop", "WBC", (5, 5, 50, 50))


def test_find_box_issues_skips_ignore_classes():
    labels, found = [("a", "WBC", 300, 0, 350, 50)], [("a", "WBC", 0.95, 0, 0, 50, 50)]
    assert len(judged(labels, found)) == 2
    images = IMAGES.assign(ignore_classes=[pd.NA, '["Trophozoite", "WBC"]', pd.NA])
    assert find_box_issues(images, boxes(*RIGHT, *labels), finds(*SURE, *found)).empty


@pytest.mark.parametrize("labels", [RIGHT, []])
def test_find_box_issues_without_detections(labels):
    table = find_box_issues(IMAGES, boxes(*labels), finds(("ok", "NEG", 0.5, 0, 0, 0, 0)), "NEG")
    assert {name: str(kind) for name, kind in table.dtypes.items()} == LABEL_ISSUES
    assert table.empty


def reasons(labels: list[tuple], found: list[tuple], negative: str | None = None) -> list[tuple[str, str]]:
    table = find_box_issues(IMAGES, boxes(*RIGHT, *labels), finds(*SURE, *found), negative)
    return list(zip(table["kind"], table["reason"], strict=True))


def test_overlooked_at_score_one_half():
    """Of two equally sure finds of a class one is right."""
    found = [("a", "Trophozoite", 0.9, 0, 0, 50, 50), ("a", "Trophozoite", 0.9, 300, 0, 350, 50)]
    (suspect,) = judged([("a", "Trophozoite", 0, 0, 50, 50)], found)
    assert (suspect[0], suspect[4]) == ("overlooked", 0.5)
    assert judged([("a", "Trophozoite", 0, 0, 50, 50)], [*found, ("a", "Trophozoite", 0.9, 600, 0, 650, 50)]) == []


def test_swap_at_the_iou_limit():
    box = ("a", "Trophozoite", 0, 0, 50, 50)
    assert [row[0] for row in judged([box], [("a", "WBC", 0.92, 0, 0, 50, 25)])] == ["swap"]
    assert "swap" not in [row[0] for row in judged([box], [("a", "WBC", 0.92, 0, 0, 50, 24)])]


def test_duplicate_at_the_iou_limit():
    labels = [("a", "WBC", 0, 0, 50, 50), ("a", "WBC", 0, 0, 50, 25)]
    assert [row[0] for row in judged(labels, [("a", "WBC", 0.95, 0, 0, 50, 50)])] == ["duplicate"]
    labels[1] = ("a", "WBC", 0, 0, 50, 24)
    assert "duplicate" not in [row[0] for row in judged(labels, [("a", "WBC", 0.95, 0, 0, 50, 50)])]


def test_badloc_score_by_hand():
    (suspect,) = judged([("a", "WBC", 25, 0, 75, 50)], [("a", "WBC", 0.92, 0, 0, 50, 50)])
    assert suspect[4] == pytest.approx((20 / 21) ** 2, abs=1e-6)  # 20 of 21 such finds are right, and overlap more


def test_reasons_by_kind():
    missed, found = [("a", "WBC", 0, 0, 50, 50)], ("a", "WBC", 0.92, 0, 0, 50, 50)
    assert reasons(missed, []) == [("spurious", "the best score there is 0.00")]
    assert reasons([], [found]) == [("overlooked", "WBC found with 0.92")]
    assert reasons([], [("empty", *found[1:])], "NEG") == [("not_negative", "WBC found with 0.92")]
    assert reasons([("a", "Trophozoite", 0, 0, 50, 50)], [found]) == [("swap", "found as WBC with 0.92")]
    assert reasons([("a", "WBC", 25, 0, 75, 50)], [found]) == [("badloc", "found here with 0.92")]
    double = [*missed, ("a", "WBC", 5, 5, 50, 50)]
    assert reasons(double, [("a", "WBC", 0.95, 0, 0, 50, 49)]) == [("duplicate", "one detection of 0.95 has two boxes")]


def test_spurious_names_the_best_score_near():
    """There are finds as unsure wherever nothing is annotated."""
    chance = [("ok", "WBC", 0.1, 1950 - 100 * place, 950, 2000 - 100 * place, 1000) for place in range(20)]
    told = reasons([("a", "WBC", 0, 0, 50, 50)], [("a", "WBC", 0.1, 0, 0, 50, 30), *chance])
    assert ("spurious", "the best score there is 0.10") in told
