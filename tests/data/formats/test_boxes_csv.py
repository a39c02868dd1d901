"""Zindi's tables, read row by row with every fault listed."""

from pathlib import Path

import pandas as pd
import pytest

from tropho.data.formats import readers
from tropho.data.formats.image_files import ImageFiles
from tropho.errors import DataError, UsageError

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\n"
GOOD = "a.jpg,Trophozoite,1.0,10,20,30,60\nb.jpg,WBC,1.0,1,2,3,4\nc.jpg,NEG,1.0,0,0,0,0\n"


@pytest.fixture
def task(settings):
    return settings("smear_demo")


def write(raw: Path, train: str, test: str | None = None, header: str = HEADER) -> Path:
    (raw / "Train.csv").write_text(header + train)
    if test is not None:
        (raw / "Test.csv").write_text(header + test)
    return raw


def faults(labels, kind: str) -> pd.DataFrame:
    return labels.issues[labels.issues["kind"] == kind]


def status(labels) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images["status"], strict=True))


def test_read_converts_y_first_to_x_first(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD, "t.jpg,,,,,,\n"))
    box = labels.boxes.set_index("image_id").loc["a.jpg"]
    assert [box["xmin"], box["ymin"], box["xmax"], box["ymax"]] == [20, 10, 60, 30]
    assert (box["file"], box["row"]) == ("Train.csv", 2)
    assert labels.classes == ["Trophozoite", "WBC"]
    assert dict(zip(labels.images["image_id"], labels.images["subset"], strict=True)) == {
        "t.jpg": "test",
        "a.jpg": "train",
        "b.jpg": "train",
        "c.jpg": "train",
    }
    assert labels.issues.empty


def test_read_negative_image_has_no_box(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD))
    assert "c.jpg" not in set(labels.boxes["image_id"])
    assert status(labels)["c.jpg"] == "ok"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,Trophozoite,1.0,10,20,30,\n", "xmax is empty"),
        ("a.jpg,Trophozoite,1.0,10,x,30,40\n", "xmin holds 'x'"),
        ("a.jpg,Trophozoite,1.0,10,nan,30,40\n", "xmin holds 'nan'"),
        ("a.jpg,Trophozoite,1.0,10,20,inf,40\n", "ymax holds 'inf'"),
        ("a.jpg,,1.0,10,20,30,40\n", "class is empty"),
        (",Trophozoite,1.0,10,20,30,40\n", "Image_ID is empty"),
        ("a.jpg,Trophozoite,1.0,10,20,30\n", "6 cells under 7 columns"),
        ("a.jpg,Trophozoite,1.0,,,,\n", "without a box"),
    ],
)
def test_read_quarantines_bad_row(task, tmp_path, row, words):
    labels = readers.read(task, write(tmp_path, GOOD + row))
    bad = faults(labels, "bad_row")
    assert list(bad["row"]) == [5]
    assert list(bad["file"]) == ["Train.csv"]
    assert list(bad["action"]) == ["quarantined"]
    assert words in bad["detail"].iloc[0]
    assert len(labels.boxes) == 2


def test_read_image_with_bad_rows_only_is_unlabelled(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD + "d.jpg,WBC,1.0,1,2,3,oops\n"))
    assert status(labels)["d.jpg"] == "unlabelled"


def test_read_swaps_corners(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD + "d.jpg,WBC,1.0,9,2,3,4\n"))
    box = labels.boxes.set_index("image_id").loc["d.jpg"]
    assert (box["ymin"], box["ymax"]) == (3, 9)
    assert list(faults(labels, "swapped_box")["row"]) == [5]


def test_read_logs_contradicting_negative_rows(task, tmp_path):
    rows = "a.jpg,NEG,1.0,0,0,0,0\nd.jpg,NEG,1.0,5,5,9,9\nc.jpg,NEG,1.0,0,0,0,0\n"
    labels = readers.read(task, write(tmp_path, GOOD + rows))
    assert list(faults(labels, "negative_with_objects")["row"]) == [5]
    assert list(faults(labels, "negative_with_box")["row"]) == [6]
    assert list(faults(labels, "repeated_row")["row"]) == [7]
    assert set(status(labels).values()) == {"ok"}
    assert "NEG" not in set(labels.boxes["label"])
    assert list(labels.boxes.loc[labels.boxes["image_id"] == "a.jpg", "label"]) == ["Trophozoite"]


def test_read_quarantines_unknown_class(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD + "d.jpg,Platelet,1.0,1,2,3,4\n"))
    assert list(faults(labels, "unknown_class")["row"]) == [5]
    assert status(labels)["d.jpg"] == "unlabelled"


def test_read_image_of_both_tables_stays_in_test(task, tmp_path):
    labels = readers.read(task, write(tmp_path, GOOD, "a.jpg,,,,,,\n"))
    assert list(faults(labels, "absent_class")["detail"].str.contains("Trophozoite")) == [True]
    assert list(labels.images.loc[labels.images["image_id"] == "a.jpg", "subset"]) == ["test"]
    assert "a.jpg" not in set(labels.boxes["image_id"])
    assert len(faults(labels, "in_both_subsets")) == 1


def test_read_refuses_missing_column_or_table(task, tmp_path):
    with pytest.raises(DataError, match=r"no Train\.csv"):
        readers.read(task, tmp_path)
    write(tmp_path, "a.jpg,WBC\n", header="Image_ID,class\n")
    with pytest.raises(DataError, match="no column 'xmin'"):
        readers.read(task, tmp_path)


def test_read_refuses_binary_table(task, tmp_path):
    (tmp_path / "Train.csv").write_bytes(b"\x89PNG\r\n\xff\xfe\x00")
    with pytest.raises(DataError):
        readers.read(task, tmp_path)


def test_read_accepts_byte_order_mark_quotes_and_blank_lines(task, tmp_path):
    rows = '"a.jpg","Trophozoite",1.0,10,20,30,60\n\nb.jpg,WBC,1.0,1,2,3,oops\nb.jpg,WBC,1.0,1,2,3,4\n'
    (tmp_path / "Train.csv").write_bytes(("\ufeff" + HEADER + rows).encode())
    labels = readers.read(task, tmp_path)
    assert len(labels.boxes) == 2
    assert list(faults(labels, "bad_row")["row"]) == [4]


def test_read_finds_images_in_any_folder(task, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "a.jpg").touch()
    labels = readers.read(task, write(tmp_path, GOOD))
    paths = dict(zip(labels.images["image_id"], labels.images["path"], strict=True))
    assert paths["a.jpg"] == "images/deep/a.jpg"
    assert paths["b.jpg"] == "images/b.jpg"


def test_read_keeps_ids_inside_folder(task, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "secret.jpg").touch()
    labels = readers.read(task, write(raw, GOOD + "../secret.jpg,WBC,1.0,1,2,3,4\n"))
    path = labels.images.set_index("image_id").loc["../secret.jpg", "path"]
    assert path not in ImageFiles(raw)


def test_read_refuses_format_of_other_kind(settings, tmp_path):
    with pytest.raises(UsageError, match="does not suit detection"):
        readers.read(settings("smear_demo", **{"audit.format": "image_folder"}), tmp_path)


@pytest.mark.real
def test_read_real_competition_tables(settings, real_data):
    labels = readers.read(settings("malaria"), real_data / "lacuna")
    counts = labels.boxes["label"].value_counts().to_dict()
    assert counts == {"Trophozoite": 15838, "WBC": 7004}
    assert labels.images["subset"].value_counts().to_dict() == {"train": 2747, "test": 1178}
    assert labels.issues.empty
