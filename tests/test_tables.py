import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tropho.errors import DataError
from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import (
    BOX,
    BOXES,
    DETECTIONS,
    IMAGES,
    ISSUES,
    LABEL_ISSUES,
    SPLITS,
    conform,
    empty,
    join_names,
    nfc,
    read_csv,
    read_table,
    split_names,
    write_table,
)


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
    assert back["group"].tolist() == ["01", "NA"]


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


SCHEMAS = {"images": IMAGES, "boxes": BOXES, "issues": ISSUES, "splits": SPLITS, "detections": DETECTIONS}
SCHEMAS |= {"suspects": LABEL_ISSUES, "ledger": SUBMISSIONS}
NASTY = ["None", "NA", "null", "nan", "007", "1e5", "TRUE", "inf", "=1+1", '"', ",", "\n", "\r", "a\r\nb", "\t", " x "]
NASTY += ["", "'", "#", "\\", "\0", "\ufeff", "\u2028", "\x85", "\x1a", "cafe\u0301", "caf\u00e9", "日本", "<NA>", "-"]
TEXTS = st.none() | st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]))
CELLS = {
    "string": TEXTS,
    "float64": st.floats(allow_nan=False) | st.none(),
    "Int64": st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    "boolean": st.none() | st.booleans(),
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_table_survives_a_round_trip(tmp_path, name, ending, data):
    schema = SCHEMAS[name]
    rows = data.draw(st.lists(st.tuples(*(CELLS[kind] for kind in schema.values())), max_size=4))
    table = conform(pd.DataFrame(rows, columns=list(schema), dtype=object), schema)
    path = tmp_path / f"table.{ending}"
    write_table(table, path, schema)
    pd.testing.assert_frame_equal(read_table(path, schema), table, check_exact=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, unique_by=nfc))
def test_columns_named_after_classes_survive_a_round_trip(tmp_path, names):
    columns = [f"p_{name}" for name in names]
    write_table(pd.DataFrame([[0.5] * len(names)], columns=columns), tmp_path / "table.csv")
    assert read_csv(tmp_path / "table.csv", {}).columns.tolist() == columns


def test_text_is_written_as_it_is_spelled(tmp_path):
    path = tmp_path / "boxes.csv"
    table = pd.DataFrame(
        {"image_id": ["a", "b"], "label": ["=1+1", "x, y"], **dict.fromkeys(BOX, 1.0), "ignore": False}
    )
    write_table(table, path, BOXES)
    lines = path.read_bytes().decode().split("\n")
    assert lines[1].startswith("a,=1+1,1.0,")
    assert lines[2].startswith('b,"x, y",1.0,')


def test_a_text_that_is_not_unicode_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"splits\.csv holds 'a\\udcff\.png', which is not valid Unicode"):
        rows = pd.DataFrame([["a\udcff.png", "train", 0, "g"]], columns=list(SPLITS), dtype=object)
        write_table(rows, tmp_path / "splits.csv", SPLITS)
    assert not list(tmp_path.iterdir())


def test_a_repeated_column_is_refused_with_both_places(tmp_path):
    path = tmp_path / "sizes.csv"
    path.write_text("image_id,width,,height,width,\na,1,,2,3,\n")
    with pytest.raises(DataError, match=r"sizes\.csv: columns 2 and 5 are both called 'width'"):
        read_csv(path, {})


def test_joined_names_come_apart_again():
    names = ["WBC", "a+b", 'a "quoted", name', "日本", "[]", ""]
    assert split_names(join_names([*names, "WBC"])) == sorted(names)
    assert join_names(["WBC"]) == '["WBC"]'
    with pytest.raises(DataError, match="run the audit stage again"):
        split_names("WBC+Trophozoite")
