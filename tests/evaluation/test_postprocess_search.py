"""Post-processing of boxes, fitted step by step out of fold: each test plants what one step should find."""

import json

import numpy as np
import pandas as pd
import pytest

from tropho.data.task_data import GroundTruth
from tropho.evaluation.box_steps import BoxPredictions
from tropho.evaluation.postprocess_search import MIN_GAIN, merge_params, paired_gain, search_postprocess
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.tables import BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task

T, W, NEG = "Trophozoite", "WBC", "NEG"
TWO = {"train.ensemble": {"two": {"train.seed": 1}}}
VIEWS = {"predict.tta": ["identity", "hflip"]}


@pytest.fixture
def search(settings):
    """Search on tables of rows by member; every image is a group of its own unless `groups` says otherwise."""

    def search(true, tables, n_images, groups=None, **chosen):
        oof, ids = build_oof(settings, true, tables, n_images, **chosen), names(n_images)
        return search_postprocess(oof, pd.Series(groups or ids, index=ids))

    return search


def build_oof(settings, true, tables, n_images, **chosen):
    task = build_task(settings("smear_demo", **{"audit.missing_labels": "none"}, **chosen), [T, W])
    images = pd.DataFrame({"image_id": names(n_images), "group": names(n_images)}).reindex(columns=list(IMAGES))
    boxes = conform(pd.DataFrame(true, columns=list(BOXES)[:-1]), BOXES)
    gt = GroundTruth(conform(images, IMAGES), boxes)
    views = {name: [as_table(rows) for rows in member] for name, member in tables.items()}
    return BoxPredictions(task, gt, views)


def as_table(rows):
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS) if rows else empty(DETECTIONS)


def names(n_images):
    return [f"i{number:03}" for number in range(n_images)]


def is_empty(number):
    return number % 3 == 0


def grid(label="T", side=30.0):
    """Four boxes apart, two of each class."""
    return [(each, np.array([80.0 * n, 10, 80 * n + side, 10 + side])) for n, each in enumerate((T, T, W, W))]


def two_members(rng, n_images, harmful=True):
    """Each member finds all boxes, and false ones in every third image, which is empty.

    If `harmful`, the second's T are displaced and surer than the first's, and its P(NEG) is drawn by lot.
    """
    true, found = [], {"base": [], "two": []}
    for number, name in enumerate(names(n_images)):
        for label, box in grid():
            if not is_empty(number):
                true.append((name, label, *box))
            for member, rows in found.items():
                spoilt = harmful and member == "two" and label == T
                score = rng.uniform(0.5, 0.9) if spoilt else rng.uniform(0.2, 0.4 if is_empty(number) else 0.6)
                moved = np.array([0, 300, 0, 300]) if spoilt else rng.normal(0, 1, 4)
                rows.append((name, label, score, *(box + moved)))
        for member, rows in found.items():
            lot = harmful and member == "two"
            rows.append(
                negative(name, rng.uniform() if lot else 0.6 - 0.2 * (not is_empty(number)) + rng.normal(0, 0.1))
            )
    return true, {name: [rows] for name, rows in found.items()}


def negative(name, score):
    return (name, NEG, float(np.clip(score, 0, 1)), 0.0, 0.0, 0.0, 0.0)


def test_search_weighs_members_by_class(search, rng):
    true, tables = two_members(rng, 45)
    fitted = search(true, tables, 45, **TWO)
    assert fitted["gains"]["member weights"]["accepted"]
    assert fitted["gains"]["member weights"]["value"] > 0.1
    assert fitted["weights"][T]["two"] < fitted["weights"][T]["base"]
    assert fitted["weights"][NEG]["two"] < fitted["weights"][NEG]["base"]
    assert search(true, tables, 45, **TWO) == fitted
    assert json.loads(json.dumps(fitted)) == fitted


def test_search_leaves_out_what_does_not_gain(search, rng):
    """Exact boxes of two members that agree: every step is tried, none gains, and nothing but gains is returned."""
    true, rows = [], []
    for number, name in enumerate(names(30)):
        boxes = [] if is_empty(number) else grid()
        true += [(name, label, *box) for label, box in boxes]
        rows += [(name, label, rng.uniform(0.5, 0.9), *box) for label, box in boxes]
        rows.append(negative(name, 0.9 if is_empty(number) else 0.1))
    fitted = search(true, {"base": [rows], "two": [rows]}, 30, **TWO)
    assert list(fitted) == ["gains"]
    assert list(fitted["gains"]) == ["fusion", "member weights", "duplicates", "box sizes", "hard negative"]
    assert all(not gain["accepted"] and gain["value"] == 0 for gain in fitted["gains"].values())


