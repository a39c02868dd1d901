"""Labels as read become classes: spellings, the test set's own classes, negatives, boxes that several files hold."""

from pathlib import PurePosixPath

import pandas as pd
import pytest

from tropho.data.formats.class_map import apply_class_map, drop_repeated_boxes
from tropho.data.formats.label_collector import (
    LABELLED_BOXES,
    LABELLED_IMAGES,
    IssueLog,
    Labels,
    files_below,
    named_files,
    table_of,
)
from tropho.errors import DataError, UsageError, suggestion
from tropho.tables import BOX, ISSUES

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.fixture
def settled(settings):
    """Function (images, boxes, audit's settings) -> labels with classes settled."""

    def make(images: dict[str, str], boxes: list[tuple] = (), **audit) -> Labels:
        """`images` maps an id to "subset" or "subset label"; a box is (image_id, label, four numbers or none)."""
        rows = []
        for name, text in images.items():
            subset, _, label = text.partition(" ")
            rows.append({"image_id": name, "path": name, "subset": subset, "label": label or None, "status": "ok"})
        held = [
            {"image_id": name, "label": label, "file": "t.csv", "row": row, "ignore": label == "crowd",
             **dict(zip(BOX, corners or [None] * 4, strict=True))}
            for row, (name, label, *corners) in enumerate(boxes, 2)
        ]  # fmt: skip
        tables = table_of(rows, LABELLED_IMAGES), table_of(held, LABELLED_BOXES)
        audit = {"classes": None, "negative": None, "class_map": {}, **audit}
        counted = {"report.parasites": [], "report.white_cells": []}  # are named classes of the demo
        made = settings("smear_demo", **counted, **{f"audit.{key}": value for key, value in audit.items()})
        return apply_class_map(Labels(*tables, table_of([], ISSUES), []), made.audit)

    return make


def kinds(labels: Labels) -> list[tuple]:
    return list(zip(labels.issues["kind"], labels.issues["action"], labels.issues["image_id"].fillna(""), strict=True))


def left(labels: Labels) -> list[tuple]:
    return list(zip(labels.boxes["image_id"], labels.boxes["label"], strict=True))


def test_apply_class_map_unifies_unicode_forms(settled):
    images = {"a": f"train {NFC}", "b": f"train {NFD}", "c": "train dog"}
    labels = settled(images)
    assert labels.classes == [NFC, "dog"]
    assert list(labels.images["label"]) == [NFC, NFC, "dog"]
    assert kinds(labels) == [("class_spelling", "merged", "")]
    assert settled(images, classes=["dog", NFD]).classes == ["dog", NFC]
    assert settled(images, class_map={"dog": NFD}).classes == [NFC]
    assert settled(images, class_map={NFD: "x"}).classes == ["dog", "x"]
    boxes = [("a", "dog", 1, 1, 2, 2), ("b", NFC, 0, 0, 0, 0)]
    assert settled({"a": "train", "b": "train"}, boxes, negative=NFD).classes == ["dog"]


def test_apply_class_map_drops_test_only_classes(settled):
    images = {"a": "train cat", "b": "test cow", "c": "test cat", "d": "validation dog"}
    labels = settled(images)
    assert labels.classes == ["cat", "dog"]
    assert labels.images["label"].fillna("").tolist() == ["cat", "", "cat", "dog"]
    assert set(labels.images["status"]) == {"ok"}
    assert labels.issues["detail"].tolist() == [
        "Class 'cow' is in the test set alone (1 images), so it can't be learned: it is no class; they are test images "
        "without a label."
    ]
    boxes = [("a", "cat", 1, 1, 2, 2), ("b", "cow", 1, 1, 2, 2), ("b", "cow", 5, 5, 6, 6), ("b", "cat", 1, 1, 2, 2)]
    labels = settled({"a": "train", "b": "test"}, boxes)
    assert (labels.classes, left(labels)) == (["cat"], [("a", "cat"), ("b", "cat")])
    assert "(2 boxes)" in labels.issues["detail"][0]
    assert labels.issues["detail"][0].endswith("it is no class; the boxes are dropped.")
    assert len(settled({"a": "train", "b": "test"}, boxes, classes=["cat", "cow"]).boxes) == 4


