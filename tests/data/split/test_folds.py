"""Groups assigned to folds: whole, repeatable, balanced; and the targets that are balanced."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from tropho.data.split import folds
from tropho.data.split.folds import (
    OTHER,
    STRATA_WEIGHT,
    StratificationTargets,
    assign_folds,
    back_off,
    sizes_of,
    stratification_targets,
)


@pytest.fixture
def slides(rng):
    """(images, boxes): 60 slides of 1 to 20 photos, each slide of one resolution and one density of objects."""
    slide = np.repeat(np.arange(60), rng.integers(1, 21, 60))
    width = np.array([1920, 4032, 4160])[rng.choice(3, 60, p=[0.5, 0.35, 0.15])][slide]
    cells = rng.poisson(rng.gamma(2, 4, 60)[slide]) * (rng.random(len(slide)) > 0.2)
    ids = np.array([f"i{number:04d}" for number in range(len(slide))])
    images = pd.DataFrame({"image_id": ids, "group": slide, "width": width, "height": 3000, "label": pd.NA})
    rows = np.repeat(ids, cells)
    return images, pd.DataFrame(
        {"image_id": rows, "label": np.where(rng.random(len(rows)) < 0.3, "WBC", "Trophozoite")}
    )


def max_imbalance(targets, part) -> float:
    return float(targets.imbalance(part).abs().to_numpy().max())


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("parts", [2, 5])
def test_assign_folds_beats_stratified_group_kfold(slides, parts):
    images, boxes = slides
    targets = stratification_targets(images, boxes, parts)
    part = assign_folds(images["group"], targets, parts, seed=0)
    baseline = np.zeros(len(images), np.int64)
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    for number, (_, members) in enumerate(folds.split(images, targets.strata, images["group"])):
        baseline[members] = number
    assert max_imbalance(targets, part) < 0.15
    assert max_imbalance(targets, part) < max_imbalance(targets, baseline) / 2


def test_assign_folds_keeps_groups_whole(rng):
    for groups, parts in ((5, 5), (6, 5), (40, 7)):
        group = pd.Series(rng.permutation(np.concatenate([np.arange(groups), rng.integers(0, groups, 30)])))
        images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
        part = assign_folds(group, stratification_targets(images, pd.DataFrame(), parts), parts, seed=0)
        assert set(part) == set(range(parts))
        assert pd.Series(part).groupby(group.to_numpy()).nunique().max() == 1


def test_assign_folds_depends_on_the_seed(slides):
    images, boxes = slides
    targets = stratification_targets(images, boxes, 5)
    first, again, other = (assign_folds(images["group"], targets, 5, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    pairs = [part[:, None] == part for part in (first, other)]  # whatever the parts are called
    assert (pairs[0] != pairs[1]).any()


def test_assign_folds_permutes_fold_numbers():
    group = pd.Series([0] * 10 + list(range(1, 11)))
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
    targets = stratification_targets(images, pd.DataFrame(), 2)
    assert len({assign_folds(group, targets, 2, seed)[0] for seed in range(10)}) == 2


def test_assign_folds_spreads_rare_classes(rng):
    group = pd.Series(np.arange(300))
    label = np.where(np.isin(group, rng.choice(300, 6, replace=False)), "rare", "usual")
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": label})
    part = assign_folds(group, stratification_targets(images, pd.DataFrame(), 5), 5, seed=0)
    assert sorted(np.bincount(part[label == "rare"])) == [1, 1, 1, 1, 2]


def test_group_loads_by_hand():
    """Two targets count for half each, strata for STRATA_WEIGHT by their size."""
    amounts = pd.DataFrame({"images": [1.0, 1.0, 1.0, 1.0], "boxes": [3.0, 0.0, 1.0, 0.0]})
    held = folds._group_loads(np.array([0, 0, 1, 2]), StratificationTargets(amounts, np.array(["x", "y", "x", "x"])), 3)
    images, boxes = np.array([2, 1, 1]) / 4, np.array([3, 1, 0]) / 4
    x, y = np.array([1, 1, 1]) / 3, np.array([1, 0, 0])
    weights = np.sqrt([1 / 2, 1 / 2, STRATA_WEIGHT * 3 / 4, STRATA_WEIGHT * 1 / 4])
    np.testing.assert_allclose(held, 3 * np.stack([images, boxes, x, y], axis=1) * weights, atol=1e-12)


def test_assign_folds_places_large_groups_first(monkeypatch):
    monkeypatch.setattr(folds, "MAX_ORDERS", 1)
    monkeypatch.setattr(folds, "JITTER", 0.0)
    group = pd.Series([*range(10), *["large"] * 10])
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
    assert np.bincount(assign_folds(group, stratification_targets(images, pd.DataFrame(), 2), 2, seed=0)).tolist() == [
        10,
        10,
    ]


def uneven_photos(seed: int) -> tuple[pd.Series, StratificationTargets]:
    rng = np.random.default_rng(seed)
    groups = pd.Series(np.repeat(np.arange(12), rng.integers(1, 5, 12)))
    strata = rng.choice(["x", "y", "z"], len(groups))
    return groups, StratificationTargets(pd.DataFrame({"images": np.ones(len(groups))}), strata)


def quality(groups: pd.Series, targets: StratificationTargets, part: np.ndarray, parts: int) -> tuple[float, float]:
    """Largest deviation of a part from the mean, and the sum of squared amounts."""
    held = folds._group_loads(np.arange(len(groups)), targets, parts)
    totals = np.stack([held[part == number].sum(axis=0) for number in range(parts)])
    return round(float(targets.imbalance(part).abs().to_numpy().max()), 6), round(float((totals**2).sum()), 6)


def test_assign_folds_takes_the_best_order(monkeypatch):
    for seed in range(6):
        groups, targets = uneven_photos(seed)
        qualities = []
        for tries in range(1, 9):
            monkeypatch.setattr(folds, "MAX_ORDERS", tries)
            qualities.append(quality(groups, targets, assign_folds(groups, targets, 3, seed), 3))
        assert qualities == sorted(qualities, reverse=True)


def together(part: np.ndarray) -> list[list[bool]]:
    """Which images are in one part, whatever it is called."""
    return (part[:, None] == part).tolist()


def test_assign_folds_keeps_the_first_of_equal_orders(monkeypatch):
    groups = pd.Series(range(9))
    targets = StratificationTargets(pd.DataFrame({"images": np.ones(9)}), np.full(9, "x"))
    many = assign_folds(groups, targets, 3, seed=0)
    monkeypatch.setattr(folds, "MAX_ORDERS", 1)
    assert together(assign_folds(groups, targets, 3, seed=0)) == together(many)


@pytest.mark.parametrize(("work", "tries"), [(12, 1), (35, 2), (36, 3), (0, 1)])
def test_assign_folds_limits_work(monkeypatch, work, tries):
    groups, targets = uneven_photos(3)
    drawn = []
    plain = folds._assign_greedy
    monkeypatch.setattr(folds, "_assign_greedy", lambda *given: drawn.append(1) or plain(*given))
    monkeypatch.setattr(folds, "MAX_WORK", work)
    assign_folds(groups, targets, 3, seed=0)
    assert len(drawn) == tries


def photos(widths, label=pd.NA) -> pd.DataFrame:
    ids = [f"i{number:03d}" for number in range(len(widths))]
    return pd.DataFrame({"image_id": ids, "width": widths, "height": 100, "label": label}, index=ids[::-1])


def boxes_of(counts: dict[str, list[int]]) -> pd.DataFrame:
    """`counts` holds for each class its number of boxes in each image."""
    rows = [(f"i{at:03d}", name) for name, each in counts.items() for at, n in enumerate(each) for _ in range(n)]
    return pd.DataFrame([*rows, ("elsewhere", "WBC")], columns=["image_id", "label"])


def test_stratification_targets_of_boxes():
    images = photos([100, 100, 200, 200])
    targets = stratification_targets(images, boxes_of({"WBC": [1, 0, 3, 0], "Trophozoite": [2, 0, 0, 0]}), 2)
    assert {name: list(values) for name, values in targets.amounts.items()} == {
        "images": [1, 1, 1, 1],
        "Trophozoite boxes": [2, 0, 0, 0],
        "WBC boxes": [1, 0, 3, 0],
        "images without boxes": [0, 1, 0, 1],
        "images of 100x100": [1, 1, 0, 0],
        "images of 200x100": [0, 0, 1, 1],
    }


def test_stratification_targets_coarsen_rare_strata():
    # Ten images of each kind: few and many WBC at two sizes; three alike but for the size; one with both classes.
    widths = [100] * 20 + [200] * 20 + [100] * 2 + [200] + [100]
    wbc = [1] * 10 + [8] * 10 + [1] * 10 + [8] * 10 + [0] * 3 + [1]
    targets = stratification_targets(photos(widths), boxes_of({"WBC": wbc, "Trophozoite": [0] * 43 + [1]}), 3)
    kinds = pd.Series(targets.strata)
    assert kinds[:40].nunique() == 4
    assert all(kinds[start : start + 9].nunique() == 1 for start in range(0, 40, 10))
    assert list(kinds[40:]) == ["nothing", "nothing", "nothing", ""]


def test_back_off_drops_the_finest_part_first():
    levels = [["a big 1", "a big 2", "a big 2", "b big 1"], ["a big", "a big", "a big", "b big"], ["a", "a", "a", "b"]]
    levels = [pd.Series(level, dtype=object) for level in levels]
    assert list(back_off(levels, 1)) == ["a big 1", "a big 2", "a big 2", "b big 1"]
    assert list(back_off(levels, 2)) == ["", "a big 2", "a big 2", ""]
    assert list(back_off(levels, 3)) == ["a big", "a big", "a big", ""]
    assert list(back_off(levels, 4)) == [""] * 4


def test_stratification_targets_of_classes():
    targets = stratification_targets(photos([100] * 4, label=["a", "b", "b", pd.NA]), boxes_of({}), 1)
    assert list(targets.amounts) == ["images", "a images", "b images"]
    assert targets.amounts.sum().tolist() == [4, 1, 2]
    assert list(targets.strata) == ["a 100x100", "b 100x100", "b 100x100", ""]


def test_sizes_of_joins_rare_sizes():
    sizes = sizes_of(photos([100] * 30 + [200] * 2 + [300, pd.NA]))
    assert sizes.value_counts().to_dict() == {"100x100": 30, "200x100": 2, OTHER: 2}


def test_imbalance_by_hand():
    amounts = pd.DataFrame(
        {"images": [1.0, 1.0, 1.0, 1.0], "boxes": [6.0, 1.0, 1.0, 0.0], "rare": [0.0, 0.0, 0.0, 9.0]}
    )
    uneven = StratificationTargets(amounts, np.full(4, "", dtype=object)).imbalance(np.array([0, 1, 1, 1]))
    assert list(uneven) == ["images", "boxes"]
    np.testing.assert_allclose(uneven.to_numpy(), [[-0.5, 0.5], [0.5, -0.5]], atol=1e-12)


def test_is_splittable_by_hand():
    amounts = pd.DataFrame({"images": [1.0, 1.0, 1.0], "two": [4.0, 0.0, 1.0], "one": [0.0, 2.0, 0.0]})
    assert StratificationTargets(amounts, np.full(3, "", dtype=object)).is_splittable(2).tolist() == [True, True, False]


def test_sizes_of_limit_is_a_twentieth():
    assert sizes_of(photos([100] * 38 + [200] * 2)).value_counts().to_dict() == {"100x100": 38, "200x100": 2}
    assert sizes_of(photos([100] * 39 + [200] * 2)).value_counts().to_dict() == {"100x100": 39, OTHER: 2}


def test_stratification_targets_leave_out_empty_ones():
    targets = stratification_targets(photos([100, 100]), boxes_of({"WBC": [1, 2]}), 2)
    assert list(targets.amounts) == ["images", "WBC boxes"]


def test_stratification_targets_bin_object_counts():
    """Of 1, 2, ... 8 objects two images each fall into a quarter; images without any are one kind."""
    targets = stratification_targets(photos([100] * 10), boxes_of({"WBC": [*range(1, 9), 0, 0]}), 2)
    kinds = pd.factorize(targets.strata)[0]
    assert kinds.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
