"""Fusion and post-processing fitted on out-of-fold predictions of members."""

import numpy as np
import pandas as pd
import pytest

from member_predictions import found_in
from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.evaluation.postprocess_search import cross_fit_postprocess, group_kfold
from tropho.tables import BOXES, DETECTIONS, IMAGES, conform, empty
from tropho.tasks import build_task


def fit_all(task, truth, raw, groups):
    return build_evaluator(task).postprocess_fitter(truth, raw, groups)(list(groups.index))


def cross_fit_all(task, truth, raw, groups):
    fit = build_evaluator(task).postprocess_fitter(truth, raw, groups)
    return cross_fit_postprocess(task, fit, truth, raw, groups)


def finished_by(task, tables, params):
    return task.postprocess(task.fuse_members(tables, params), params)


def classified(task, rows) -> pd.DataFrame:
    columns = dict(zip(task.columns, np.array(rows).T, strict=True))
    ids = [f"i{number:02d}" for number in range(len(rows))]
    labels = [task.classes[int(np.argmax(row))] for row in rows]
    return pd.DataFrame({"image_id": ids, "label": labels, **columns})


@pytest.fixture
def classifying(settings, rng):
    """A task with fitted weights, its truth of 40 images, and a member that knows beside one that guesses."""
    chosen = {"evaluate.fit_postprocess": True, "train.ensemble": {"guesses": {"train.seed": 1}}}
    task = build_task(settings("cells_demo", **chosen), ["a", "b"])
    labels = rng.integers(0, 2, 40)
    images = pd.DataFrame({"image_id": [f"i{number:02d}" for number in range(40)], "group": "g"})
    images = images.assign(label=[task.classes[each] for each in labels], group=[f"g{each}" for each in range(40)])
    truth = GroundTruth(conform(images.reindex(columns=list(IMAGES)), IMAGES), pd.DataFrame({"image_id": []}))
    right = np.where(labels == 1, 0.8, 0.2)
    knows = classified(task, np.column_stack([1 - right, right]))
    guesses = rng.uniform(0.1, 0.9, 40)
    return task, truth, {"base": [knows], "guesses": [classified(task, np.column_stack([1 - guesses, guesses]))]}


def test_fit_members_fits_weights(classifying):
    task, truth, tables = classifying
    groups = truth.images.set_index("image_id")["group"]
    fitted = fit_all(task, truth, tables, groups)
    assert fitted["weights"]["base"] > 0.9
    alone = task.fuse_members(tables, {"weights": {"base": 1.0, "guesses": 0.0}})
    assert task.score(truth, alone) == 1.0


def test_cross_fit_weights_do_not_use_own_labels(classifying):
    task, truth, tables = classifying
    groups = truth.images.set_index("image_id")["group"]
    finished = cross_fit_all(task, truth, tables, groups)
    assert list(finished["image_id"]) == list(truth.images["image_id"])
    flipped = truth.images.copy()
    flipped.loc[3, "label"] = {"a": "b", "b": "a"}[flipped.loc[3, "label"]]
    other = cross_fit_all(task, GroundTruth(flipped, truth.boxes), tables, groups)
    pd.testing.assert_frame_equal(finished[finished["image_id"] == "i03"], other[other["image_id"] == "i03"])
    assert not np.allclose(finished[task.columns], other[task.columns])


def test_fit_members_fits_fusion_by_class(detecting):
    task, truth, tables, groups = detecting
    fitted = fit_all(task, truth, tables, groups)
    assert fitted["gains"]["member weights"]["accepted"]
    assert fitted["weights"]["WBC"]["bad"] < fitted["weights"]["WBC"]["base"]
    plain, finished = (finished_by(task, tables, each) for each in (None, fitted))
    assert task.score(truth, finished) > task.score(truth, plain) + 0.1
    honest = cross_fit_all(task, truth, tables, groups)
    assert task.score(truth, plain) < task.score(truth, honest) <= task.score(truth, finished)


