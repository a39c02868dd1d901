"""Cross-fitting over groups."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.data.task_data import GroundTruth
from tropho.evaluation.evaluator import build_evaluator
from tropho.evaluation.postprocess_search import cross_fit_postprocess, group_kfold
from tropho.metrics.calibration import with_temperature
from tropho.tables import BOXES, IMAGES, conform, empty
from tropho.tasks import build_task

CLASSES = ["Parasitized", "Uninfected"]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 6), st.integers(0, 5))
def test_group_kfold_keeps_groups_whole(groups, parts, seed):
    names = pd.Series([f"g{each}" for each in groups])
    part = group_kfold(names, parts, seed)
    assert sorted(set(part)) == list(range(len(set(part))))
    assert len(set(part)) <= min(parts, names.nunique())
    assert (pd.Series(part).groupby(names).nunique() == 1).all()
    np.testing.assert_array_equal(part, group_kfold(names, parts, seed))


def test_group_kfold_depends_on_the_seed():
    names = pd.Series(np.arange(40).astype(str))
    assert np.bincount(group_kfold(names, 5)).tolist() == [8] * 5
    assert (group_kfold(names, 5, seed=0) != group_kfold(names, 5, seed=1)).any()


def cross_fit(task, gt, raw, groups, **folds):
    tables = {"base": [raw]}
    fit = build_evaluator(task).postprocess_fitter(gt, tables, groups)
    return cross_fit_postprocess(task, fit, gt, tables, groups, **folds)


def world(rng: np.random.Generator, count: int = 60) -> tuple[GroundTruth, pd.DataFrame, pd.Series]:
    ids = [f"im{number:02d}" for number in rng.permutation(count)]
    labels = rng.choice(CLASSES, count)
    images = pd.DataFrame({"image_id": ids, "label": labels, "group": [f"g{number // 4}" for number in range(count)]})
    images = images.assign(**{name: pd.NA for name in IMAGES if name not in images})
    sure = rng.uniform(0.5, 1, count)
    right = np.where(rng.uniform(size=count) < 0.7, labels, "Uninfected")
    table = pd.DataFrame({"image_id": ids, "label": right})
    for name in CLASSES:
        table[f"p_{name}"] = np.where(right == name, sure, 1 - sure)
    return GroundTruth(conform(images, IMAGES), empty(BOXES)), table, images.set_index("image_id")["group"]


def test_cross_fit_uses_the_other_folds(settings, rng):
    task = build_task(settings("cells_demo"), CLASSES)
    truth, table, groups = world(rng)
    finished = cross_fit(task, truth, table, groups, n_folds=3)
    assert finished["image_id"].tolist() == table["image_id"].tolist()
    part = group_kfold(groups, 3)
    temperatures = set()
    for number in range(3):
        rest, mine = table[part != number], table[part == number]
        fitted = build_evaluator(task).postprocess_fitter(truth, {"base": [table]}, groups)(list(rest["image_id"]))
        expected = with_temperature(mine[task.columns].to_numpy(), fitted["temperature"])
        np.testing.assert_allclose(finished[part == number][task.columns], expected, atol=1e-12)
        temperatures.add(fitted["temperature"])
    assert len(temperatures) == 3


def test_cross_fit_does_not_use_own_labels(settings, rng):
    task = build_task(settings("cells_demo"), CLASSES)
    truth, table, groups = world(rng)
    wrong = truth.images.copy()
    mine = groups.to_numpy() == groups.iloc[0]
    wrong.loc[mine, "label"] = np.where(wrong.loc[mine, "label"] == CLASSES[0], CLASSES[1], CLASSES[0])
    before = cross_fit(task, truth, table, groups)
    after = cross_fit(task, GroundTruth(wrong, truth.boxes), table, groups)
    pd.testing.assert_frame_equal(before[mine], after[mine])
    assert not before.equals(after)


def test_cross_fit_of_one_group_fits_nothing(settings, rng):
    task = build_task(settings("cells_demo"), CLASSES)
    truth, table, groups = world(rng)
    same = cross_fit(task, truth, table, pd.Series("g", index=groups.index))
    pd.testing.assert_frame_equal(same, table, check_dtype=False)


@pytest.mark.parametrize("right", [True, False])
def test_fit_temperature_is_bounded(settings, right):
    task = build_task(settings("cells_demo"), CLASSES)
    images = pd.DataFrame({"image_id": ["a", "b"], "label": "Parasitized" if right else "Uninfected"})
    truth = GroundTruth(images, empty(BOXES))
    table = pd.DataFrame({"image_id": ["a", "b"], "label": "Parasitized", "p_Parasitized": 0.9, "p_Uninfected": 0.1})
    groups = pd.Series("g", index=["a", "b"])
    fitted = build_evaluator(task).postprocess_fitter(truth, {"base": [table]}, groups)(["a", "b"])
    assert fitted == {"temperature": 0.25 if right else 10.0}
    finished = task.postprocess(table, fitted)
    assert finished["label"].tolist() == ["Parasitized"] * 2
    assert finished[task.columns].sum(axis=1).tolist() == pytest.approx([1.0, 1.0])


def test_group_kfold_makes_equal_folds():
    assert sorted(np.bincount(group_kfold(pd.Series(range(10)), 5))) == [2] * 5
    assert sorted(np.bincount(group_kfold(pd.Series([*range(6), 0, 1, 2, 3, 4, 5]), 3))) == [4] * 3
    assert group_kfold(pd.Series(["g"] * 4)).tolist() == [0] * 4
    assert group_kfold(pd.Series([], dtype=object)).tolist() == []
    large = group_kfold(pd.Series(["large"] * 8 + ["a", "b"]), 5)
    assert len(set(large[:8])) == 1
    assert set(large) == set(range(large.max() + 1))
    assert group_kfold(pd.Series(range(50)), 2, seed=1).tolist() != group_kfold(pd.Series(range(50)), 2).tolist()
