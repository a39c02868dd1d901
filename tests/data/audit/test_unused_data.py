"""What training can not use, and why nothing is left."""

import pandas as pd
import pytest

from tropho.data.audit.unused_data import check_usable, list_classes_without_images, list_other_files
from tropho.data.formats.labels import IssueLog
from tropho.errors import DataError

COLUMNS = ["image_id", "path", "subset", "label", "status", "width", "height", "duplicate", "group"]


def images_of(*rows: dict) -> pd.DataFrame:
    made = [{"image_id": f"{n}", "path": f"{n}", "subset": "train", "status": "ok", "group": f"{n}", **row}
            for n, row in enumerate(rows)]  # fmt: skip
    return pd.DataFrame(made, columns=COLUMNS)


def boxes_of(*rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "label", "ignore"])
    return table.astype({"ignore": bool})


def test_list_other_files_by_ending(tmp_path):
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
def test_list_other_files_lists_twenty_endings(tmp_path, count, issues, last):
    log = IssueLog()
    list_other_files(tmp_path, [f"a.q{number:02d}" for number in range(count)], log)
    assert len(log.rows) == issues
    assert log.rows[-1]["detail"].startswith(last)


def test_list_other_files_names_images_without_ending(tmp_path):
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "bare", format="PNG")
    log = IssueLog()
    list_other_files(tmp_path, ["bare"], log)
    assert [each["detail"] for each in log.rows] == [
        "1 images have no ending in their names, such as bare; they are not read (call them bare.png or the like)."
    ]


def test_list_classes_without_images():
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
def test_check_usable_names_the_reason(rows, issues, words):
    table = pd.DataFrame(issues, columns=["image_id", "kind", "action", "detail"])
    with pytest.raises(DataError) as error:
        check_usable(images_of(*rows), table, "raw", "issues.csv")
    assert words in str(error.value)
    check_usable(images_of(*rows, {}), table, "raw", "issues.csv")
