"""Split into folds, test set and excluded images."""

import re

import numpy as np
import pandas as pd
import pytest

from data.split.split_inputs import NO_BOXES, images_of, knobs
from tropho.data.split import split
from tropho.data.split.split_summary import describe_split
from tropho.errors import DataError
from tropho.stages.split import run
from tropho.tables import BOX, BOXES, IMAGES, SPLITS, conform, read_table, write_table


def test_every_usable_image_once_and_unusable_ones_never():
    images = images_of(200, status=["missing" if number % 10 == 0 else "ok" for number in range(200)])
    splits = split(knobs(), images, NO_BOXES)
    assert list(splits.columns) == list(SPLITS)
    assert list(splits["image_id"]) == list(images.loc[images["status"] == "ok", "image_id"])
    train = splits["subset"] == "train"
    assert set(splits.loc[train, "fold"]) == set(range(5))
    assert set(splits.loc[~train, "fold"]) == {-1}


def test_hold_out_has_its_share_and_every_part_its_classes():
    images = images_of(400)
    splits = split(knobs(), images, NO_BOXES)
    assert (splits["subset"] == "test").sum() == 80
    labelled = splits.merge(images[["image_id", "label"]])
    part = labelled["subset"] + labelled["fold"].astype(str)
    shares = labelled["label"].eq("b").groupby(part).mean()
    assert shares.between(0.22, 0.28).all()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.3, 0.5])
def test_other_shares(share):
    splits = split(knobs(test_fraction=share), images_of(400), NO_BOXES)
    assert (splits["subset"] == "test").mean() == pytest.approx(share, abs=0.01)


def test_groups_stay_on_one_side():
    rng = np.random.default_rng(1)
    groups = [f"g{number}" for number in rng.integers(0, 40, 300)]
    splits = split(knobs(), images_of(300, group=groups), NO_BOXES)
    side = splits["subset"] + splits["fold"].astype(str)
    assert side.groupby(splits["group"]).nunique().max() == 1

    loose = split(knobs(grouped=False), images_of(300, group=groups), NO_BOXES)
    side = loose["subset"] + loose["fold"].astype(str)
    assert side.groupby(loose["group"]).nunique().max() > 1
    assert list(loose["group"]) == groups


def test_a_huge_group_does_not_fill_the_hold_out():
    groups = ["huge"] * 150 + [f"g{number // 10}" for number in range(350)]
    splits = split(knobs(), images_of(500, group=groups), NO_BOXES)
    assert 0.15 <= (splits["subset"] == "test").mean() <= 0.25


def test_repeatable_by_seed_whatever_the_order_of_rows():
    images = images_of(300, group=[f"g{number // 3}" for number in range(300)])
    first = split(knobs(), images, NO_BOXES).set_index("image_id").sort_index()
    shuffled = images.sample(frac=1, random_state=3).reset_index(drop=True)
    assert split(knobs(), shuffled, NO_BOXES).set_index("image_id").sort_index().equals(first)
    other = split(knobs(seed=1), images, NO_BOXES).set_index("image_id").sort_index()
    assert not other["fold"].equals(first["fold"])


def test_detection_is_stratified_by_classes_and_size():
    rng = np.random.default_rng(2)
    large = rng.random(300) < 0.3
    images = images_of(300, label=pd.NA, width=np.where(large, 4000, 1900))
    with_wbc, with_parasite = rng.random(300) < 0.2, rng.random(300) < 0.6
    rows = [
        {"image_id": image_id, "label": label, "xmin": 0.0, "ymin": 0.0, "xmax": 9.0, "ymax": 9.0}
        for chosen, label in ((with_wbc, "WBC"), (with_parasite, "Trophozoite"))
        for image_id in images.loc[chosen, "image_id"]
    ]
    splits = split(knobs(test_fraction=0.0), images, conform(pd.DataFrame(rows), BOXES))
    for trait in (large, with_wbc, with_parasite, ~with_wbc & ~with_parasite):
        shares = pd.Series(trait).groupby(splits["fold"]).mean()
        assert shares.max() - shares.min() < 0.06