def test_search_rejects_chance(search):
    """Where members are alike, a choice fits noise: of the steps of three searches at most one may be taken in."""
    gains = []
    for seed in range(3):
        fitted = search(*two_members(np.random.default_rng(seed), 42, harmful=False), 42, **TWO)
        gains += fitted["gains"].values()
    assert sum(gain["accepted"] for gain in gains) <= 1
    assert np.mean([gain["value"] for gain in gains]) < 0.01


@pytest.mark.parametrize(("n_images", "groups"), [(38, 19), (40, 20)])
def test_search_needs_20_groups(search, rng, n_images, groups):
    pairs = [f"g{number // 2}" for number in range(n_images)]
    fitted = search(*two_members(rng, n_images), n_images, groups=pairs, **TWO)
    gain = fitted["gains"]["member weights"]
    assert (gain["groups"], gain["low"] > 0.05, gain["accepted"]) == (groups, True, groups >= 20)
    assert ("weights" in fitted) == gain["accepted"]


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_search_without_a_negative_class(search, rng, method):
    true, tables = two_members(rng, 45)
    tables = {name: [[row for row in rows if row[1] != NEG]] for name, (rows,) in tables.items()}
    fitted = search(true, tables, 45, **TWO, **{"audit.negative": None, "predict.ensemble_method": method})
    assert fitted["gains"]["member weights"]["accepted"]
    assert "hard negative" not in fitted["gains"]
    assert set(fitted["weights"]) <= {T, W}


def test_search_keeps_zero_weights(settings, rng):
    members = {"train.ensemble": {"two": {"model.name": "negative_classifier"}}, "predict.negative_members": ["two"]}
    true, tables = two_members(rng, 45)
    tables["two"] = [[row for row in tables["two"][0] if row[1] == NEG]]
    oof = build_oof(settings, true, tables, 45, **members)
    assert [step.name for step in oof.steps] == ["duplicates", "box sizes", "hard negative"]


def test_search_fits_the_iou_of_views(search, rng):
    """Neighbouring T that overlap by 0.6 are two objects: as set they are fused to one, which the search undoes."""
    boxes = [(T, (10.0, 10.0, 50.0, 50.0)), (T, (20.0, 10.0, 60.0, 50.0)), (W, (100.0, 10.0, 140.0, 50.0))]
    true, views = [], [[], []]
    for number, name in enumerate(names(45)):
        for rows in views:
            rows += [(name, label, rng.uniform(0.3, 0.9), *box) for label, box in boxes if not is_empty(number)]
            rows.append(negative(name, 0.6 if is_empty(number) else 0.4))
        true += [(name, label, *box) for label, box in boxes if not is_empty(number)]
    fitted = search(true, {"base": views}, 45, **VIEWS)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["gains"]["fusion"]["value"] > 0.1
    assert fitted["wbf_iou_threshold"] == {T: 0.7}  # the first that is enough; W stays as it is
    assert "member weights" not in fitted["gains"]


def test_search_fits_the_rule_of_confidence(search, rng):
    """A T is surely found in one view and missed in the other; both agree on a doubtful false one: max is right."""
    true, views = [], [[], []]
    for number, name in enumerate(names(45)):
        for idx, rows in enumerate(views):
            if number % 2 == idx:
                rows.append((name, T, rng.uniform(0.8, 0.9), 10, 10, 40, 40))
            rows.append((name, T, rng.uniform(0.5, 0.6), 100, 10, 130, 40))
            rows.append(negative(name, 0.1))
        true.append((name, T, 10, 10, 40, 40))
    fitted = search(true, {"base": views}, 45, **VIEWS)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["conf_type"] == {T: "max"}


def test_search_merges_duplicates_of_one_class(search, rng):
    """Every T has a second box that overlaps by 0.43; W that overlap as much are two objects."""
    true, rows = [], []
    for name in names(45):
        for label, shift in ((T, 0.0), (W, 200.0)):
            box = np.array([10.0 + shift, 10, 50 + shift, 50])
            beside = box + np.array([16.0, 0, 16, 0])
            true.append((name, label, *box))
            rows += [(name, label, rng.uniform(0.8, 0.9), *box), (name, label, rng.uniform(0.6, 0.9), *beside)]
            if label == W:
                true.append((name, label, *beside))
        rows.append(negative(name, 0.1))
    rows = [(*row[:4], *(value + rng.normal(0, 0.2) if row[1] != NEG else 0 for value in row[4:])) for row in rows]
    fitted = search(true, {"base": [rows]}, 45)
    assert fitted["gains"]["duplicates"]["accepted"]
    assert set(fitted["duplicate_iou"]) == {T}
    assert fitted["duplicate_iou"][T] <= 0.4


