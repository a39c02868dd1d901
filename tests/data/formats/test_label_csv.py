"""Tables of labels."""

from pathlib import Path

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError


@pytest.fixture
def task(settings):
    return settings("cells_demo", **{"audit.format": "label_csv"})


def place(raw: Path, *paths: str) -> None:
    for path in paths:
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).touch()


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def test_read_train_and_test_tables(task, tmp_path):
    place(tmp_path, "images/1.png", "images/2.png", "test/3.png")
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n2.png,dog\n")
    (tmp_path / "test.csv").write_text("id\n3\n")
    labels = readers.read(task, tmp_path)
    assert column(labels, "subset") == {
        "images/1.png": "train",
        "images/2.png": "train",
        "test/3.png": "test",
    }
    assert labels.classes == ["cat", "dog"]
    assert set(labels.images["status"]) == {"ok"}


def test_read_subset_column_of_one_table(task, tmp_path):
    place(tmp_path, "x/1.png", "x/2.png", "x/3.png")
    (tmp_path / "labels.csv").write_text(
        "File,Class,Split\nx/1.png,cat,train\nx/2.png,dog,Validation\nx/3.png,dog,test\n"
    )
    (tmp_path / "SampleSubmission.csv").write_text("id,label\n")
    labels = readers.read(task, tmp_path)
    assert column(labels, "subset") == {"x/1.png": "train", "x/2.png": "validation", "x/3.png": "test"}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_read_validation_table(task, tmp_path, name):
    place(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n2,dog\n")
    (tmp_path / f"{name}.csv").write_text("id,label\n2,dog\n3,cat\n")
    labels = readers.read(task, tmp_path)
    assert column(labels, "subset") == {"1.png": "train", "2.png": "validation", "3.png": "validation"}
    assert labels.issues[["kind", "file"]].to_numpy().tolist() == [["in_both_subsets", "train.csv"]]
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    assert set(column(readers.read(task, tmp_path), "subset").values()) == {"train", "validation"}
    (tmp_path / f"{name}.csv").write_text("id\n3\n")
    with pytest.raises(DataError, match=rf"{name}\.csv has no column for the label"):
        readers.read(task, tmp_path)


def test_read_logs_issues_with_line(task, tmp_path):
    place(tmp_path, *(f"{number}.png" for number in range(1, 6)))
    rows = [
        "1,cat,",
        "2,dog,",
        "3,,",
        ",cat,",
        "1,cat,",
        "2,cat,",
        "4,cat,holiday",
        "5,dog,test",
        "5,dog,train",
    ]
    (tmp_path / "train.csv").write_text("image,label,subset\n" + "\n".join(rows) + "\n")
    labels = readers.read(task, tmp_path)
    found = {(kind, row) for kind, row in zip(labels.issues["kind"], labels.issues["row"], strict=True)}
    assert {("bad_row", 4), ("bad_row", 5), ("repeated_row", 6), ("label_conflict", 7)} <= found
    assert {("bad_row", 8), ("in_both_subsets", 10)} <= found
    status = column(labels, "status")
    assert (status["1.png"], status["2.png"], status["3.png"]) == ("ok", "unlabelled", "unlabelled")
    assert column(labels, "subset")["5.png"] == "test"


@pytest.mark.parametrize("header", ["shot,label", "image,answer"])
def test_read_refuses_table_without_columns(task, tmp_path, header):
    (tmp_path / "train.csv").write_text(f"{header}\n1,cat\n")
    with pytest.raises(DataError, match="has no column"):
        readers.read(task, tmp_path)


def test_read_refuses_several_tables(task, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id,label\n1,cat\n")
    with pytest.raises(DataError, match=r"a\.csv, b\.csv"):
        readers.read(task, tmp_path)


def test_read_maps_columns_and_delimiters(settings, tmp_path):
    place(tmp_path, "1.png", "2.png")
    (tmp_path / "meta.csv").write_text("scan;dx\n1;007\n2;NA;\n1;x;y\n")
    given = {"image": "scan", "label": "dx"}
    task = settings("cells_demo", **{"audit.format": "label_csv", "audit.columns": given})
    labels = readers.read(task, tmp_path)
    assert column(labels, "label") == {"1.png": "007", "2.png": "NA"}
    assert labels.columns == {"meta.csv": {"delimiter": "semicolon", **given}}
    assert list(labels.issues["row"]) == [4]


def test_read_refuses_missing_or_repeated_headings(settings, task, tmp_path):
    place(tmp_path, "1.png")
    (tmp_path / "meta.csv").write_text("id,label,label\n1,a,b\n")
    with pytest.raises(DataError, match=r"columns 2 and 3 are both called 'label'"):
        readers.read(task, tmp_path)
    (tmp_path / "meta.csv").write_text("id,label\n1,a\n")
    task = settings("cells_demo", **{"audit.format": "label_csv", "audit.columns": {"label": "lable"}})
    with pytest.raises(UsageError, match="did you mean 'label'"):
        readers.read(task, tmp_path)