def test_cross_fit_fusion_does_not_use_own_boxes(detecting):
    task, truth, tables, groups = detecting
    honest = cross_fit_all(task, truth, tables, groups)
    other = truth.boxes.copy()
    other.loc[other["image_id"] == "i07", ["xmin", "xmax"]] += 200.0
    changed = cross_fit_all(task, GroundTruth(truth.images, other), tables, groups)
    mine = [each[each["image_id"] == "i07"].reset_index(drop=True) for each in (honest, changed)]
    pd.testing.assert_frame_equal(mine[0], mine[1])


def test_nothing_is_fitted_unless_asked(detecting, settings):
    _, truth, tables, groups = detecting
    task = build_task(settings("smear_demo", **{"train.ensemble": {"bad": {"train.seed": 1}}}), ["Trophozoite", "WBC"])
    assert fit_all(task, truth, tables, groups) == {}


def test_fit_members_counts_a_member_without_detections(without_negative):
    task, truth = without_negative
    ids = list(truth.images["image_id"])
    tables = {"base": [found_in(ids, 0.8)], "other": [empty(DETECTIONS)]}
    fitted = fit_all(task, truth, tables, truth.images.set_index("image_id")["group"])
    assert "fusion" in fitted["gains"]


def test_cross_fit_of_folds_without_detections(without_negative):
    task, truth = without_negative
    groups = truth.images.set_index("image_id")["group"]
    part = group_kfold(groups)
    quiet = set(groups.index[part == 1])
    finds = found_in([each for each in groups.index if each not in quiet], 0.8)
    finished = cross_fit_all(task, truth, {"base": [finds], "other": [finds]}, groups)
    pd.testing.assert_frame_equal(finished, finds)
    nothing = {"base": [empty(DETECTIONS)], "other": [empty(DETECTIONS)]}
    assert cross_fit_all(task, truth, nothing, groups).empty


def test_fit_members_uses_images_without_detections(without_negative):
    task, truth = without_negative
    groups = truth.images.set_index("image_id")["group"]
    missed = ["i03", "i11", "i12"]
    finds = found_in([each for each in groups.index if each not in missed], 0.8)
    fitted_on = []
    fit = lambda image_ids: fitted_on.append(set(image_ids)) or {}  # noqa: E731
    cross_fit_postprocess(task, fit, truth, {"base": [finds], "other": [finds]}, groups)
    part = group_kfold(groups)
    assert fitted_on == [set(groups.index[part != number]) for number in range(5)]


VIEWS = {"predict.tta": ["identity", "hflip"]}


def test_fit_members_fits_the_iou_of_views(settings, rng):
    """Two WBC that overlap by 0.6 are made one by the overlap as set, and are two by one that is fitted."""
    task = build_task(settings("smear_demo", **VIEWS, **{"evaluate.fit_postprocess": True}), ["Trophozoite", "WBC"])
    ids = [f"i{number:02d}" for number in range(25)]
    pair = [[10.0, 10.0, 50.0, 50.0], [20.0, 10.0, 60.0, 50.0]]
    rows = [[each, "WBC", *box] for each in ids[5:] for box in pair]
    images = conform(pd.DataFrame({"image_id": ids, "group": ids}).reindex(columns=list(IMAGES)), IMAGES)
    truth = GroundTruth(images, conform(pd.DataFrame(rows, columns=list(BOXES)[:-1]), BOXES))

    def view():
        rows = [[each, "WBC", rng.uniform(0.3, 0.9), *box] for each in ids[5:] for box in pair]
        rows += [[each, "NEG", 0.6 if number < 5 else 0.4, 0, 0, 0, 0] for number, each in enumerate(ids)]
        return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)

    tables, groups = {"base": [view(), view()]}, pd.Series(ids, index=ids)
    fitted = fit_all(task, truth, tables, groups)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["wbf_iou_threshold"]["WBC"] >= 0.6
    plain, finished = (task.score(truth, finished_by(task, tables, each)) for each in (None, fitted))
    assert finished > plain + 0.2
    assert task.score(truth, cross_fit_all(task, truth, tables, groups)) > plain + 0.2
