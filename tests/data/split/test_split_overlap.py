"""Overlap of published sets."""

import pandas as pd
import pytest

from data.split.split_inputs import NO_BOXES, images_of, knobs
from tropho.data.split import split
from tropho.data.split.split_summary import describe_split
from tropho.errors import DataError, UsageError
from tropho.stages.split import run
from tropho.tables import BOXES, IMAGES, write_table


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

    notes = describe_split(splits.reset_index(), images, NO_BOXES, knobs())
    assert any("kept out" in note for note in notes)
    assert any("share 1 group" in note for note in notes)

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
    splits = split(knobs(published_val="keep"), images, NO_BOXES)
    side = splits.set_index("image_id")[["subset", "fold"]].apply(tuple, axis=1)
    numbers = side.index.str[1:].astype(int)
    assert list(side.index[side == ("excluded", -1)]) == ["i0002", "i0003", "i0090"]
    rest = ~numbers.isin([2, 3, 90])
    assert set(side[rest & (numbers < 80)]) == {("train", 1)}
    assert set(side[rest & (numbers >= 80) & (numbers < 120)]) == {("train", 0)}
    assert set(side[numbers >= 120]) == {("test", -1)}

    notes = describe_split(splits, images, NO_BOXES, knobs(published_val="keep", test_fraction=0.0))
    assert notes == [
        "78 training images (fold 1, never validated), 39 of the published validation set (fold 0), 30 for test.",
        "3 training images are kept out, since the test or the validation set has them, exactly or nearly.",
        "2 training images share 1 group with the published validation set, so its score is optimistic.",
    ]

    kept = split(knobs(published_val="keep", test_overlap="keep"), images, NO_BOXES)
    assert kept["subset"].value_counts().to_dict() == {"train": 120, "test": 30}


def test_a_published_validation_set_may_share_patients_with_the_test():
    """No model is trained on it: of the two patients whom the test shares, one has no image that counts."""
    images = published_images()
    images.loc[[99, 125], "group"] = "p"  # validation and test; 7 and 8 are in training
    images.loc[[100, 126], "group"] = "q"  # validation and test alone
    splits = split(knobs(published_val="keep"), images, NO_BOXES)
    notes = describe_split(splits, images, NO_BOXES, knobs(published_val="keep", test_fraction=0.0))
    assert "2 training images share 1 group with the published test set, so its score is optimistic." in notes


def test_a_published_validation_set_is_split_where_merged():
    images = published_images()
    splits = split(knobs(), images, NO_BOXES)
    assert list(splits.loc[splits["subset"] == "excluded", "image_id"]) == ["i0090"]
    assert set(splits.loc[splits["subset"] == "train", "fold"]) == set(range(5))
    as_training = images.assign(subset=images["subset"].replace("validation", "train"))
    assert splits.equals(split(knobs(), as_training, NO_BOXES))


def test_the_hold_out_takes_no_published_validation_image_nor_its_patients():
    images = published_images()[:120]
    splits = split(knobs(published_val="keep"), images, NO_BOXES).set_index("image_id")
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
    task = settings("cells_demo", **{"split.published_val": "keep", "split.test_fraction": 0.5, "train.n_folds": 1})
    splits = run(task, tmp_path)
    assert splits["subset"].value_counts().to_dict() == ({"train": 65, "test": 10} if free == 2 else {"train": 75})
    assert (splits.loc[50:, "fold"] == 0).all()
    assert ("and 0.0% are held out for test" in capsys.readouterr().err) == (free < 2)


def test_publishing_is_refused_where_nothing_is_published():
    with pytest.raises(UsageError, match=r"split\.published_val is 'keep', but the data set publishes no validation"):
        split(knobs(published_val="keep"), images_of(40), NO_BOXES)
    images = published_images()
    images.loc[images["subset"] == "validation", "status"] = "missing"
    with pytest.raises(DataError, match="No image of the published validation set can be used"):
        split(knobs(published_val="keep"), images, NO_BOXES)


def test_groups_of_the_test_leave_training_on_demand():
    images = published_images()
    images.loc[[9, 125], "group"] = "q"  # one patient's, but other pictures
    splits = split(knobs(test_overlap="drop_groups"), images, NO_BOXES)
    assert list(splits.loc[splits["subset"] == "excluded", "image_id"]) == ["i0009", "i0090"]
    notes = describe_split(splits, images, NO_BOXES, knobs(test_overlap="drop_groups"))
    assert (
        "2 training images are kept out, since the test set has images of their group (patient, slide or picture)."
        in notes
    )

    kept = split(knobs(test_overlap="drop_groups", published_val="keep"), images, NO_BOXES)
    assert list(kept.loc[kept["subset"] == "excluded", "image_id"]) == [
        f"i{number:04d}" for number in (2, 3, 7, 8, 9, 90)
    ]


def test_groups_of_the_test_leave_training_where_folds_ignore_groups():
    images = images_of(60, subset=["test"] * 10 + ["train"] * 50, group=["p"] * 12 + [f"g{n}" for n in range(48)])
    splits = split(knobs(test_overlap="drop_groups", grouped=False), images, NO_BOXES)
    assert list(splits.loc[splits["subset"] == "excluded", "image_id"]) == ["i0010", "i0011"]


def test_retina_oct_drops_the_patients_of_its_test(settings):
    assert settings("retina_oct").split.test_overlap == "drop_groups"
    assert settings("brain_tumor").split.test_overlap == "drop_duplicates"
