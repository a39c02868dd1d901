"""The competition's CSV, read and written."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.errors import DataError
from tropho.submission.competition_csv import read_competition_csv, write_competition_csv
from tropho.tables import BOX, DETECTIONS

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax"


def table(boxes: list[list[float]], scores: list[float]) -> pd.DataFrame:
    columns = dict(zip(BOX, np.array(boxes, dtype=float).reshape(-1, 4).T, strict=True))
    return pd.DataFrame({"image_id": "NA", "label": "WBC", "score": scores, **columns}).astype(DETECTIONS)


def test_competition_csv_order_of_coordinates(tmp_path):
    path = tmp_path / "out.csv"
    write_competition_csv(table([[1.4, 2.6, 30, 40]], [0.25]), path)
    assert path.read_text().splitlines() == [HEADER, "NA,WBC,0.25,3,1,40,30"]
    assert read_competition_csv(path)[BOX].to_numpy().tolist() == [[1, 3, 30, 40]]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), *[st.integers(0, 5000)] * 4), max_size=20),
)
def test_competition_csv_round_trip_keeps_scores(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("round") / "out.csv"
    original = table([list(row[1:]) for row in rows], [row[0] for row in rows])
    write_competition_csv(original, path)
    again = read_competition_csv(path).astype(DETECTIONS)
    pd.testing.assert_frame_equal(again, original, check_exact=True)


def test_write_competition_csv_refuses_infinite_values(tmp_path):
    with pytest.raises(DataError, match="can't be submitted"):
        write_competition_csv(table([[0, 0, 1, np.nan]], [0.5]), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "can't be read"),
        (HEADER.replace("ymin", "top") + "\na,WBC,1,0,0,0,0\n", "no column 'ymin'"),
        (HEADER + "\na,WBC,1,0,0,0,0\nb,,,,,,\n", "row 3: class"),
        (HEADER + "\na,WBC,nan,0,0,0,0\n", "row 2: confidence"),
        (HEADER + "\na,WBC,1,0,x,0,0\n", "row 2: xmin"),
        (HEADER + "\n,WBC,1,0,0,0,0\n", "row 2: Image_ID"),
    ],
)
def test_read_competition_csv_names_bad_cell(tmp_path, text, words):
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_competition_csv(path)


def test_read_competition_csv_refuses_missing_file(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read_competition_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_competition_csv(tmp_path)
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="can't be read"):
        read_competition_csv(tmp_path / "image.csv")