def test_folds_of_grouped_photos_are_alike_and_the_summary_says_how_far():
    rng = np.random.default_rng(5)
    slide = np.repeat(np.arange(80), rng.integers(1, 16, 80))
    width = np.where(rng.random(80) < 0.4, 4000, 1900)[slide]
    images = images_of(len(slide), label=pd.NA, group=[f"s{each}" for each in slide], width=width)
    objects = rng.poisson(rng.gamma(2, 4, 80)[slide]) * (rng.random(len(slide)) < 0.8)
    rows = {"image_id": images["image_id"].repeat(objects), "label": "WBC", **dict.fromkeys(BOX, 0.0)}
    boxes = conform(pd.DataFrame(rows), BOXES)
    splits = split(knobs(test_fraction=0.0), images, boxes)
    fold = splits["fold"].to_numpy()
    expected = {}
    for trait, amount in {
        "images": np.ones(len(slide)),
        "WBC boxes": objects,
        "images without boxes": objects == 0,
        "images of 4000x80": width == 4000,
        "images of 1900x80": width == 1900,
    }.items():
        totals = pd.Series(amount.astype(float)).groupby(fold).sum()
        expected[trait] = (totals / totals.mean() - 1).abs().max()
    notes = describe_split(splits, images, boxes, knobs(test_fraction=0.0))
    assert max(expected.values()) < 0.1
    trait = max(expected, key=expected.get)
    told = rf"fold \d has {100 * expected[trait]:.1f} % (more|fewer) {trait} than average\."
    assert re.search(told, notes[-1])


def test_rare_strata_do_not_stop_detection():
    boxes = pd.DataFrame([{"image_id": "i0000", "label": "rare", "xmin": 0.0, "ymin": 0.0, "xmax": 9.0, "ymax": 9.0}])
    splits = split(knobs(), images_of(30, label=pd.NA), conform(boxes, BOXES))
    assert set(splits["subset"]) == {"train", "test"}


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_images_are_refused_with_their_status(count):
    images = images_of(40, status=["ok"] * count + ["missing"] * (40 - count))
    with pytest.raises(DataError, match=f"{40 - count} missing"):
        split(knobs(), images, NO_BOXES)


def test_a_hold_out_of_everything_is_refused():
    with pytest.raises(DataError, match=r"split\.test_fraction"):
        split(knobs(test_fraction=1.0), images_of(40), NO_BOXES)


def test_stage_writes_table_and_summary(settings, tmp_path, capsys):
    images = images_of(100)
    write_table(images, tmp_path / "data/audit/cells_demo/images.csv", IMAGES)
    write_table(NO_BOXES, tmp_path / "data/audit/cells_demo/boxes.csv", BOXES)
    splits = run(settings("cells_demo"), tmp_path)
    assert read_table(tmp_path / "data/splits/cells_demo.csv", SPLITS).equals(splits)
    assert (tmp_path / "data/splits/cells_demo.json").exists()
    told = capsys.readouterr().err
    assert "80 training images in 5 folds, 20 for test. " in told
    assert "the model is validated on fold 0 (16 images)." in told
    assert "split.test_fraction asks" not in told


@pytest.mark.parametrize(("asked", "held"), [(0.02, "0.0%"), (0.03, "5.0%")])
def test_a_hold_out_other_than_asked_for_is_told(asked, held):
    images = images_of(200)
    splits = split(knobs(test_fraction=asked), images, NO_BOXES)
    told = (
        f"split.test_fraction asks for {asked:.1%} of the images, and {held} are held out for test: it takes whole "
        "groups, in parts of 1/20 or larger."
    )
    assert told in describe_split(splits, images, NO_BOXES, knobs(test_fraction=asked))
