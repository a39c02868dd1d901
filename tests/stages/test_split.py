"""Folds: stratified, grouped, repeatable, and clear of the test set."""

import re

import numpy as np
import pandas as pd
import pytest

from tropho.data_settings import SplitSettings
from tropho.errors import DataError, UsageError
from tropho.splitting.summary import summarise
from tropho.stages.split import run, split
from tropho.tables import BOX, BOXES, IMAGES, SPLITS, conform, empty, read_table, write_table

NO_BOXES = empty(BOXES)


def knobs(**changes) -> SplitSettings:
    standard = {
        "validation": "merged",
        "folds": 5,
        "holdout": 0.2,
        "grouped": True,
        "test_overlap": "drop_duplicates",
        "seed": 0,
    }
    return SplitSettings(**{**standard, **changes})


def images_of(count: int, **columns) -> pd.DataFrame:
    """A table of `count` usable training images, each its own group, of two classes three to one."""
    ids = [f"i{number:04d}" for number in range(count)]
    plain = {
        "image_id": ids,
        "path": ids,
        "width": 100,
        "height": 80,
        "sha256": ids,
        "group": ids,
        "duplicate": pd.NA,
        "label": ["a" if number % 4 else "b" for number in range(count)],
        "subset": "train",
        "status": "ok",
    }
    return conform(pd.DataFrame({**plain, **columns}), IMAGES)


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
    splits = split(knobs(holdout=share), images_of(400), NO_BOXES)
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


def test_published_test_set_is_kept_and_its_duplicates_leave_training():
    subset = ["test" if number < 50 else "train" for number in range(200)]
    duplicate = [None] * 200
    duplicate[3] = duplicate[60] = duplicate[61] = "i0003"
    duplicate[100] = duplicate[101] = "i0100"
    group = [f"i{number:04d}" for number in range(200)]
    group[60] = group[61] = "i0003"
    group[70] = "i0004"  # by name the patient of a test image, but another picture
    images = images_of(200, subset=subset, duplicate=duplicate, group=group)
    splits = split(knobs(), images, NO_BOXES).set_index("image_id")
    assert list(splits.index[splits["subset"] == "test"]) == [f"i{number:04d}" for number in range(50)]
    assert list(splits.index[splits["subset"] == "excluded"]) == ["i0060", "i0061"]
    assert splits.loc["i0070", "subset"] == "train"

    summary = summarise(splits.reset_index(), images, NO_BOXES, knobs())
    assert (summary["excluded"], summary["shared_groups"], summary["test_published"]) == (2, 1, True)
    assert any("kept out" in note for note in summary["notes"])
    assert any("share 1 group" in note for note in summary["notes"])

    kept = split(knobs(test_overlap="keep"), images, NO_BOXES)
    assert "excluded" not in set(kept["subset"])


def published_images() -> pd.DataFrame:
    """80 training, 40 validation and 30 test images; copies and a patient lie across the subsets."""
    subset = ["train"] * 80 + ["validation"] * 40 + ["test"] * 30
    duplicate = [None] * 150
    duplicate[2] = duplicate[3] = duplicate[85] = "i0002"  # twice in training, once in validation
    duplicate[4] = duplicate[5] = "i0004"  # twice in training
    duplicate[90] = duplicate[130] = "i0090"  # in validation and test
    group = [f"i{number:04d}" for number in range(150)]
    group[3] = group[85] = "i0002"
    group[5], group[130] = "i0004", "i0090"
    group[7] = group[8] = group[99] = "p"  # one patient's, but other pictures
    return images_of(150, subset=subset, duplicate=duplicate, group=group)


