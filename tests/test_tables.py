import pandas as pd
import pytest

from tropho.errors import DataError
from tropho.tables import BOXES, IMAGES, SPLITS, conform, empty, read_table, write_table


@pytest.mark.parametrize("schema", [IMAGES, BOXES, SPLITS])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_empty_table_survives_a_round_trip(tmp_path, schema, ending):
    path = tmp_path / f"table.{ending}"
    write_table(empty(schema), path, schema)
    table = read_table(path, schema)
    assert table.empty
    assert {name: str(kind) for name, kind in table.dtypes.items()} == schema


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_ids_that_look_like_numbers_stay_text(tmp_path, ending):
    path = tmp_path / f"splits.{ending}"
    table = pd.DataFrame({"image_id": ["007", "1e3"], "subset": "train", "fold": [0, 1], "group": ["01", "NA"]})
    write_table(table, path, SPLITS)
    back = read_table(path, SPLITS)
    assert back["image_id"].tolist() == ["007", "1e3"]
    assert back["group"].tolist()[0] == "01"


def test_floats_survive_csv_exactly(tmp_path, rng):
    path = tmp_path / "boxes.csv"
    values = rng.random((50, 4)) * 4000
    table = pd.DataFrame(values, columns=["xmin", "ymin", "xmax", "ymax"]).assign(image_id="a", label="b")
    write_table(table, path, BOXES)
    assert (read_table(path, BOXES)[["xmin", "ymin", "xmax", "ymax"]].to_numpy() == values).all()


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"boxes\.csv has no column 'label'"):
        conform(pd.DataFrame({"image_id": ["a"]}), BOXES, "boxes.csv")


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="dvc repro"):
        read_table(tmp_path / "images.csv", IMAGES)
