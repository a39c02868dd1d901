"""check_submission: each fault is found, named with its row, and nothing else is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tropho.data.formats.label_collector import read_sizes
from tropho.errors import DataError
from tropho.submission.competition_csv import write_competition_csv
from tropho.submission.format_check import FormatError, check_submission, verdict
from tropho.tables import BOX, DETECTIONS

HEADER = "Image_ID,class,confidence,ymin,xmin,ymax,xmax"
GOOD = [
    "a.jpg,NEG,0.25,0,0,0,0",
    "a.jpg,WBC,0.9,10,20,30,60",
    "b.jpg,Trophozoite,1,0,0,50,100",
    "b.jpg,NEG,0,0,0,0,0",
]
SIZES = pd.DataFrame({"image_id": ["a.jpg", "b.jpg"], "width": [100, 100], "height": [50, 50]})


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    rows = [f"{image}.jpg,{label},0.5,100,100,100,100" for image in "ab" for label in ("NEG", "Trophozoite", "WBC")]
    path = tmp_path / "SampleSubmission.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def faults_of(tmp_path: Path, sample: Path, rows: list[str], header: str = HEADER, sizes=SIZES) -> list[FormatError]:
    path = tmp_path / "submission.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return check_submission(path, sample, sizes)


def test_check_submission_accepts_good_file(tmp_path, sample):
    assert faults_of(tmp_path, sample, GOOD) == []


def test_check_submission_accepts_windows_text(tmp_path, sample):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, *GOOD, "", ""]).encode())
    assert check_submission(path, sample) == []


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("c.jpg,WBC,0.9,1,2,3,4", "Image_ID", "unknown image 'c.jpg'"),
        ("a,WBC,0.9,1,2,3,4", "Image_ID", "did you mean 'a.jpg'"),
        (",WBC,0.9,1,2,3,4", "Image_ID", "empty"),
        ("a.jpg,,0.9,1,2,3,4", "class", "empty"),
        ("a.jpg,wbc,0.9,1,2,3,4", "class", "unknown class 'wbc'"),
        ("a.jpg,Trophozoit,0.9,1,2,3,4", "class", "did you mean 'Trophozoite'"),
        ("a.jpg,WBC,,1,2,3,4", "confidence", "empty"),
        ("a.jpg,WBC,nan,1,2,3,4", "confidence", "not a finite number"),
        ("a.jpg,WBC,0.9,1,inf,3,4", "xmin", "not a finite number"),
        ("a.jpg,WBC,0.9,1,2,3,four", "xmax", "not a finite number"),
        ("a.jpg,WBC,0.9,1,2,3,1_0", "xmax", "not a finite number"),
        ("a.jpg,WBC,1.01,1,2,3,4", "confidence", "outside 0..1"),
        ("a.jpg,WBC,-0.01,1,2,3,4", "confidence", "outside 0..1"),
        ("a.jpg,WBC,0.9,4,2,3,4", "ymin", "above ymax"),
        ("a.jpg,WBC,0.9,1,5,3,4", "xmin", "above xmax"),
        ("a.jpg,WBC,0.9,1,2,3,101", "xmax", "its width is 100"),
        ("a.jpg,WBC,0.9,1,2,51,4", "ymax", "its height is 50"),
        ("a.jpg,WBC,0.9,-1,2,3,4", "ymin", "outside the image"),
        ("a.jpg,NEG,0.5,0,0,0,0", "class", "already has a NEG row, in row 2"),
        ("a.jpg,WBC,0.9,1,2,3", "", "6 cells where the header has 7"),
    ],
)
def test_check_submission_one_bad_row(tmp_path, sample, row, column, words):
    faults = faults_of(tmp_path, sample, [*GOOD, row])
    assert [(fault.row, fault.column) for fault in faults] == [(6, column)]
    assert words in faults[0].message
    assert str(faults[0]).startswith("row 6")


def test_check_submission_negative_row_with_box(tmp_path, sample):
    faults = faults_of(tmp_path, sample, ["a.jpg,NEG,0.5,0,0,7,8", *GOOD[1:]])
    assert [(fault.row, fault.column) for fault in faults] == [(2, "xmax"), (2, "ymax")]


def test_check_submission_without_sizes(tmp_path, sample):
    rows = [*GOOD, "a.jpg,WBC,0.9,1,2,9000,9000", "a.jpg,WBC,0.9,1,-2,3,4"]
    assert [fault.row for fault in faults_of(tmp_path, sample, rows, sizes=None)] == [7]


def test_check_submission_missing_image_is_last(tmp_path, sample):
    faults = faults_of(tmp_path, sample, [*GOOD[:2], "a.jpg,WBC,2,1,2,3,4"])
    assert [fault.row for fault in faults] == [4, None]
    assert "'b.jpg' is missing; it stands in row 5 of the sample" in str(faults[1])


def test_check_submission_reports_every_error(tmp_path, sample):
    rows = ["x.jpg,wbc,7,9,9,1,1"] * 50
    faults = faults_of(tmp_path, sample, rows)
    assert len(faults) == 50 * 5 + 2
    assert [fault.row for fault in faults[:-2]] == sorted(fault.row for fault in faults[:-2])


def test_check_submission_lines_after_quoted_breaks(tmp_path, sample):
    faults = faults_of(tmp_path, sample, ['"x\ny",WBC,0.9,1,2,3,4', *GOOD, "a.jpg,WBC,7,1,2,3,4"])
    assert [fault.row for fault in faults] == [2, 8]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            HEADER.replace("confidence", "confidenc"),
            [("confidence", "the column is missing"), ("", "it must be Image_ID,class,confidence,")],
        ),
        (HEADER.replace("class", "Class"), [("class", "the column is missing"), ("", "it must be")]),
        (HEADER + ",extra", [("", f"the header is {HEADER},extra; it must be {HEADER}.")]),
        ("Image_ID,class,confidence,xmin,ymin,xmax,ymax", [("", "the header is Image_ID,class,confidence,xmin")]),
    ],
)
def test_check_submission_wrong_header(tmp_path, sample, header, expected):
    rows = [row + ",1" if header.endswith("extra") else row for row in GOOD]
    faults = [fault for fault in faults_of(tmp_path, sample, rows, header, None) if fault.row == 1]
    assert [fault.column for fault in faults] == [column for column, _ in expected]
    for fault, (_, words) in zip(faults, expected, strict=True):
        assert words in fault.message


def test_verdict_ends_with_the_header_where_rows_are_wrong_too(tmp_path, sample):
    rows = ["x.jpg,wbc,7,9,9,1,1"] * 50
    assert verdict(faults_of(tmp_path, sample, rows)) == "252 fault(s); the leaderboard would refuse it."
    header = HEADER.replace("class", "Class")
    ending = f"Correct the header first: the header is {header}; it must be {HEADER}."
    assert verdict(faults_of(tmp_path, sample, rows, header)).endswith(ending)


def test_check_submission_missing_column(tmp_path, sample):
    rows = ["a.jpg,WBC,10,20,30,10", "b.jpg,NEG,0,0,0,0"]
    faults = faults_of(tmp_path, sample, rows, "Image_ID,class,ymin,xmin,ymax,xmax")
    assert [(fault.row, fault.column) for fault in faults] == [(1, "confidence"), (1, ""), (2, "xmin")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"PK\x03\x04\xff\xfe\x00\x00", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"\x00\x01\x02", ""),
        (HEADER.replace(",", ";").encode() + b"\na;WBC;1;0;0;0;0\n", "parted by ';'"),
        (b"<html><body>404</body></html>", "not CSV"),
        (b"a.jpg,NEG,0.25,0,0,0,0\n", "no header"),
    ],
)
def test_check_submission_no_csv(tmp_path, sample, content, words):
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    faults = check_submission(path, sample)
    assert faults
    assert faults[0].row == 1
    assert words in faults[0].message


def test_check_submission_broken_text(tmp_path, sample):
    path = tmp_path / "submission.csv"
    path.write_bytes("\n".join([HEADER, "a.jpg,WBC,7,1,2,3,4", '"a.jpg"x,WBC,1,1,2,3,4']).encode())
    faults = check_submission(path, sample)
    assert [fault.row for fault in faults] == [2, 3]
    assert "not CSV" in faults[1].message


def test_check_submission_header_only(tmp_path, sample):
    assert [fault.row for fault in faults_of(tmp_path, sample, [])] == [None, None]


def test_check_submission_refuses_missing_files(tmp_path, sample):
    with pytest.raises(DataError, match="is not there"):
        check_submission(tmp_path / "none.csv", sample)
    with pytest.raises(DataError, match="is a folder"):
        check_submission(tmp_path, sample)
    with pytest.raises(DataError, match="sample"):
        check_submission(sample, tmp_path / "none.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)
    with pytest.raises(DataError, match="no rows"):
        check_submission(sample, empty)


def test_check_submission_one_row_an_image(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("image_id,label,p_cat,p_dog\n1.png,cat,0.5,0.5\n2.png,dog,0.5,0.5\n")
    path = tmp_path / "submission.csv"
    path.write_text("image_id,label,p_cat,p_dog\n1.png,cow,0.5,1.5\n1.png,cat,1,0\n")
    faults = check_submission(path, sample)
    assert [(fault.row, fault.column) for fault in faults] == [
        (2, "p_dog"),
        (2, "label"),
        (3, "image_id"),
        (None, "image_id"),
    ]


def test_read_sizes_keeps_gaps(tmp_path, sample):
    path = tmp_path / "images.csv"
    path.write_text("image_id,path,width,height\na.jpg,x,10,10\nb.jpg,y,,\n")
    sizes = read_sizes(path)
    faults = faults_of(tmp_path, sample, ["a.jpg,WBC,1,0,0,5,11", "b.jpg,WBC,1,0,0,5,11"], sizes=sizes)
    assert [(fault.row, fault.column) for fault in faults] == [(2, "xmax")]
    with pytest.raises(DataError, match="width"):
        read_sizes(sample)


@pytest.mark.real
def test_check_submission_real_ids(real_data, tmp_path, rng):
    folder = real_data / "lacuna"
    ids = pd.read_csv(folder / "Test.csv")["Image_ID"].tolist()
    low = rng.uniform(0, 1000, (len(ids), 2))
    boxes = dict(zip(BOX, np.hstack([low, low + rng.uniform(10, 90, low.shape)]).T, strict=True))
    table = pd.concat(
        [
            pd.DataFrame({"image_id": ids, "label": "WBC", "score": rng.uniform(size=len(ids)), **boxes}),
            pd.DataFrame({"image_id": ids, "label": "NEG", "score": 0.3, **dict.fromkeys(BOX, 0.0)}),
        ]
    ).astype(DETECTIONS)
    write_competition_csv(table, tmp_path / "submission.csv")
    assert check_submission(tmp_path / "submission.csv", folder / "SampleSubmission.csv") == []
    write_competition_csv(table[table["image_id"] != ids[0]], tmp_path / "short.csv")
    assert len(check_submission(tmp_path / "short.csv", folder / "SampleSubmission.csv")) == 1
