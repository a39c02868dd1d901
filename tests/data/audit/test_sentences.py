"""The audit's counts and sentences from small tables: at one more and one less than it takes to be told."""

import numpy as np
import pandas as pd
import pytest

from tropho.data.audit.audit_summary import depth_notes, summarise
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.audit.unused_data import check_usable, list_classes_without_images, list_other_files
from tropho.data.formats.labels import IssueLog
from tropho.errors import DataError
from tropho.images.decode import Decoding

COLUMNS = ["image_id", "path", "subset", "label", "status", "width", "height", "duplicate", "group"]


def images_of(*rows: dict) -> pd.DataFrame:
    made = [{"image_id": f"{n}", "path": f"{n}", "subset": "train", "status": "ok", "group": f"{n}", **row}
            for n, row in enumerate(rows)]  # fmt: skip
    return pd.DataFrame(made, columns=COLUMNS)


def boxes_of(*rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "label", "ignore"])
    return table.astype({"ignore": bool})


def issues_of(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "action", "detail"])


@pytest.fixture
def told(settings):
    """Function (images, boxes, issues, looks, doubles, pattern) -> the summary, with classes a and b."""

    def make(images, boxes=boxes_of(), issues=issues_of(), looks=None, doubles=(0, 0), pattern=None):  # noqa: B008
        audit = settings("smear_demo", **{"audit.group_pattern": pattern}).audit
        return summarise(images, boxes, issues, ["a", "b"], looks or {}, doubles, [], audit)

    return make


def test_counts_of_a_detection(told):
    images = images_of({}, {"status": "missing"}, {"subset": "test"}, {"subset": "test", "status": "unlabelled"}, {})
    boxes = boxes_of(("0", "a", False), ("0", "a", False), ("1", "b", False), ("4", "a", True), ("2", "a", True))
    summary = told(images, boxes, doubles=(3, 2))
    assert {key: summary[key] for key in ("images", "usable", "missing", "boxes", "ignored_regions")} == {
        "images": 5, "usable": 3, "missing": 1, "boxes": 3, "ignored_regions": 2
    }  # fmt: skip
    assert not summary["test_labelled"]
    assert told(images, boxes_of(("2", "a", False)))["test_labelled"]
    assert summary["subsets"]["train"] == {
        "images": 3, "usable": 2, "boxes": 3, "without_boxes": 0,
        "classes": {"a": {"images": 1, "boxes": 2}, "b": {"images": 1, "boxes": 1}},
    }  # fmt: skip
    assert summary["subsets"]["test"]["without_boxes"] == 1
    assert summary["notes"] == [
        "3 of 5 images can be used.",
        "1 of 5 images are missing.",
        "Images without a usable label: 1.",
        "Pairs of same-class boxes drawn twice, in 2 images: 3.",
    ]


def test_counts_of_a_classification(told):
    summary = told(images_of({"label": "a"}, {"label": "a"}, {"label": "b", "subset": "test"}))
    assert summary["subsets"]["train"]["classes"] == {"a": {"images": 2, "boxes": 0}, "b": {"images": 0, "boxes": 0}}
    assert summary["test_labelled"]


def test_duplicates_across_subsets(told):
    copies = [("train", "x"), ("test", "x"), ("train", "y"), ("validation", "y"), ("train", "y"), ("validation", "x")]
    images = images_of(*({"subset": subset, "duplicate": key} for subset, key in copies), {})
    issues = issues_of(
        ("duplicate_image", "grouped", "."), ("near_duplicate", "grouped", "."), ("near_duplicate", "grouped", "."),
        ("label_conflict", "listed", "."), ("label_conflict", "quarantined", "."),
    )  # fmt: skip
    summary = told(images, issues=issues)
    assert summary["duplicates"] == {
        "exact": 1, "near": 2, "label_conflicts": 1, "sets": 2, "biggest_set": 3, "train_images_in_test": 2,
        "train_images_in_validation": 3,
    }  # fmt: skip
    assert summary["notes"][1:] == [
        "Images that repeat another exactly: 1.",
        "Images that repeat another nearly: 2.",
        "Training images that are also in the published test set: 2.",
        "Training images that are also in the published validation set: 3.",
        "Duplicates labelled otherwise than the image they repeat: 1.",
    ]
    assert told(images_of({}))["duplicates"]["biggest_set"] == 0