def test_apply_class_map_drops_unlisted_labels(settled):
    images = {"a": "train cat", "b": "train cow", "c": "test cow"}
    labels = settled(images, classes=["cat"])
    assert kinds(labels) == [("unknown_class", "quarantined", "b"), ("unknown_class", "dropped", "c")]
    assert list(labels.images["status"]) == ["ok", "unlabelled", "ok"]
    assert labels.images["label"].fillna("").tolist() == ["cat", "", ""]
    labels = settled(
        {"a": "train", "b": "train"}, [("a", "cat", 1, 1, 2, 2), ("b", "cow", 1, 1, 2, 2)], classes=["cat"]
    )
    assert kinds(labels) == [("unknown_class", "quarantined", "b"), ("unlabelled", "quarantined", "b")]


def test_apply_class_map_dropped_renamed_misspelt(settled):
    images = {"a": "train", "b": "train"}
    boxes = [("a", "cat", 1, 1, 2, 2), ("a", "cow", 1, 1, 2, 2), ("b", "cow", 1, 1, 2, 2)]
    labels = settled(images, boxes, class_map={"cow": None})
    assert (labels.classes, left(labels)) == (["cat"], [("a", "cat")])
    assert labels.issues["detail"].tolist() == ["Class 'cow' is dropped by class_map with 2 boxes."]
    assert list(labels.images["status"]) == ["ok", "ok"]
    assert settled(images, boxes, class_map={"cow": "cat"}).classes == ["cat"]
    with pytest.raises(UsageError, match=r"audit\.class_map: no label is called 'cows' \(did you mean 'cow'"):
        settled(images, boxes, class_map={"cows": "cat"})
    with pytest.raises(DataError, match="No training label is left"):
        settled(images, boxes, class_map={"cow": None, "cat": None})


def test_apply_class_map_keeps_rare_listed_class(settled):
    images = {"a": "train cat", "b": "test dog"}
    labels = settled(images, classes=["cat", "dog", "ant"])
    assert labels.classes == ["cat", "dog", "ant"]
    assert labels.issues["detail"].tolist() == [
        f"No training label is called '{name}', which audit.classes names." for name in ("dog", "ant")
    ]
    with pytest.raises(UsageError, match=r"audit\.classes: no label is called 'ant'; known are dog"):
        settled(images, classes=["cat", "ant"])


def test_apply_class_map_negatives(settled):
    boxes = [
        ("a", "cat", 1, 1, 2, 2),
        ("a", "NEG", 5, 5, 6, 6),
        ("a", "NEG", 0, 0, 0, 0),
        ("b", "NEG", 0, 0, 0, 7),
        ("b", "NEG",),
        ("c", "NEG", 0, 0, 0, 0),
        ("d", "cat",),
    ]  # fmt: skip
    labels = settled(dict.fromkeys("abcd", "train"), boxes, negative="NEG")
    assert (labels.classes, left(labels)) == (["cat"], [("a", "cat")])
    assert sorted(kinds(labels)) == [
        ("bad_row", "quarantined", "d"),
        ("negative_with_box", "repaired", "b"),
        ("negative_with_objects", "dropped", "a"),
        ("negative_with_objects", "dropped", "a"),
        ("repeated_row", "dropped", "b"),
        ("unlabelled", "quarantined", "d"),
    ]
    assert list(labels.images["status"]) == ["ok", "ok", "ok", "unlabelled"]


@pytest.mark.parametrize(
    ("box", "turned", "count"),
    [((5, 6, 1, 2), (1, 2, 5, 6), 2), ((5, 2, 1, 6), (1, 2, 5, 6), 1), ((5, 2, 5, 2), (5, 2, 5, 2), 0)],
)
def test_apply_class_map_swaps_corners(settled, box, turned, count):
    labels = settled({"a": "train"}, [("a", "cat", *box)])
    assert tuple(labels.boxes[BOX].iloc[0]) == turned
    assert [kind for kind, *_ in kinds(labels)] == ["swapped_box"] * count


