"""What the sample alone allows: labels, numbers, shares, boxes in one cell, at the edges of each rule."""

from pathlib import Path

import pandas as pd
import pytest

from tropho.submission.format_check import check_submission

SIZES = pd.DataFrame({"image_id": ["a"], "width": [100.0], "height": [50.0]})


@pytest.fixture
def check(tmp_path: Path):
    """Function (header, rows of the sample, rows of the submission) -> faults as text."""

    def faults(header: str, shown: str, rows: str, labels=(), own_header: str = "") -> list[str]:
        (tmp_path / "s.csv").write_text("\n".join([header, *shown.split()]).replace("_", " "))
        (tmp_path / "out.csv").write_text("\n".join([own_header or header, *rows.split()]).replace("_", " "))
        return [str(each) for each in check_submission(tmp_path / "out.csv", tmp_path / "s.csv", SIZES, labels=labels)]

    return faults


XYWH = "id,label,score,x,y,w,h"
CORNERS = "id,label,score,xmin,ymin,xmax,ymax"


@pytest.mark.parametrize(
    ("header", "shown", "rows", "labels"),
    [
        ("id,label", "a,cat", "a,dog", ()),  # one label shown: any will do
        ("id,label", "a,cat", "a,0.5", ()),
        ("id,target", "a,0.5", "a,0.25", ()),
        ("id,PredictionString", "a,1.0_0_0_5_5", "a,", ()),
        ("id,score,kind", "a,0.5,x b,0.5,y", "a,0,q b,1,q", ()),  # a column of nothing known beside a score
        ("id,u,v", "a,x,y b,z,w", "a,q,q b,q,q", ()),
        ("id,what", "a,5 b,7", "a,0.5 b,-3", ()),  # whole numbers under an unknown name may be any number
        ("id,what", "a,0 b,1", "a,2.5 b,0", ()),
        ("id,label", "a,0.0 b,1.0", "a,0.25 b,3", ()),  # a label or a probability
        ("id,label", "a,0 b,1", "a,2 b,0", ["2"]),
        ("id,what", "a,5 b,7", "a,5 b,9", ["9"]),
        ("id,PredictionString", "a,1.0_0_0_5_5", "a,0_0_0_5_5_1_100_50_0_0", ()),
        ("id,PredictionString", "a,1.0_0_0_5_5", "a,1_0_0_100_50", ["WBC"]),
        ("id,PredictionString", "a,x_1_0_0_1_1", "a,y_0_0_0_100_50", ()),
        ("id,PredictionString", "a,x_1_0_0_1_1", "a,x_1_3_3_3_3", ["x"]),
        (CORNERS, "a,WBC,1,0,0,1,1", "a,WBC,1,7,7,7,7", ()),
        (XYWH, "a,WBC,1,0,0,1,1", "a,WBC,1,10,10,90,40", ()),
    ],
)
def test_check_submission_allows(check, header, shown, rows, labels):
    assert check(header, shown, rows, labels) == []


@pytest.mark.parametrize(
    ("header", "shown", "rows", "labels", "told"),
    [
        ("id,finding", "a,x b,y", "a,q b,x", (), ["row 2, finding: unknown class 'q'; the classes are x, y."]),
        ("id,what", "a,5 b,7", "a,cat b,1", (), ["row 2, what: 'cat' is not a finite number."]),
        ("id,label", "a,0", "a,cat", (), ["row 2, label: 'cat' is not a whole number, and the sample's labels are."]),
        ("id,label", "a,0", "a,", (), ["row 2, label: the cell is empty."]),
        ("id,label", "a,0", "a,0 a,1", (), ["row 3, id: image 'a' already stands in row 2; one row an image."]),
        ("id,label", "007,0", "007,0 7,0", (), ["row 3, id: unknown image '7'; the sample has no such image."]),
        ("id,target", "a,0.5", "a,1.5", (), ["row 2, target: 1.5 is outside 0..1."]),
        (
            "id,PredictionString",
            "a,x_1_0_0_1_1",
            "a,y_1_5_0_1_1",
            (),
            ["row 2, PredictionString: xmin 5 is above xmax 1."],
        ),
        ("id,what", "a,5 b,7", "a,5 b,8", ["9"], ["row 3, what: unknown class '8'; the classes are 5, 7, 9."]),
        ("id,label", "a,5 b,7", "a,5 b,8", (), ["row 3, label: unknown class '8'; the classes are 5, 7."]),
        ("id,label", "a,0.0 b,1.0", "a,x b,1", (), ["row 2, label: 'x' is not a finite number."]),
        ("id,score", "a,5 b,5", "a,2 b,1", (), ["row 2, score: 2 is outside 0..1."]),
        (
            CORNERS,
            "a,0.0,1,0,0,1,1 a,1.0,1,0,0,1,1",
            "a,2.0,1,0,0,1,1",
            (),
            ["row 2, label: unknown class '2.0'; did you mean '1.0'?"],
        ),
        (
            "id,PredictionString",
            "a,1.0_0_0_5_5",
            "a,1_0_x_5_5",
            (),
            ["row 2, PredictionString: '1 0 x 5 5' is not a box of 5 words, all but a label numbers."],
        ),
        (
            "id,PredictionString",
            "a,1.0_0_0_5_5",
            "a,1_90_0_11_5_1_0_40_5_11",
            (),
            [
                "row 2, PredictionString: 101 is outside the image; its width is 100.",
                "row 2, PredictionString: 51 is outside the image; its height is 50.",
            ],
        ),
        (
            "id,PredictionString",
            "a,x_1_0_0_1_1",
            "a,y_1.5_0_0_101_5",
            ["x"],
            [
                "row 2, PredictionString: unknown class 'y'; they are x.",
                "row 2, PredictionString: the confidence 1.5 is outside 0..1.",
                "row 2, PredictionString: 101 is outside the image; its width is 100.",
            ],
        ),
        (
            XYWH,
            "a,WBC,1,0,0,1,1",
            "a,WBC,1,90,?,20,?",
            (),
            [
                "row 2, y: '?' is not a finite number.",
                "row 2, h: '?' is not a finite number.",
                "row 2, xmax: 110 is outside the image; its width is 100.",
            ],
        ),
        (
            XYWH,
            "a,WBC,1,0,0,1,1",
            "a,WBC,1,?,-1,200,5",
            (),
            ["row 2, x: '?' is not a finite number.", "row 2, ymin: -1 is outside the image; it begins at 0."],
        ),
    ],
)
def test_check_submission_refuses(check, header, shown, rows, labels, told):
    assert check(header, shown, rows, labels) == told


def test_check_submission_missing_column_hides_nothing(check):
    faults = check("id,label", "a,x b,y", "q r", own_header="label")
    assert faults == [
        "row 1, id: the column is missing.",
        "row 1: the header is label; it must be id,label.",
        "row 2, label: unknown class 'q'; the classes are x, y.",
        "row 3, label: unknown class 'r'; the classes are x, y.",
    ]
    faults = check("id,PredictionString", "a,1.0_0_0_5_5", "a", own_header="id")
    assert faults[0] == "row 1, PredictionString: the column is missing."


def test_check_submission_extra_columns(check):
    assert check("id,label", "a,x", "a,x,1", own_header="id,label,more") == [
        "row 1: the header is id,label,more; it must be id,label."
    ]