def test_issues_are_counted_together_and_the_first_of_some_is_told(told):
    kinds = ["zero_area", "outside", "too_small", "bad_row", "bad_annotation", "unknown_class", "correction"]
    issues = issues_of(*((kind, "x", f"{kind}.") for kind in [*kinds, "further_frames", "other_file", "other_file"]))
    summary = told(images_of({}), issues=issues)
    assert summary["corrections"] == {"applied": 1, "quarantined": 0}
    assert summary["notes"] == [
        "1 of 1 images can be used.",
        "Rows of labels that can't be used: 3.",
        "Boxes dropped for want of area inside their image: 3.",
        "Other file (the first of 2): other_file.",
        "Further frames: further_frames.",
    ]


@pytest.mark.parametrize(("count", "rest"), [(20, None), (22, {"2 other sizes": 2})])
def test_the_twenty_commonest_sizes(told, count, rest):
    sizes = told(images_of({"width": 9, "height": 9}, *({"width": n, "height": 9} for n in range(count))))["sizes"]
    assert next(iter(sizes.items())) == ("9x9", 2)
    assert len(sizes) == 20 + bool(rest)
    assert not rest or {key: sizes[key] for key in rest} == rest


@pytest.mark.parametrize(
    ("size", "others", "warned"), [(20, 1, False), (21, 1, True), (40, 160, False), (41, 159, True)]
)
def test_a_group_is_big_from_a_fifth_and_more_than_twenty(told, size, others, warned):
    images = images_of(*[{"group": "g"}] * size, *[{}] * others)
    summary = told(images)
    assert (summary["groups"]["biggest"], summary["groups"]["biggest_name"]) == (size, "g")
    assert any("The biggest group, g, has" in note for note in summary["notes"]) == warned
    assert told(images_of())["groups"] == {"count": 0}


def test_what_a_pattern_leaves_alone(told):
    images = images_of(*({"image_id": name, "label": name[0]} for name in ("a1", "a2", "b1", "bx")))
    summary = told(images, pattern="([ab][0-9])")
    assert summary["groups"]["not_matched"] == 1
    assert "matches 100% of a and 50.0% of b images; it leaves 1 alone, such as 'bx'" in summary["notes"][-1]
    assert told(images[:3], pattern="([ab][0-9])")["groups"]["not_matched_example"] is None
    one = images_of(*({"image_id": f"a{n}", "label": "a"} for n in range(2000)), {"image_id": "ax", "label": "a"})
    assert "matches 99.9% images" in told(one, pattern="(a[0-9])")["notes"][-1]


@pytest.mark.parametrize(("grey", "warned"), [(10, False), (11, True)])
def test_a_colour_mode_that_tells_the_class(told, grey, warned):
    """Of 100 images of each class, some of class a are grey: guessing by the mode is right in 100 + grey of 200."""
    images = images_of(*[{"label": "a"}] * 100, *[{"label": "b"}] * 100)
    looks = {f"{n}": ImageInfo(f"{n}", "", mode="L" if n < grey else "RGB") for n in range(200)}
    summary = told(images, looks=looks)
    assert summary["colour_mode_tells"] == {"accuracy_from_mode": (100 + grey) / 200, "accuracy_from_nothing": 0.5}
    assert any("The colour mode" in note for note in summary["notes"]) == warned
    assert summary["colour_modes"]["a"]["L"] == grey / 100
    looks |= {"0": ImageInfo("0", "", "torn")}
    assert told(images, looks=looks)["colour_modes"]["a"]["L"] == round((grey - 1) / 99, 4)
    boxed = told(images.assign(label=None), looks=looks)
    assert list(boxed["colour_modes"]) == ["all"]
    assert "colour_mode_tells" not in boxed
    assert "colour_mode_tells" not in told(images, looks={"1": looks["1"]})


DEEP = np.zeros(256, bool)
DEEP[:3] = True


WHOLE = "16-bit images use 100.0 % of their range (0 to 65535); they are scaled by it"


@pytest.mark.parametrize(
    ("span", "depth", "shades", "note"),
    [
        ((0, 65535), "integer", 3, f"{WHOLE}, to 3 distinct grey levels."),
        ((0, 65535), "integer", 255, f"{WHOLE}, to 255 distinct grey levels."),
        ((0, 65535), "integer", 256, f"{WHOLE}."),
        ((0, 65535), "integer", 0, f"{WHOLE}."),
        (
            (100, 6653.5),
            "integer",
            0,
            "16-bit images use 10.0 % of their range (100 to 6653.5); they are scaled by it.",
        ),
        (
            (-1, 10),
            "integer",
            0,
            "32-bit or signed images use a part of their range (-1 to 10); they are scaled by it.",
        ),
        (
            (0, 65536),
            "integer",
            0,
            "32-bit or signed images use a part of their range (0 to 65536); they are scaled by it.",
        ),
        (
            (0, 1),
            "floating-point",
            0,
            "Floating-point images use a part of their range (0 to 1); they are scaled by it.",
        ),
        (
            (5, 5),
            "integer",
            1,
            "All 16-bit training images hold the one value 5: there is nothing to be told from them.",
        ),
        (None, "integer", 3, None),
        ((0, 9), "", 3, None),
    ],
)
def test_notes_on_deep_images(span, depth, shades, note):
    levels = np.arange(256) < shades
    looks = {
        "0": ImageInfo("0", "", depth=depth, shades=levels),
        "1": ImageInfo("1", "", depth=depth, shades=np.ones(256, bool)),
    }
    assert depth_notes(images_of({}, {"subset": "test"}), looks, Decoding(100, span)) == ([note] if note else [])


