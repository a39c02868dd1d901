"""Classes that folds lack."""

import pandas as pd
import pytest
from PIL import Image

from data.split.split_inputs import NO_BOXES, images_of, knobs
from tropho.data.split import split
from tropho.data.split.split_summary import gaps
from tropho.errors import DataError
from tropho.stages.split import run
from tropho.tables import BOX, BOXES, IMAGES, conform, write_table


def boxes_of(**images: list[int]) -> pd.DataFrame:
    """A box of each class in each of the images of these numbers."""
    rows = [(f"i{number:04d}", label, 0.0, 0.0, 9.0, 9.0) for label, numbers in images.items() for number in numbers]
    return conform(pd.DataFrame(rows, columns=["image_id", "label", *BOX]), BOXES)


@pytest.mark.parametrize(
    ("labels", "holdout", "problem", "remedy", "changes"),
    [
        (
            ["b"] * 3 + ["a"] * 37,
            0.0,
            "('b' is in 3 groups)",
            "To go on, set split.n_folds to 3.",
            {"n_folds": 3},
        ),
        (
            ["b"] * 2 + ["a"] * 38,
            0.5,
            "('b' is in 1 group)",
            "set split.test_fraction to 0",
            {"test_fraction": 0.0, "n_folds": 2},
        ),
        (
            ["b"] * 3 + ["c"] * 2 + ["a"] * 35,
            0.0,
            "'c' is in 2 groups, 'b' is in 3",
            "set split.n_folds to 2",
            {"n_folds": 2},
        ),
    ],
)
def test_a_class_of_few_groups_is_refused_with_settings_that_work(labels, holdout, problem, remedy, changes):
    images = images_of(40, label=labels)
    asked = knobs(test_fraction=holdout)
    with pytest.raises(DataError) as refused:
        split(asked, images, NO_BOXES)
    assert problem in str(refused.value)
    assert remedy in str(refused.value)
    splits = split(asked.model_copy(update=changes), images, NO_BOXES).merge(images[["image_id", "label"]])
    train = splits[splits["subset"] == "train"]
    assert set(train.groupby("fold")["label"].nunique()) == {len(set(labels))}


