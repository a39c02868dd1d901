"""What whole images say of their boxes, by hand; and that only gains that hold are kept."""

import numpy as np
import pandas as pd
import pytest

from tropho.metrics.boxes import claim, leaderboard_map, rank
from tropho.metrics.leaderboard import claim_images, gain, rank_images
from tropho.predicting.finish_search import Evidence, fit_calibration, search_finish, search_powers
from tropho.predicting.finishing import CAUTION, finish_detections, negative_evidence, negative_probability, suppress
from tropho.tables import BOX

COLUMNS = ["image_id", "label", "score", *BOX]


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


TWO = table(
    ("a", "T", 0.8, 0, 0, 9, 9),
    ("a", "W", 0.6, 20, 20, 29, 29),
    ("a", "NEG", 0.25, 0, 0, 0, 0),
    ("b", "T", 0.5, 0, 0, 9, 9),
    ("b", "NEG", 0.9, 0, 0, 0, 0),
)


def test_boxes_are_scaled_by_their_image() -> None:
    scores = finish_detections(TWO, "NEG")["score"].tolist()
    assert scores == pytest.approx([0.6, 0.45, 0.25, 0.05, 0.9], abs=1e-12)
    scores = finish_detections(TWO, "NEG", {"powers": {"T": 2.0, "W": 0.0}})["score"].tolist()
    assert scores == pytest.approx([0.8 * 0.75**2, 0.6, 0.25, 0.5 * 0.1**2, 0.9], abs=1e-12)
    pd.testing.assert_frame_equal(finish_detections(TWO, None), TWO)


def test_calibration_weighs_the_head_and_the_best_boxes() -> None:
    evidence = negative_evidence(TWO, "NEG", ["T", "W"])
    assert evidence.loc["a"].tolist() == pytest.approx(np.log([1 / 3, 0.25, 2 / 3]), abs=1e-12)
    assert evidence["W"]["b"] == pytest.approx(np.log((1 - CAUTION) / CAUTION))  # no box of it at all
    weights = {"intercept": 0.5, "NEG": 1.0, "T": 2.0, "W": 0.0}
    absent = negative_probability(TWO, "NEG", weights)
    assert absent["a"] == pytest.approx(1 / (1 + np.exp(-(0.5 + np.log(1 / 3) + 2 * np.log(0.25)))))
    finished = finish_detections(TWO, "NEG", {"negative": weights})
    assert finished["score"].tolist()[2:] == pytest.approx([absent["a"], 0.5 * (1 - absent["b"]), absent["b"]])


def test_classes_that_annotators_left_out_are_no_finds() -> None:
    ignored = pd.Series(["W+T", pd.NA], index=["a", "b"], dtype="string")
    assert suppress(TWO, ignored)["image_id"].tolist() == ["a", "b", "b"]
    assert finish_detections(TWO, "NEG", None, ignored)["label"].tolist() == ["NEG", "T", "NEG"]
    assert len(finish_detections(TWO, None, None, pd.Series(["W", pd.NA], index=["a", "b"], dtype="string"))) == 4


def test_ranking_for_other_confidences_is_that_of_a_table_with_them(rng: np.random.Generator) -> None:
    truth, predictions, _ = scene(rng, 30)
    claims = claim(truth, predictions)
    for _ in range(5):
        scores = rng.random(len(predictions)).round(1)  # with ties
        found = claims.rank(scores)
        expected = leaderboard_map(truth, predictions.assign(score=scores))
        assert float(found.score()) == pytest.approx(expected["score"], abs=1e-12)
        again = rank(truth, predictions.assign(score=scores))
        assert again.classes["T"].hit.tolist() == found.classes["T"].hit.tolist()