def test_search_shrinks_sizes_where_an_image_has_one_size(search, rng):
    """T of an image are of one size and W of any; both are found with a wrong size."""
    true, rows = [], []
    for name in names(45):
        size = rng.uniform(30, 60)
        for idx in range(12):
            for label, y in ((T, 60.0), (W, 300.0)):
                own = size if label == T else rng.uniform(20, 80)
                centre = np.array([100.0 * idx + 60, y])
                noise = np.exp(rng.normal(0, 0.35, 2)) if label == T else np.ones(2)
                true.append((name, label, *(centre - own / 2), *(centre + own / 2)))
                half = own * noise / 2
                rows.append((name, label, rng.uniform(0.5, 0.9), *(centre - half), *(centre + half)))
        rows.append(negative(name, 0.1))
    fitted = search(true, {"base": [rows]}, 45)
    assert fitted["gains"]["box sizes"]["accepted"]
    assert fitted["gains"]["box sizes"]["value"] > 0.05
    assert set(fitted["size_shrinkage"]) == {T}
    assert fitted["size_shrinkage"][T] >= 0.5


@pytest.mark.parametrize("separates", [True, False])
def test_search_decides_hard_where_p_negative_separates(search, rng, separates):
    """P(negative) is right about every image but says nothing of its boxes, or is wrong about a third of them."""
    true, rows = [], []
    for number, name in enumerate(names(60)):
        p = rng.uniform(0.55, 0.95) if is_empty(number) else rng.uniform(0.05, 0.45)
        rows.append(negative(name, p if separates or number % 9 > 2 else 1 - p))
        for label, box in grid():
            is_object = not is_empty(number) and rng.uniform() < 0.7
            rows.append((name, label, rng.uniform(0.7, 0.9) if is_object else rng.uniform(0.5, 0.7), *box))
            if is_object:
                true.append((name, label, *box))
    fitted = search(true, {"base": [rows]}, 60)
    assert fitted["gains"]["hard negative"]["accepted"] == separates
    assert fitted.get("negative_threshold") == (0.5 if separates else None)


def test_steps_are_fitted_on_other_folds(settings, rng, monkeypatch):
    """Images of a fold have no say in how they are processed: with their boxes changed, it is done as before."""
    true, tables = two_members(rng, 30)
    groups = pd.Series(names(30), index=names(30))
    applied = {}

    def noted(self, params, image_ids):
        if len(image_ids) < 30:
            applied.setdefault(tuple(image_ids), []).append(params)
        return plain(self, params, image_ids)

    plain = BoxPredictions.predict
    monkeypatch.setattr(BoxPredictions, "predict", noted)
    search_postprocess(build_oof(settings, true, tables, 30, **TWO), groups)
    before = {ids: [*params] for ids, params in applied.items()}
    assert sorted(name for ids in before for name in ids) == names(30)
    fold = next(iter(before))
    applied.clear()
    changed = [(*row[:2], *(value + 1000 for value in row[2:])) if row[0] in fold else row for row in true]
    search_postprocess(build_oof(settings, changed, tables, 30, **TWO), groups)
    assert applied[fold][0] == before[fold][0]  # of the first step; later ones build on what all folds accepted
    assert any(applied[ids][0] != before[ids][0] for ids in before if ids != fold)


def test_search_of_one_group_fits_nothing(search, rng):
    assert search(*two_members(rng, 12), 12, groups=["g"] * 12, **TWO) == {}


@pytest.mark.parametrize(
    ("low", "value", "groups", "accepted"),
    [
        (0.01, 0.1, FEW_GROUPS, True),
        (0.01, 0.1, FEW_GROUPS - 1, False),
        (0.0, 0.1, FEW_GROUPS, False),
        (float("nan"), 0.1, 99, False),
        (0.0001, 0.0009, 99, False),
        (0.0001, MIN_GAIN, 99, True),
    ],
)
def test_paired_gain_accepts_above_zero_with_enough_groups(low, value, groups, accepted):
    class Oof:
        def gain(self, fitted, default, groups):
            return {"value": value, "low": low, "high": 0.2}

    found = paired_gain(Oof(), None, None, pd.Series([*range(groups), 0]))
    assert (found["groups"], found["accepted"]) == (groups, accepted)


def test_merge_params_replaces_by_class():
    params = {"duplicate_iou": {T: 0.3}, "negative_threshold": 0.5}
    assert merge_params(params, {"duplicate_iou": {W: 0.4}}) == {
        "duplicate_iou": {T: 0.3, W: 0.4},
        "negative_threshold": 0.5,
    }
    assert merge_params(params, {"duplicate_iou": {T: 0.5}, "negative_threshold": 0.7})["negative_threshold"] == 0.7
    assert params == {"duplicate_iou": {T: 0.3}, "negative_threshold": 0.5}
