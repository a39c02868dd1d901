"""Weights of an ensemble's members, and what fusing them by weight does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from tropho.boxes.wbf import fuse
from tropho.data.task_data import GroundTruth
from tropho.evaluation.classification_evaluator import mixture_weights
from tropho.evaluation.cross_fit import cross_fit_postprocess, fit_members, group_kfold
from tropho.evaluation.evaluator import build_evaluator
from tropho.inference.fuse_members import (
    VIEW,
    fuse_members,
    member_table,
    postprocess_members,
    stack_members,
    stack_views,
)
from tropho.tables import BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_mixture_weights_have_the_least_log_loss(seed, count):
    given_to_truth = np.random.default_rng(seed).uniform(0.05, 0.95, (40, count))

    def loss(free):
        shares = np.exp(np.append(free, 0.0))
        return -np.log(given_to_truth @ (shares / shares.sum())).mean()

    weights = mixture_weights(given_to_truth)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= 0
    found = -np.log(given_to_truth @ np.array(weights)).mean()
    assert found <= minimize(loss, np.zeros(count - 1)).fun + 1e-5


def test_of_a_good_and_a_bad_model_the_good_one_counts():
    weights = mixture_weights(np.column_stack([np.full(50, 0.9), np.full(50, 0.1)]))
    np.testing.assert_allclose(weights, [1, 0], atol=1e-6)


def test_no_images_leave_weights_equal():
    assert mixture_weights(np.zeros((0, 2))) == [0.5, 0.5]


def classified(task, rows) -> pd.DataFrame:
    columns = dict(zip(task.columns, np.array(rows).T, strict=True))
    ids = [f"i{number:02d}" for number in range(len(rows))]
    labels = [task.classes[int(np.argmax(row))] for row in rows]
    return pd.DataFrame({"image_id": ids, "label": labels, **columns})


@pytest.fixture
def classifying(settings, rng):
    """A task with fitted weights, its truth of 40 images, and a member that knows beside one that guesses."""
    chosen = {"predict.member_weights": "fitted", "train.ensemble": {"guesses": {"train.seed": 1}}}
    task = build_task(settings("cells_demo", **chosen), ["a", "b"])
    labels = rng.integers(0, 2, 40)
    images = pd.DataFrame({"image_id": [f"i{number:02d}" for number in range(40)], "group": "g"})
    images = images.assign(label=[task.classes[each] for each in labels], group=[f"g{each}" for each in range(40)])
    truth = GroundTruth(conform(images.reindex(columns=list(IMAGES)), IMAGES), pd.DataFrame({"image_id": []}))
    right = np.where(labels == 1, 0.8, 0.2)
    knows = classified(task, np.column_stack([1 - right, right]))
    guesses = rng.uniform(0.1, 0.9, 40)
    return (
        task,
        truth,
        stack_members({"base": knows, "guesses": classified(task, np.column_stack([1 - guesses, guesses]))}),
    )


def test_weights_are_fitted_and_applied(classifying):
    task, truth, stacked = classifying
    groups = truth.images.set_index("image_id")["group"]
    fitted = fit_members(build_evaluator(task), truth, stacked, groups)
    assert fitted["weights"]["base"] > 0.9
    alone = fuse_members(task, stacked, {"weights": {"base": 1.0, "guesses": 0.0}})
    assert task.score(truth, alone) == 1.0
    pd.testing.assert_frame_equal(
        postprocess_members(task, stacked, fitted), task.postprocess(fuse_members(task, stacked, fitted), fitted)
    )


def test_weights_of_an_image_do_not_depend_on_its_own_label(classifying):
    task, truth, stacked = classifying
    groups = truth.images.set_index("image_id")["group"]
    finished = cross_fit_postprocess(build_evaluator(task), truth, stacked, groups)
    assert list(finished["image_id"]) == list(truth.images["image_id"])
    flipped = truth.images.copy()
    flipped.loc[3, "label"] = {"a": "b", "b": "a"}[flipped.loc[3, "label"]]
    other = cross_fit_postprocess(build_evaluator(task), GroundTruth(flipped, truth.boxes), stacked, groups)
    pd.testing.assert_frame_equal(finished[finished["image_id"] == "i03"], other[other["image_id"] == "i03"])
    assert not np.allclose(finished[task.columns], other[task.columns])


@pytest.fixture
def detecting(settings, rng):
    """A task with fitted fusion, its truth of 25 images, and two detectors: one sees, one adds what is not there."""
    task = build_task(
        settings("smear_demo", **{"evaluate.postprocess_trials": 12, "train.ensemble": {"bad": {"train.seed": 1}}}),
        ["Trophozoite", "WBC"],
    )
    ids = [f"i{number:02d}" for number in range(25)]  # so that the groups outside a part are 20
    rows = [[each, "WBC", 10.0, 10.0, 40.0, 40.0] for each in ids[5:]]
    boxes = conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES)
    truth = GroundTruth(
        conform(pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES)), IMAGES), boxes
    )

    def detected(box, least, most):
        rows = [[each, "WBC", rng.uniform(least, most), *box] for each in ids]
        rows += [[each, "NEG", 0.6 if number < 5 else 0.4, 0, 0, 0, 0] for number, each in enumerate(ids)]
        return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)

    good, bad = detected([11.0, 10.0, 41.0, 40.0], 0.2, 0.4), detected([60.0, 60.0, 90.0, 90.0], 0.7, 0.9)
    return task, truth, stack_members({"base": good, "bad": bad}), pd.Series(ids, index=ids)


def test_fusion_is_fitted_by_class_and_applied(detecting):
    task, truth, stacked, groups = detecting
    fitted = fit_members(build_evaluator(task), truth, stacked, groups)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["weights"]["bad"]["WBC"] < fitted["weights"]["base"]["WBC"]
    plain, finished = (postprocess_members(task, stacked, each) for each in (None, fitted))
    assert task.score(truth, finished) > task.score(truth, plain) + 0.1
    honest = cross_fit_postprocess(build_evaluator(task), truth, stacked, groups)
    assert task.score(truth, plain) < task.score(truth, honest) <= task.score(truth, finished)


def test_fusion_of_an_image_does_not_depend_on_its_own_boxes(detecting):
    task, truth, stacked, groups = detecting
    honest = cross_fit_postprocess(build_evaluator(task), truth, stacked, groups)
    other = truth.boxes.copy()
    other.loc[other["image_id"] == "i07", ["xmin", "xmax"]] += 200.0
    changed = cross_fit_postprocess(build_evaluator(task), GroundTruth(truth.images, other), stacked, groups)
    mine = [each[each["image_id"] == "i07"].reset_index(drop=True) for each in (honest, changed)]
    pd.testing.assert_frame_equal(mine[0], mine[1])


def test_fusion_without_trials_learns_nothing(detecting, settings):
    _, truth, stacked, groups = detecting
    task = build_task(settings("smear_demo", **{"train.ensemble": {"bad": {"train.seed": 1}}}), ["Trophozoite", "WBC"])
    assert fit_members(build_evaluator(task), truth, stacked, groups) == {}


def test_weights_by_class_fuse_each_class_by_its_own(detecting):
    *_, stacked, _ = detecting
    base, bad = (stacked[stacked["member"] == name].drop(columns="member") for name in ("base", "bad"))
    fused = fuse([base, bad], 0.55, [{"WBC": 1.0, "NEG": 0.0}, {"WBC": 3.0, "NEG": 1.0}], "wbf", "NEG")
    for label, weights in (("WBC", [1.0, 3.0]), ("NEG", [0.0, 1.0])):
        alone = fuse([each[each["label"] == label] for each in (base, bad)], 0.55, weights, "wbf", "NEG")
        pd.testing.assert_frame_equal(fused[fused["label"] == label].reset_index(drop=True), alone)
    left_out = fuse([base, bad], 0.55, [1.0, 0.0], "wbf", "NEG").sort_values(["image_id", "label"], ignore_index=True)
    pd.testing.assert_frame_equal(left_out, base.sort_values(["image_id", "label"], ignore_index=True))


@pytest.fixture
def without_negative(settings):
    """A task whose images have no negative row, with fitted fusion, and its truth: one box in each of 20 images."""
    chosen = {"audit.negative": None, "evaluate.postprocess_trials": 2, "train.ensemble": {"other": {"train.seed": 1}}}
    task = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])
    ids = [f"i{number:02d}" for number in range(20)]
    boxes = pd.DataFrame([[each, "WBC", 10.0, 10.0, 40.0, 40.0] for each in ids], columns=list(BOXES)[:-1])
    images = pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES))
    return task, GroundTruth(conform(images, IMAGES), conform(boxes, BOXES))


def found_in(image_ids: list[str], score: float) -> pd.DataFrame:
    rows = [[each, "WBC", score, 10.0, 10.0, 40.0, 40.0] for each in image_ids]
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS) if rows else empty(DETECTIONS)


@pytest.mark.parametrize("silent", ["base", "other"])
def test_a_member_without_a_find_counts_as_one_that_saw_nothing(without_negative, silent):
    task, _ = without_negative
    speaks = "other" if silent == "base" else "base"
    fused = {}
    for elsewhere in ([], ["b"]):
        tables = {speaks: found_in(["a"], 0.8), silent: found_in(elsewhere, 0.6)}
        table = fuse_members(task, stack_members({name: tables[name] for name in ("base", "other")}))
        fused[len(elsewhere)] = table[table["image_id"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fused[0], fused[1])
    np.testing.assert_allclose(fused[0]["score"], 0.4, atol=1e-9)


def test_members_that_find_nothing_are_fused_to_nothing(without_negative):
    task, _ = without_negative
    assert fuse_members(task, stack_members({"base": empty(DETECTIONS), "other": empty(DETECTIONS)})).empty


def test_fusion_knows_a_member_that_found_nothing_while_it_was_fitted(without_negative):
    task, truth = without_negative
    ids = list(truth.images["image_id"])
    stacked = stack_members({"base": found_in(ids, 0.8), "other": empty(DETECTIONS)})
    fitted = fit_members(build_evaluator(task), truth, stacked, truth.images.set_index("image_id")["group"])
    assert "fusion" in fitted["gains"]


def test_parts_without_a_find_are_finished_too(without_negative):
    task, truth = without_negative
    groups = truth.images.set_index("image_id")["group"]
    part = group_kfold(groups)
    quiet = set(groups.index[part == 1])
    finds = found_in([each for each in groups.index if each not in quiet], 0.8)
    finished = cross_fit_postprocess(
        build_evaluator(task), truth, stack_members({"base": finds, "other": finds}), groups
    )
    pd.testing.assert_frame_equal(finished, finds)
    nothing = stack_members({"base": empty(DETECTIONS), "other": empty(DETECTIONS)})
    assert cross_fit_postprocess(build_evaluator(task), truth, nothing, groups).empty


def test_images_that_no_member_finds_anything_in_are_fitted_on(without_negative, monkeypatch):
    task, truth = without_negative
    groups = truth.images.set_index("image_id")["group"]
    missed = ["i03", "i11", "i12"]
    finds = found_in([each for each in groups.index if each not in missed], 0.8)
    fitted_on = []

    def noted(evaluator, truth, predictions, groups):
        assert list(groups.index) == list(truth.images["image_id"])
        fitted_on.append(set(truth.images["image_id"]))
        return fit_members(evaluator, truth, predictions, groups)

    monkeypatch.setattr("tropho.evaluation.cross_fit.fit_members", noted)
    cross_fit_postprocess(build_evaluator(task), truth, stack_members({"base": finds, "other": finds}), groups)
    part = group_kfold(groups)
    assert fitted_on == [set(groups.index[part != number]) for number in range(5)]


VIEWS = {"predict.tta": ["identity", "hflip"]}


@pytest.mark.parametrize("members", [[], ["other"]])
@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_views_kept_apart_are_merged_as_at_once_where_nothing_is_fitted(settings, rng, members, method):
    chosen = {
        **VIEWS,
        "predict.ensemble_method": method,
        "train.ensemble": {name: {"train.seed": 1} for name in members},
    }
    task = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])
    views = {name: [jittered(rng, 30), jittered(rng, 30)] for name in ["base", *members]}
    at_once = {name: task.fuse_views(tables) for name, tables in views.items()}
    stacked = stack_members({name: stack_views(tables) for name, tables in views.items()})
    fused = fuse_members(task, stacked)
    assert VIEW not in fused
    assert len(fused) < len(stacked)
    pd.testing.assert_frame_equal(fused, fuse_members(task, stack_members(at_once)), rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(member_table(task, stacked, "base"), at_once["base"], rtol=0, atol=1e-12)


def jittered(rng: np.random.Generator, images: int) -> pd.DataFrame:
    """In every image a WBC and a parasite, about where they are, and a NEG row."""
    rows: list[list] = []
    for number in range(images):
        name = f"i{number:02d}"
        for label, box in (("WBC", [10.0, 10.0, 40.0, 40.0]), ("Trophozoite", [60.0, 60.0, 90.0, 90.0])):
            rows.append([name, label, rng.uniform(0.2, 0.9), *(np.array(box) + rng.normal(0, 2, 4))])
        rows.append([name, "NEG", rng.uniform(0.2, 0.8), 0, 0, 0, 0])
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


def test_a_look_without_a_find_counts(settings):
    task = build_task(settings("smear_demo", **VIEWS, **{"audit.negative": None}), ["Trophozoite", "WBC"])
    for tables in ([found_in(["a"], 0.8), empty(DETECTIONS)], [empty(DETECTIONS), found_in(["a"], 0.8)]):
        fused = fuse_members(task, stack_members({"base": stack_views(tables)}))
        np.testing.assert_allclose(fused["score"], [0.4], atol=1e-9)


def test_the_overlap_of_one_model_s_views_is_fitted_cross_fitted_and_applied(settings, rng):
    """Two WBC that overlap by 0.6 are made one by the overlap as set, and are two by one that is fitted."""
    task = build_task(settings("smear_demo", **VIEWS, **{"evaluate.postprocess_trials": 8}), ["Trophozoite", "WBC"])
    ids = [f"i{number:02d}" for number in range(25)]
    pair = [[10.0, 10.0, 50.0, 50.0], [20.0, 10.0, 60.0, 50.0]]
    rows = [[each, "WBC", *box] for each in ids[5:] for box in pair]
    images = conform(pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES)), IMAGES)
    truth = GroundTruth(images, conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES))

    def view():
        rows = [[each, "WBC", rng.uniform(0.3, 0.9), *box] for each in ids[5:] for box in pair]
        rows += [[each, "NEG", 0.6 if number < 5 else 0.4, 0, 0, 0, 0] for number, each in enumerate(ids)]
        return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)

    tables = [view(), view()]
    stacked, groups = stack_members({"base": stack_views(tables)}), pd.Series(ids, index=ids)
    fitted = fit_members(build_evaluator(task), truth, stacked, groups)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["wbf_iou_threshold"]["WBC"] > 0.6
    plain, finished = (task.score(truth, postprocess_members(task, stacked, each)) for each in (None, fitted))
    assert finished > plain + 0.2
    assert task.score(truth, cross_fit_postprocess(build_evaluator(task), truth, stacked, groups)) > plain + 0.2
    merged = stack_members(
        {"base": task.fuse_views(tables, fitted)}
    )  # as views are merged where they aren't kept apart
    pd.testing.assert_frame_equal(fuse_members(task, stacked, fitted), fuse_members(task, merged, fitted))