def test_apply_class_map_keeps_ignored_regions(settled):
    labels = settled({"a": "train", "b": "train"}, [("a", "cat", 1, 1, 2, 2), ("b", "crowd", 1, 1, 2, 2)])
    assert (labels.classes, left(labels)) == (["cat"], [("a", "cat"), ("b", "crowd")])
    assert list(labels.images["status"]) == ["ok", "ok"]


def test_apply_class_map_names_first_issue(settings):
    log = IssueLog()
    log.add("bad_row", "quarantined", "It is odd.", "a", "t.csv", 7)
    labels = Labels(table_of([], LABELLED_IMAGES), table_of([], LABELLED_BOXES), log.table(), [])
    with pytest.raises(DataError, match=r"The first of 1 issues is in t\.csv, row 7: It is odd\."):
        apply_class_map(labels, settings("smear_demo").audit)
    log.rows[0] |= {"file": None, "row": None}
    labels = Labels(labels.images, labels.boxes, log.table(), [])
    with pytest.raises(DataError, match=r"The first of 1 issues is in a: It is odd\."):
        apply_class_map(labels, settings("smear_demo").audit)


def repeated(*files: str | None, xmin: tuple = (1, 1, 1)) -> tuple[pd.DataFrame, list]:
    rows = [
        {"image_id": "a", "label": "cat", "file": file, "ignore": False, **dict(zip(BOX, (low, 1, 9, 9), strict=True))}
        for file, low in zip(files, xmin, strict=False)
    ]
    log = IssueLog()
    return drop_repeated_boxes(table_of(rows, LABELLED_BOXES), log), log.rows


def test_drop_repeated_boxes_of_several_files():
    boxes, issues = repeated("x", "y", "y")
    assert list(boxes["file"]) == ["x"]
    assert [(each["file"], each["detail"]) for each in issues] == [("y", "2 of its boxes stand in x too.")]
    assert len(repeated("x", "x", "x")[0]) == 3
    assert len(repeated("x", "y", "y", xmin=(1, 2, 2))[0]) == 3
    boxes, issues = repeated("x", "y", "z", xmin=(1, 1, 1))
    assert (len(boxes), len(issues)) == (1, 2)


def test_named_files_by_setting_or_usual_name(tmp_path):
    for name in ("Train.csv", "deep/train.csv", ".x/train.csv", "b.CSV", "B.csv", "deep/one.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    below = [*map(str, files_below(tmp_path))]
    assert below == ["B.csv", "Train.csv", "b.CSV", "deep/one.csv", "deep/train.csv"]
    assert named_files(tmp_path, None, {"train.csv"}, "k") == [PurePosixPath("Train.csv")]
    assert named_files(tmp_path, None, {"one.csv", "none"}, "k") == [PurePosixPath("deep/one.csv")]
    assert named_files(tmp_path, ["DEEP\\One.csv"], set(), "k") == [PurePosixPath("deep/one.csv")]
    assert named_files(tmp_path, ["B.csv"], set(), "k") == [PurePosixPath("B.csv")]
    assert named_files(tmp_path, [], {"train.csv"}, "k") == []
    with pytest.raises(UsageError, match=r"k: 'b\.csv' may mean B\.csv or b\.CSV"):
        named_files(tmp_path, ["b.csv"], set(), "k")
    with pytest.raises(UsageError, match=r"k: the data set has no 'deep/onne\.csv' .*did you mean 'deep/one\.csv'"):
        named_files(tmp_path, ["deep/onne.csv"], set(), "k")


@pytest.mark.parametrize(
    ("known", "clause"),
    [
        ([], ""),
        (["b", "a"], "; known are a, b"),
        (list("abcdefghij"), "; known are a, b, c, d, e, f, g, h, i, j"),
        (list("abcdefghijk"), "; known are a, b, c, d, e, f, g, h, i, j, ..."),
        (["Weather", "a"], " (did you mean 'Weather'?)"),
    ],
)
def test_suggestion_names_or_lists(known, clause):
    assert suggestion("wether", known) == clause


def test_suggestion_of_the_beginning_of_names_is_the_shortest():
    assert suggestion("train.l", ["train.label_smoothing", "train.lr"]) == " (did you mean 'train.lr'?)"
