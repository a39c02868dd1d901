"""Tables of labels."""

from pathlib import Path

import pandas as pd
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


def test_read_maps_columns_and_delimiters(settings, tmp_path):
    place(tmp_path, "1.png", "2.png")
    (tmp_path / "meta.csv").write_text("scan;dx\n1;007\n2;NA;\n1;x;y\n")
    given = {"image": "scan", "label": "dx"}
    task = settings("cells_demo", **{"audit.format": "label_csv", "audit.columns": given})
    labels = readers.read(task, tmp_path)
    assert column(labels, "label") == {"1.png": "007", "2.png": "NA"}
    assert labels.columns == {"meta.csv": {"delimiter": "semicolon", **given}}
    assert list(labels.issues["row"]) == [4]


def test_read_calls_no_image_by_a_row_that_names_none(task, tmp_path):
    place(tmp_path, "train/1.png")
    (tmp_path / "train.csv").write_text("id,label\n1,a\n,b\n")
    issue = readers.read(task, tmp_path).issues.iloc[0]
    assert (issue["kind"], issue["row"], issue["detail"]) == ("bad_row", 3, "The cell id is empty.")
    assert issue["image_id"] is pd.NA


def test_read_numbers_as_headings(task, tmp_path):
    place(tmp_path, "1.png", "2.png")
    (tmp_path / "train.csv").write_text("id,label,0,1\n1,a,1,0\n2,b,0,1\n")
    assert column(readers.read(task, tmp_path), "label") == {"1.png": "a", "2.png": "b"}
    (tmp_path / "train.csv").write_text("id,0,1\n1,1,0\n2,0,1\n")
    with pytest.raises(DataError, match=r"has no column for the label, such as 'label'"):
        readers.read(task, tmp_path)


def test_read_refuses_missing_or_repeated_headings(settings, task, tmp_path):
    place(tmp_path, "1.png")
    (tmp_path / "meta.csv").write_text("id,label,label\n1,a,b\n")
    with pytest.raises(DataError, match=r"columns 2 and 3 are both called 'label'"):
        readers.read(task, tmp_path)
    (tmp_path / "meta.csv").write_text("id,label\n1,a\n")
    task = settings("cells_demo", **{"audit.format": "label_csv", "audit.columns": {"label": "lable"}})
    with pytest.raises(UsageError, match="did you mean 'label'"):
        readers.read(task, tmp_path)
