"""Small and lopsided splits."""

import pandas as pd
import pytest

from data.split.split_inputs import NO_BOXES, images_of, knobs
from tropho.data.split import check_objects, missing_class_notes, split
from tropho.errors import DataError
from tropho.stages.augment import pick_spread
from tropho.tables import BOX, BOXES, conform


def boxes_in(*image_ids):
    rows = [(image_id, "cell", 0.0, 0.0, 9.0, 9.0) for image_id in image_ids]
    return conform(pd.DataFrame(rows, columns=["image_id", "label", *BOX]), BOXES)


def refusal(settings, images):
    with pytest.raises(DataError) as refused:
        split(settings, images, NO_BOXES)
    return str(refused.value)


def test_as_many_groups_as_folds_are_enough():
    images = images_of(20, label=["a"] * 17 + ["b"] * 3)
    splits = split(knobs(n_folds=3, test_fraction=0.0), images, NO_BOXES)
    rare = splits[splits["image_id"] >= "i0017"]
    assert sorted(rare["fold"]) == [0, 1, 2]
    assert "into 4 folds that all have every class ('b' is in 3 groups)" in refusal(
        knobs(n_folds=4, test_fraction=0.0), images
    )


def test_what_may_help_is_told():
    pair = images_of(20, label=["a"] * 18 + ["b"] * 2)
    assert refusal(knobs(n_folds=3, test_fraction=0.0), pair).endswith("To go on, set split.n_folds to 2.")
    rare = images_of(20, label=["a"] * 17 + ["b"] * 2 + ["c"])
    assert "{c: null}" not in refusal(knobs(n_folds=3, test_fraction=0.0), rare.assign(label=["a"] * 19 + ["c"]))
    told = refusal(knobs(n_folds=3, test_fraction=0.0), rare)
    assert "or merge or drop what is rare with audit.class_map, such as {c: null}, or let" in told
    assert "set split.test_fraction to 0" not in told
    assert "set split.test_fraction to 0" in refusal(knobs(n_folds=3, test_fraction=0.5), rare)
    one = images_of(8, group="g", label=pd.NA)
    assert "set split.grouped to false" in refusal(knobs(n_folds=2, test_fraction=0.0), one)
    assert "To go on, add images of what is missing" in refusal(knobs(n_folds=2, test_fraction=0.0), images_of(1))


def test_the_part_nearest_to_its_due_size_is_held_out():
    groups = ["p"] * 60 + ["q"] * 24 + ["r"] * 10 + ["s"] * 6
    images = images_of(100, label=pd.NA, group=groups)
    for seed in range(4):
        splits = split(knobs(n_folds=2, test_fraction=0.25, seed=seed), images, NO_BOXES)
        assert set(splits.loc[splits["subset"] == "test", "group"]) == {"q"}


def test_all_cannot_be_held_out():
    with pytest.raises(DataError, match=r"split\.test_fraction 1 leaves no image to train on; lower it"):
        split(knobs(test_fraction=1.0), images_of(40), NO_BOXES)
    assert "test" not in set(split(knobs(test_fraction=0.0), images_of(40), NO_BOXES)["subset"])


def test_classes_of_the_published_test_alone_are_no_classes():
    images = images_of(40, subset=["train"] * 30 + ["test"] * 10, label=["a", "b"] * 15 + ["c"] * 10)
    splits = split(knobs(n_folds=2), images, NO_BOXES)
    assert splits["subset"].value_counts().to_dict() == {"train": 30, "test": 10}
    same = images_of(40, subset=["train"] * 30 + ["test"] * 10, label=["a"] * 30 + ["b"] * 10)
    assert "All usable training images are of class 'a'" in refusal(knobs(n_folds=2), same)


def test_images_without_any_object_are_refused():
    status = ["ok"] * 2 + ["missing"] + ["ok"] * 3
    images = images_of(6, subset=["train"] * 3 + ["validation"] + ["test"] * 2, status=status)
    for image_id in ("i0000", "i0003"):
        check_objects(images, boxes_in(image_id))
    for image_id in ("i0002", "i0004"):  # one that can't be used, one of the test
        with pytest.raises(DataError, match="None of the 3 usable training images has a labelled object"):
            check_objects(images, boxes_in(image_id))
    check_objects(images[4:], NO_BOXES)  # no training image: the split says so


def gap_notes(images, boxes=NO_BOXES, **changes):
    settings = knobs(**changes)
    return " ".join(missing_class_notes(settings, split(settings, images, boxes), images, boxes))


def test_a_published_test_is_unlabelled_only_without_labels_and_boxes():
    unlabelled = "The published test set has no labels"
    subset = ["train"] * 30 + ["test"] * 10
    labelled = images_of(40, subset=subset, label=["a", "b"] * 20)
    assert unlabelled not in gap_notes(labelled)
    assert unlabelled in gap_notes(labelled.assign(label=labelled["label"].mask(labelled["subset"] == "test")))
    bare = images_of(40, subset=subset, label=pd.NA)
    everywhere = boxes_in(*bare["image_id"])
    assert unlabelled not in gap_notes(bare, everywhere)
    assert unlabelled in gap_notes(bare, boxes_in(*bare["image_id"][:30]))
    assert gap_notes(images_of(40, label=pd.NA), everywhere) == ""
    assert gap_notes(images_of(40)) == ""


def test_fewer_folds_are_advised_where_every_fold_then_has_the_class():
    images = images_of(40, label=pd.NA)
    boxes = boxes_in(*images["image_id"])
    rare = boxes_in("i0003", "i0004", "i0005").assign(label="rare")
    told = gap_notes(images, pd.concat([boxes, rare], ignore_index=True), test_fraction=0.0, n_folds=5)
    assert "{rare: null}. Or set split.n_folds to 3." in told
    told = gap_notes(images, pd.concat([boxes, rare[:1]], ignore_index=True), test_fraction=0.0, n_folds=5)
    assert "such as {rare: null}" in told
    assert "split.n_folds" not in told


@pytest.mark.parametrize(
    ("rows", "count", "left"), [(0, 3, []), (1, 3, [0]), (3, 3, [0, 1, 2]), (4, 3, [0, 2, 3]), (7, 1, [0])]
)
def test_rows_are_taken_at_even_distances(rows, count, left):
    assert pick_spread(pd.DataFrame({"a": range(rows)}), count)["a"].tolist() == left