def test_a_published_validation_set_is_the_only_fold():
    images = published_images()
    splits = split(knobs(validation="published"), images, NO_BOXES)
    side = splits.set_index("image_id")[["subset", "fold"]].apply(tuple, axis=1)
    numbers = side.index.str[1:].astype(int)
    assert list(side.index[side == ("excluded", -1)]) == ["i0002", "i0003", "i0090"]
    rest = ~numbers.isin([2, 3, 90])
    assert set(side[rest & (numbers < 80)]) == {("train", 1)}
    assert set(side[rest & (numbers >= 80) & (numbers < 120)]) == {("train", 0)}
    assert set(side[numbers >= 120]) == {("test", -1)}

    summary = summarise(splits, images, NO_BOXES, knobs(validation="published", holdout=0.0))
    assert (summary["excluded"], summary["train_images_in_validation_groups"]) == (3, 2)
    assert summary["notes"] == [
        "78 training images (fold 1, never validated), 39 of the published validation set (fold 0), 30 for test.",
        "3 training images are kept out, since the test or the validation set has them, exactly or nearly.",
        "2 training images share 1 group with the published validation set, so its score flatters.",
    ]

    kept = split(knobs(validation="published", test_overlap="keep"), images, NO_BOXES)
    assert kept["subset"].value_counts().to_dict() == {"train": 120, "test": 30}


def test_a_published_validation_set_may_share_patients_with_the_test():
    """No model is trained on it: of the two patients whom the test shares, one has no image that counts."""
    images = published_images()
    images.loc[[99, 125], "group"] = "p"  # validation and test; 7 and 8 are in training
    images.loc[[100, 126], "group"] = "q"  # validation and test alone
    splits = split(knobs(validation="published"), images, NO_BOXES)
    summary = summarise(splits, images, NO_BOXES, knobs(validation="published", holdout=0.0))
    assert (summary["shared_groups"], summary["train_images_in_shared_groups"]) == (1, 2)
    assert "2 training images share 1 group with the published test set, so its score flatters." in summary["notes"]


def test_a_published_validation_set_is_dealt_out_where_merged():
    images = published_images()
    splits = split(knobs(), images, NO_BOXES)
    assert list(splits.loc[splits["subset"] == "excluded", "image_id"]) == ["i0090"]
    assert set(splits.loc[splits["subset"] == "train", "fold"]) == set(range(5))
    as_training = images.assign(subset=images["subset"].replace("validation", "train"))
    assert splits.equals(split(knobs(), as_training, NO_BOXES))


def test_the_hold_out_takes_no_published_validation_image_nor_its_patients():
    images = published_images()[:120]
    splits = split(knobs(validation="published"), images, NO_BOXES).set_index("image_id")
    test = splits[splits["subset"] == "test"]
    assert 14 <= len(test) <= 17
    assert set(test.index.str[1:].astype(int)) <= set(range(80)) - {2, 3, 7, 8}
    assert (splits.loc["i0080":, "fold"] == 0).all()


@pytest.mark.parametrize("free", [0, 1, 2])
def test_nothing_is_held_out_of_fewer_than_two_groups(settings, tmp_path, capsys, free):
    """All of five training groups have validation images as well, or four, or three."""
    subset = ["train"] * 50 + ["validation"] * 25
    group = [f"p{number % 5}" for number in range(50)] + [f"p{number % (5 - free)}" for number in range(25)]
    images = images_of(75, subset=subset, group=group)
    write_table(images, tmp_path / "data/audit/cells_demo/images.csv", IMAGES)
    write_table(NO_BOXES, tmp_path / "data/audit/cells_demo/boxes.csv", BOXES)
    task = settings("cells_demo", **{"split.validation": "published", "split.holdout": 0.5, "train.folds": 1})
    splits = run(task, tmp_path)
    assert splits["subset"].value_counts().to_dict() == ({"train": 65, "test": 10} if free == 2 else {"train": 75})
    assert (splits.loc[50:, "fold"] == 0).all()
    told = capsys.readouterr().err
    assert ("Nothing is held out for test" in told) == (free < 2)
    assert (f"published validation set, and there are {free}." in told) == (free < 2)


