"""Groups dealt into even parts: whole, repeatable, and more even than by scikit-learn's own way."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from tropho.data.split.folds import assign_folds, stratification_targets


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


def furthest(traits, part) -> float:
    return float(traits.imbalance(part).abs().to_numpy().max())


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_are_far_more_even_than_stratified_groups(slides, parts):
    images, boxes = slides
    traits = stratification_targets(images, boxes, parts)
    part = assign_folds(images["group"], traits, parts, seed=0)
    theirs = np.zeros(len(images), np.int64)
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    for number, (_, members) in enumerate(folds.split(images, traits.strata, images["group"])):
        theirs[members] = number
    assert furthest(traits, part) < 0.15
    assert furthest(traits, part) < furthest(traits, theirs) / 2


def test_groups_are_whole_and_no_part_is_empty(rng):
    for groups, parts in ((5, 5), (6, 5), (40, 7)):
        group = pd.Series(rng.permutation(np.concatenate([np.arange(groups), rng.integers(0, groups, 30)])))
        images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
        part = assign_folds(group, stratification_targets(images, pd.DataFrame(), parts), parts, seed=0)
        assert set(part) == set(range(parts))
        assert pd.Series(part).groupby(group.to_numpy()).nunique().max() == 1


def test_a_seed_repeats_and_another_deals_anew(slides):
    images, boxes = slides
    traits = stratification_targets(images, boxes, 5)
    first, again, other = (assign_folds(images["group"], traits, 5, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    pairs = [part[:, None] == part for part in (first, other)]  # whatever the parts are called
    assert (pairs[0] != pairs[1]).any()


def test_the_largest_group_is_not_always_in_the_first_part():
    group = pd.Series([0] * 10 + list(range(1, 11)))
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": "a"})
    traits = stratification_targets(images, pd.DataFrame(), 2)
    assert len({assign_folds(group, traits, 2, seed)[0] for seed in range(10)}) == 2


def test_a_class_of_few_groups_is_in_every_part(rng):
    group = pd.Series(np.arange(300))
    label = np.where(np.isin(group, rng.choice(300, 6, replace=False)), "rare", "usual")
    images = pd.DataFrame({"image_id": group.index.astype(str), "width": 9, "height": 9, "label": label})
    part = assign_folds(group, stratification_targets(images, pd.DataFrame(), 5), 5, seed=0)
    assert sorted(np.bincount(part[label == "rare"])) == [1, 1, 1, 1, 2]