def test_deep_images_beside_others():
    looks = {
        "0": ImageInfo("0", "", depth="integer", shades=DEEP),
        "1": ImageInfo("1", ""),
        "2": ImageInfo("2", "", "torn"),
    }
    notes = depth_notes(images_of({}, {}, {}), looks, Decoding(100, (0, 65535)))
    assert notes[1:] == ["1 images have more than 8 bits and are scaled; 1 have 8 and are not."]
    notes = depth_notes(images_of({"status": "missing"}, {}), {"0": looks["0"]}, Decoding(100, (0, 65535)))
    assert notes == ["16-bit images use 100.0 % of their range (0 to 65535); they are scaled by it."]


def test_files_of_other_kinds_are_listed_by_their_endings(tmp_path):
    log = IssueLog()
    paths = ["a.rar", "b.xyz", "c.xyz", "notes.txt", "LICENSE"]
    (tmp_path / "LICENSE").write_text("x")
    assert list_other_files(tmp_path, paths, log) == {".xyz": 2, ".rar": 1, ".txt": 1, "none": 1}
    assert [each["file"] for each in log.rows] == ["a.rar", "b.xyz"]
    assert log.rows[1]["detail"] == (
        "2 files end in .xyz, such as b.xyz; they are not read as images (if they are, convert them to PNG or JPEG)."
    )


@pytest.mark.parametrize(
    ("count", "issues", "last"), [(20, 20, "1 files end"), (22, 21, "2 files more have one of 2 further")]
)
def test_at_most_twenty_endings_are_listed(tmp_path, count, issues, last):
    log = IssueLog()
    list_other_files(tmp_path, [f"a.q{number:02d}" for number in range(count)], log)
    assert len(log.rows) == issues
    assert log.rows[-1]["detail"].startswith(last)


def test_images_without_an_ending_are_told(tmp_path):
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "bare", format="PNG")
    log = IssueLog()
    list_other_files(tmp_path, ["bare"], log)
    assert [each["detail"] for each in log.rows] == [
        "1 images have no ending in their names, such as bare; they are not read (call them bare.png or the like)."
    ]


def test_classes_without_a_usable_training_image():
    log = IssueLog()
    images = images_of({"label": "a"}, {"label": "b", "subset": "test"}, {"label": "c", "status": "unreadable"}, {})
    boxes = boxes_of(("3", "d", False), ("3", "e", True), ("1", "f", False))
    list_classes_without_images(images, boxes, list("abcdef"), log)
    assert [each["detail"][-3:] for each in log.rows] == [f"'{name}'."[-3:] for name in "bcef"]
    log = IssueLog()
    list_classes_without_images(images[1:3], boxes, ["a"], log)
    assert log.rows == []


@pytest.mark.parametrize(
    ("rows", "issues", "words"),
    [
        ([], [], "has no training images (none at all)"),
        ([{"subset": "test"}], [], "has no training images (1 test images)"),
        (
            [{"status": "missing"}, {"subset": "test"}],
            [],
            "(1 missing): the first that the labels name is '0', but raw has",
        ),
        ([{"status": "missing"}, {"status": "unlabelled"}], [], "the first file that they don't name is '1'"),
        (
            [{"status": "unreadable"}],
            [("0", "unlabelled", "quarantined", "A."), ("0", "torn", "quarantined", "B."), ("0", "z", "listed", "C.")],
            "of '0', the first, it is said: B. All",
        ),
        ([{"status": "unreadable"}], [("1", "torn", "quarantined", "B.")], "it is said: its status is 'unreadable'."),
        ([{"status": "mistyped"}, {"status": "excluded"}, {"status": "excluded"}], [], "of '1', the first"),
    ],
)
def test_why_no_image_can_be_used(rows, issues, words):
    table = pd.DataFrame(issues, columns=["image_id", "kind", "action", "detail"])
    with pytest.raises(DataError) as error:
        check_usable(images_of(*rows), table, "raw", "issues.csv")
    assert words in str(error.value)
    check_usable(images_of(*rows, {}), table, "raw", "issues.csv")
