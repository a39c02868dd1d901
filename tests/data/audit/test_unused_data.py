"""What training can not use, and why nothing is left."""

import pandas as pd
import pytest

from data.audit.audit_inputs import boxes_of, images_of
from tropho.data.audit.unused_data import check_usable, list_classes_without_images, list_other_files
from tropho.data.formats.label_collector import IssueLog
from tropho.errors import DataError


def test_list_other_files_by_ending(tmp_path):
    log = IssueLog()
    paths = ["a.rar", "b.xyz", "c.xyz", "notes.txt", "LICENSE"]
    (tmp_path / "LICENSE").write_text("x")
    assert list_other_files(tmp_path, paths, log) == {".xyz": 2, ".rar": 1, ".txt": 1, "none": 1}
    assert [each["file"] for each in log.rows] == ["b.xyz", "a.rar"]
    assert log.rows[0]["detail"] == (
        "2 files end in .xyz, such as b.xyz; they are not read (save images as .png or .jpg, and "
        "pack archives as .zip)."
    )


def test_list_other_files_names_images_without_ending(tmp_path):
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "bare", format="PNG")
    log = IssueLog()
    list_other_files(tmp_path, ["bare"], log)
    assert [each["detail"] for each in log.rows] == [
        "1 images have no ending, such as bare; they are not read (save images as .png or .jpg, and pack archives "
        "as .zip)."
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