def pictures(folder, rng, **counts):
    """A folder of each class with so many pictures of noise."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(0, 256, (24, 24, 3)).astype("uint8")
            Image.fromarray(image).save(folder / label / f"{label}{number}.png")
    return folder


def prepared(project, source, **sections):
    project.add("t", "classification", download={"path": str(source)}, **sections)
    project.run("t", "download", "audit")


@pytest.mark.parametrize("holdout", [0.0, 0.2])
def test_a_class_of_one_image_can_be_dropped_as_told(project, tmp_path, rng, holdout):
    source = pictures(tmp_path / "source", rng, a=12, b=12, c=1)
    prepared(project, source, split={"test_fraction": holdout})
    told = project.tropho("split", "t", code=1).text
    assert "'c' is in" in told
    assert "merge or drop what is rare with audit.class_map, such as {c: null}" in told
    prepared(project, source, split={"test_fraction": holdout}, audit={"class_map": {"c": None}})
    project.run("t", "split")


def test_one_class_alone_is_refused(project, tmp_path, rng):
    source = pictures(tmp_path / "source", rng, a=8, b=8)
    prepared(project, source, audit={"class_map": {"b": "a"}})
    assert "All usable training images are of class 'a'" in project.tropho("split", "t", code=1).text
    prepared(project, source)
    project.run("t", "split")


def test_one_group_alone_is_refused_with_a_remedy(project, tmp_path, rng):
    source = pictures(tmp_path / "source", rng, a=8, b=8)
    prepared(project, source, audit={"group_pattern": "([ab])[0-9]"})
    told = project.tropho("split", "t", code=1).text
    assert "2 groups of usable training images can't be split into 5 folds" in told
    assert "let audit.group_pattern find more groups" in told
    prepared(project, source, audit={"group_pattern": "([ab][0-9]+)"})
    project.run("t", "split")
    prepared(project, source, audit={"group_pattern": "([ab])[0-9]"}, split={"grouped": False})
    project.run("t", "split")


@pytest.mark.parametrize(("groups", "folds"), [(4, 3), (3, 2), (2, 2)])
def test_fewer_groups_than_folds_are_told_how_many_work(groups, folds):
    images = images_of(60, group=[f"g{number % groups}" for number in range(60)], label=pd.NA)
    with pytest.raises(DataError, match=rf"can't be split into 5 folds.*To go on, set split\.n_folds to {folds}\."):
        split(knobs(), images, NO_BOXES)
    assert set(split(knobs(n_folds=folds), images, NO_BOXES)["fold"]) >= set(range(folds))


def test_what_excluded_copies_leave_short_can_be_kept():
    images = images_of(12, subset=["train"] * 6 + ["test"] * 6, duplicate=[f"i{n % 6:04d}" for n in range(12)])
    images["group"] = images["duplicate"]
    with pytest.raises(DataError, match=r"or set split\.test_overlap to keep"):
        split(knobs(), images, NO_BOXES)
    split(knobs(test_overlap="keep", n_folds=2), images, NO_BOXES)


def test_a_class_that_only_the_published_validation_has_is_refused():
    images = images_of(60, subset=["train"] * 40 + ["validation"] * 20, label=["a", "b"] * 20 + ["c"] * 10 + ["a"] * 10)
    with pytest.raises(DataError, match=r"'c' is in 0 groups.*set split\.published_val to merge"):
        split(knobs(published_val="keep", test_fraction=0.0), images, NO_BOXES)
    split(knobs(test_fraction=0.0), images, NO_BOXES)


def told_of(settings, tmp_path, capsys, images, boxes=NO_BOXES, **changes):
    """What the stage says of a split."""
    write_table(images, tmp_path / "data/audit/cells_demo/images.csv", IMAGES)
    write_table(boxes, tmp_path / "data/audit/cells_demo/boxes.csv", BOXES)
    run(settings("cells_demo", **{f"split.{key}": value for key, value in changes.items()}), tmp_path)
    return " ".join(capsys.readouterr().err.split())


def test_a_fold_without_objects_of_a_class_is_told(settings, tmp_path, capsys):
    images = images_of(40, label=pd.NA)
    boxes = boxes_of(cell=list(range(40)), rare=[3, 4])
    told = told_of(settings, tmp_path, capsys, images, boxes, test_fraction=0.0)
    assert "Some parts can't score every class: 'rare' is not in fold" in told
    assert "Or set split.n_folds to 2." in told
    assert "can't score" not in told_of(settings, tmp_path, capsys, images, boxes, test_fraction=0.0, n_folds=2)


def test_a_class_of_one_image_with_objects_is_told(settings, tmp_path, capsys):
    images = images_of(40, label=pd.NA)
    told = told_of(settings, tmp_path, capsys, images, boxes_of(cell=list(range(40)), rare=[3]), test_fraction=0.0)
    assert "such as {rare: null}" in told
    dropped = boxes_of(cell=list(range(40)))
    assert "can't score" not in told_of(settings, tmp_path, capsys, images, dropped, test_fraction=0.0)


def test_a_hold_out_without_a_class_is_told(settings, tmp_path, capsys):
    # Both groups with the class are too large for a hold-out of a twentieth.
    images = images_of(200, label=["a"] * 120 + ["b"] * 80)
    images.loc[120:, "group"] = ["p"] * 40 + ["q"] * 40
    told = told_of(settings, tmp_path, capsys, images, test_fraction=0.05, n_folds=2)
    assert "'b' is not in test. For the test set, raise split.test_fraction" in told
    images = images.assign(group=images["image_id"])
    assert "is not in test" not in told_of(settings, tmp_path, capsys, images, test_fraction=0.05, n_folds=2)
    images.loc[120:, "group"] = [f"p{number % 4}" for number in range(80)]
    raised = told_of(settings, tmp_path, capsys, images, test_fraction=0.25, n_folds=2)
    assert "is not in test" not in raised


def test_gaps_name_the_parts_without_a_class():
    images = images_of(6, label=list("ababaa"))
    splits = pd.DataFrame({"image_id": images["image_id"], "subset": ["train"] * 4 + ["test", "excluded"]})
    splits = splits.assign(fold=[0, 0, 1, 1, -1, -1], group=splits["image_id"])
    assert gaps(splits, images, NO_BOXES) == {"b": ["test"]}
    assert gaps(splits.assign(fold=[0, 1, 0, 1, -1, -1]), images, NO_BOXES) == {
        "a": ["fold 1"],
        "b": ["fold 0", "test"],
    }


def test_published_sets_without_a_class_or_labels_are_told(settings, tmp_path, capsys):
    subset = ["train"] * 80 + ["validation"] * 20 + ["test"] * 20
    images = images_of(120, subset=subset, label=["a", "b"] * 40 + ["a"] * 40)
    told = told_of(settings, tmp_path, capsys, images, published_val="keep")
    assert "'b' is not in fold 0, test. Set split.published_val to merge." in told
    merged = told_of(settings, tmp_path, capsys, images.assign(label=images["label"].mask(images["subset"] == "test")))
    assert "published validation set" not in merged
    assert "The published test set has no labels" in merged


def test_ignored_regions_are_no_objects(settings, tmp_path, capsys):
    images = images_of(40, label=pd.NA)
    boxes = boxes_of(cell=list(range(40)), crowd=list(range(20)))
    boxes["ignore"] = boxes["label"] == "crowd"
    assert "crowd" not in told_of(settings, tmp_path, capsys, images, boxes)
