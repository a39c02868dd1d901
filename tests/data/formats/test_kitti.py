"""KITTI's text files: rows, the image that each file is of, and the subsets that folders tell."""

from pathlib import Path

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError

ROW = "WBC 0.00 0 -1.57 10.5 20 50 60 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def read(settings, tmp_path):
    """Function (images, texts, audit's settings) -> labels; the images are empty files, which nothing reads."""

    def make(images: str, texts: dict[str, str], **audit):
        for name in images.split():
            place(tmp_path / name, "")
        for name, text in texts.items():
            place(tmp_path / name, text)
        audit = {"format": "kitti", "classes": None, "negative": None, **audit}
        task = settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()})
        return readers.read(task, tmp_path)

    return make


def place(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def test_read_rows_and_issues(read):
    rows = [ROW, "", ROW.replace("WBC", "dontcare"), f"{ROW} 0.9", "WBC 0 0 0 1 2 3 4", f"{ROW} 0.9 1"]
    rows.append(ROW.replace("10.5", "x"))
    labels = read("image_2/a.png image_2/b.png", {"label_2/a.txt": "\n".join(rows), "label_2/b.txt": "WBC 1 2\n"})
    found = [tuple(row) for row in labels.boxes[["label", "xmin", "ymin", "xmax", "ymax", "row", "ignore"]].to_numpy()]
    assert sorted(found, key=lambda row: row[5]) == [
        ("WBC", 10.5, 20, 50, 60, 1, False),
        ("dontcare", 10.5, 20, 50, 60, 3, True),
        ("WBC", 10.5, 20, 50, 60, 4, False),
    ]
    told = dict(zip(labels.issues["row"], labels.issues["detail"], strict=True))
    assert told[5] == "8 columns in place of KITTI's 15."
    assert told[6] == "17 columns in place of KITTI's 15."
    assert told[7] == "The box is 'x 20 50 60', not four numbers."
    assert column(labels, "status") == {"a.png": "ok", "b.png": "unlabelled"}


def test_read_empty_label_file(read):
    labels = read("image_2/a.png image_2/b.png", {"label_2/a.txt": ROW, "label_2/b.txt": "\n"})
    assert column(labels, "status") == {"a.png": "ok", "b.png": "ok"}
    assert labels.issues.empty


def test_read_logs_binary_label_file(read, tmp_path):
    place(tmp_path / "label_2/b.txt", "")
    (tmp_path / "label_2/b.txt").write_bytes(b"\xff\xfe\x00")
    labels = read("image_2/a.png image_2/b.png", {"label_2/a.txt": ROW})
    assert column(labels, "status") == {"a.png": "ok", "b.png": "unlabelled"}
    assert list(labels.issues["kind"]) == ["bad_annotation"]


@pytest.mark.parametrize(
    ("texts", "statuses"),
    [
        ("training/label_2/0.txt", {"0.png": "ok", "1.png": "unlabelled", "v.png": "unlabelled", "t.png": "ok"}),
        (
            "training/label_2/0.txt testing/labels/t.txt",
            {"0.png": "ok", "1.png": "unlabelled", "v.png": "unlabelled", "t.png": "ok", "u.png": "unlabelled"},
        ),
        ("val/label/v.txt", {"0.png": "unlabelled", "1.png": "unlabelled", "v.png": "ok", "t.png": "ok"}),
    ],
)
def test_read_image_without_label_file(read, texts, statuses):
    images = "training/image_2/0.png training/image_2/1.png val/image_2/v.png testing/image_2/t.png "
    images += "testing/image_2/u.png" * ("u.png" in statuses)
    labels = read(images, dict.fromkeys(texts.split(), ROW))
    assert column(labels, "status") == statuses
    unlabelled = sorted(name for name, status in statuses.items() if status == "unlabelled")
    assert sorted(labels.issues["image_id"]) == unlabelled


def test_read_refuses_labels_of_test_images_only(read):
    with pytest.raises(DataError, match="No training label could be read"):
        read("training/image_2/0.png testing/image_2/t.png", {"testing/label_2/t.txt": ROW})


def test_read_matches_label_files_to_images(read):
    texts = {"label_2/0.txt": ROW, "label_2/9.txt": ROW, "label_2/2.txt": ROW, "notes/1.txt": "no labels"}
    labels = read("a/0.png b/2.png c/2.png a/1.png", texts)
    kinds = dict(zip(labels.issues["file"].fillna(""), labels.issues["kind"], strict=True))
    assert (kinds["label_2/9.txt"], kinds["label_2/2.txt"]) == ("no_image_file", "ambiguous_name")
    assert "notes/1.txt" not in kinds or kinds["notes/1.txt"] == "no_label_file"
    assert column(labels, "status")["1.png"] == "unlabelled"


def test_read_label_files_of_one_image(read):
    labels = read(
        "a/0.png a/1.png", dict.fromkeys(("label/0.txt", "labels/0.txt", "labels/1.txt", "b/label_2/1.txt"), ROW)
    )
    assert set(zip(labels.issues["kind"], labels.issues["file"], strict=True)) == {
        ("ambiguous_name", "label/0.txt"),
        ("repeated_image", "b/label_2/1.txt"),
        ("no_label_file", "a/0.png"),
    }
    assert column(labels, "status") == {"0.png": "unlabelled", "1.png": "ok"}


IMAGES = "training/image_2/a.png testing/image_2/t.png first/b.png val/c.png"
TEXTS = {"training/label_2/a.txt": ROW, "first/labels/b.txt": ROW, "val/labels/c.txt": ROW}


@pytest.mark.parametrize(
    ("audit", "subsets"),
    [
        ({}, {"t.png": "test", "c.png": "validation", "a.png": "train"}),
        ({"train": ["first"]}, {"t.png": "test", "b.png": "train"}),
        ({"train": ["/first/", "val"]}, {"t.png": "test", "c.png": "validation", "b.png": "train"}),
        ({"train": ["first"], "test": ["val"]}, {"c.png": "test", "b.png": "train"}),
        ({"test": ["first"]}, {"b.png": "test", "c.png": "validation", "a.png": "train"}),
    ],
)
def test_read_subsets_by_folder_or_setting(read, audit, subsets):
    labels = read(IMAGES, TEXTS, **audit)
    assert column(labels, "subset") == subsets


def test_read_all_for_training_without_folder(read):
    labels = read("x/a.png testing/t.png", {"x/labels/a.txt": ROW})
    assert column(labels, "subset") == {"t.png": "test", "a.png": "train"}


def test_read_refuses_folder_without_images(read):
    with pytest.raises(UsageError, match=r"audit\.train: the data set has no 'frist' \(did you mean 'first'"):
        read(IMAGES, TEXTS, train=["frist"])