def scene(
    rng: np.random.Generator, images: int, informative: bool = True, per_group: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """True boxes with NEG rows, raw predictions, and groups.

    Half of the images are empty, and hold false boxes as confident as the true ones. P(NEG) tells which are empty, or
    is of no use.
    """
    truth, found = [], []
    for number in range(images):
        name, empty = f"i{number:03}", number % 2 == 0
        if empty:
            truth.append((name, "NEG", 0, 0, 0, 0))
        for place in range(3):
            box = (40 * place, 10, 40 * place + 20, 30)
            if not empty:
                truth.append((name, "T", *box))
            found.append((name, "T", rng.uniform(0.3, 0.9), *box))
        told = 0.5 + (0.05 if empty else -0.05) + rng.normal(0, 0.02) if informative else rng.uniform(0.2, 0.8)
        found.append((name, "NEG", float(np.clip(told, 0.01, 0.99)), 0, 0, 0, 0))
    groups = pd.Series({f"i{number:03}": f"g{number // per_group}" for number in range(images)})
    return pd.DataFrame(truth, columns=["image_id", "label", *BOX]), table(*found), groups


def evidence_of(truth: pd.DataFrame, predictions: pd.DataFrame, groups: pd.Series) -> Evidence:
    return Evidence(list(groups.index), truth[truth["label"] != "NEG"], predictions, groups, "NEG", ["T"])


def test_a_head_that_is_too_timid_gets_a_higher_power_or_is_calibrated(rng: np.random.Generator) -> None:
    evidence = evidence_of(*scene(rng, 60))
    fitted = search_finish(evidence, calibrate=False, trials=16)
    assert fitted["gains"]["powers"]["kept"]
    assert fitted["powers"]["T"] > 2  # 1 - P(NEG) says 0.45 or 0.55, which one power hardly parts
    both = search_finish(evidence, calibrate=True, trials=0)
    assert both["negative"]["NEG"] > 1


@pytest.mark.parametrize("groups", [19, 20])
def test_fewer_than_20_groups_keep_nothing(rng: np.random.Generator, groups: int) -> None:
    fitted = search_finish(evidence_of(*scene(rng, 4 * groups, per_group=4)), calibrate=True, trials=16)
    found = fitted.pop("gains")["negative"]
    assert found["groups"] == groups
    assert found["low"] > 0
    assert found["kept"] == (groups >= 20)
    assert bool(fitted) == (groups >= 20)


def test_what_gains_by_luck_alone_is_not_kept(rng: np.random.Generator) -> None:
    """Where P(NEG) says nothing, powers fit noise: out of ten searches at most one may be taken in."""
    gains = [
        search_finish(evidence_of(*scene(rng, 40, informative=False)), calibrate=False, trials=12)["gains"]["powers"]
        for _ in range(10)
    ]
    assert sum(each["kept"] for each in gains) <= 1
    assert np.mean([each["value"] for each in gains]) < 0.02


def test_powers_for_a_part_are_chosen_without_it(rng: np.random.Generator) -> None:
    truth, predictions, groups = scene(rng, 40)
    evidence = evidence_of(truth, predictions, groups)
    absent = negative_probability(predictions, "NEG")
    _, before = search_powers(evidence, absent, 12)
    mine = evidence.part.index[evidence.part == 0]
    spoilt = predictions.copy()
    rows = spoilt["image_id"].isin(mine) & (spoilt["label"] == "T")
    spoilt.loc[rows, "score"] = rng.random(int(rows.sum()))
    _, after = search_powers(evidence_of(truth, spoilt, groups), absent, 12)
    assert before[0] == after[0]


def test_nothing_is_fitted_without_groups_or_without_both_kinds(rng: np.random.Generator) -> None:
    truth, predictions, groups = scene(rng, 20)
    assert search_finish(evidence_of(truth, predictions, groups.map(lambda _: "g")), True, 8) == {}
    evidence = evidence_of(truth, predictions, groups)
    assert fit_calibration(evidence, [f"i{number:03}" for number in range(1, 20, 2)]) is None


def test_gain_is_the_difference_of_the_scores(rng: np.random.Generator) -> None:
    truth, predictions, groups = scene(rng, 30)
    boxes = truth[truth["label"] != "NEG"]
    tables = (predictions, finish_detections(predictions, "NEG"))
    plain, finished = (rank_images(list(groups.index), boxes, each, "NEG") for each in tables)
    found = gain(finished, plain, groups)
    assert found["value"] == pytest.approx(float(finished.score() - plain.score()), abs=1e-12)
    assert found["low"] <= found["value"] <= found["high"]
    claims = claim_images(list(groups.index), boxes, predictions, "NEG")
    same = gain(claims.rank(predictions["score"].to_numpy()), plain, groups)
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