def test_publishing_is_refused_where_nothing_is_published():
    with pytest.raises(UsageError, match=r"split\.validation is 'published', but the data set publishes no validation"):
        split(knobs(validation="published"), images_of(40), NO_BOXES)
    images = published_images()
    images.loc[images["subset"] == "validation", "status"] = "missing"
    with pytest.raises(DataError, match="No image of the published validation set can be used"):
        split(knobs(validation="published"), images, NO_BOXES)


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
    splits = split(knobs(holdout=0.0), images, conform(pd.DataFrame(rows), BOXES))
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
    splits = split(knobs(holdout=0.0), images, boxes)
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
    summary = summarise(splits, images, boxes, knobs(holdout=0.0))
    assert summary["unevenness"] == pytest.approx(expected, abs=1e-4)
    assert max(expected.values()) < 0.1
    trait = max(expected, key=expected.get)
    assert re.search(
        rf"furthest from it is fold \d with {expected[trait]:.1%} (more|fewer) {trait}\.", summary["notes"][-1]
    )


def test_rare_strata_do_not_stop_detection():
    boxes = pd.DataFrame([{"image_id": "i0000", "label": "rare", "xmin": 0.0, "ymin": 0.0, "xmax": 9.0, "ymax": 9.0}])
    splits = split(knobs(), images_of(30, label=pd.NA), conform(boxes, BOXES))
    assert set(splits["subset"]) == {"train", "test"}


@pytest.mark.filterwarnings("error")
def test_a_class_with_too_few_groups_is_refused_by_name():
    images = images_of(40, label=["b"] * 3 + ["a"] * 37)
    with pytest.raises(DataError, match=r"Class 'b' has \d groups.*lower split\.folds"):
        split(knobs(holdout=0.0), images, NO_BOXES)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_images_are_refused_with_their_status(count):
    images = images_of(40, status=["ok"] * count + ["missing"] * (40 - count))
    with pytest.raises(DataError, match=f"{40 - count} missing"):
        split(knobs(), images, NO_BOXES)


def test_a_hold_out_of_everything_is_refused():
    with pytest.raises(DataError, match=r"split\.holdout"):
        split(knobs(holdout=1.0), images_of(40), NO_BOXES)


def test_stage_writes_table_and_summary(settings, tmp_path, capsys):
    images = images_of(100)
    write_table(images, tmp_path / "data/audit/cells_demo/images.csv", IMAGES)
    write_table(NO_BOXES, tmp_path / "data/audit/cells_demo/boxes.csv", BOXES)
    splits = run(settings("cells_demo"), tmp_path)
    assert read_table(tmp_path / "data/splits/cells_demo.csv", SPLITS).equals(splits)
    assert (tmp_path / "data/splits/cells_demo.json").exists()
    told = capsys.readouterr().err
    assert "80 training images in 5 folds, 20 for test; where train.folds is 1, the 16 of fold 0 alone judge." in told
    assert "split.holdout asks" not in told


@pytest.mark.parametrize(("asked", "held"), [(0.02, "0.0%"), (0.03, "5.0%")])
def test_a_hold_out_other_than_asked_for_is_told(asked, held):
    images = images_of(200)
    splits = split(knobs(holdout=asked), images, NO_BOXES)
    told = (
        f"split.holdout asks for {asked:.1%} of the images, and {held} are held out for test: it takes whole groups, "
        "in parts of 1/20 or larger."
    )
    assert told in summarise(splits, images, NO_BOXES, knobs(holdout=asked))["notes"]


def test_what_is_shared_with_the_test_is_told_for_one_fold_too():
    subset = ["test" if number < 20 else "train" for number in range(120)]
    images = images_of(120, subset=subset, group=["p" if each % 15 == 0 else f"g{each}" for each in range(120)])
    shared = [number for number in range(20, 120) if number % 15 == 0]
    splits = split(knobs(), images, NO_BOXES)
    whole = splits.assign(fold=splits["fold"].where(splits["fold"] < 0, 1))
    whole.loc[shared[:2], "fold"] = 0
    notes = summarise(whole, images, NO_BOXES, knobs())["notes"]
    assert (
        "6 training images share 1 group with the published test set, so its score flatters (where train.folds is 1, "
        "4 of them train)."
    ) in notes
