"""A table of corrections: what each action does, and what becomes of lines that match nothing."""

import pandas as pd
import pytest

from tropho.data.audit.corrections import Corrector
from tropho.data.audit.run_audit import AuditResult, audit
from tropho.data.formats.label_collector import LABELLED_BOXES, IssueLog, table_of
from tropho.errors import DataError, UsageError
from tropho.tables import BOX

HEADER = "image_id,action,label,xmin,ymin,xmax,ymax,reason\n"


BOXES = [("a", "WBC", 0, 0, 10, 10), ("a", "WBC", 50, 50, 60, 60), ("a", "Trophozoite", 20, 0, 30, 10)]


def corrected(tmp_path, *lines: str, boxed: bool = True) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Images by id, boxes and issues after these lines; image "b" has no usable label."""
    path = tmp_path / "fix.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    images = pd.DataFrame({"image_id": ["a", "b"], "label": ["WBC", None], "status": ["ok", "unlabelled"]})
    images = images.assign(width=100, height=80)
    rows = [dict(zip(["image_id", "label", *BOX], row, strict=True)) for row in BOXES]
    log = IssueLog()
    negative = "NEG" if boxed else None
    boxes = table_of(rows if boxed else [], LABELLED_BOXES)
    corrector = Corrector(images, boxes, ["Trophozoite", "WBC"], negative, boxed, "corrections/fix.csv", log)
    images, boxes = corrector.apply(path)
    return images.set_index("image_id"), boxes, log.table()


def rows_of(boxes: pd.DataFrame) -> list[tuple]:
    return [tuple(row) for row in boxes[["image_id", "label", *BOX]].to_numpy().tolist()]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("a,add,WBC,1,2,3,4,unseen", [*BOXES, ("a", "WBC", 1, 2, 3, 4)]),
        ("a,drop,WBC,0,0,10,9,stain", BOXES[1:]),
        ("a,move,WBC,52,50,64,60,", [BOXES[0], ("a", "WBC", 52, 50, 64, 60), BOXES[2]]),
        ("a,relabel,WBC,20,0,30,10,lobed", [*BOXES[:2], ("a", "WBC", 20, 0, 30, 10)]),
        ("a,set label,NEG,,,,,debris", []),
    ],
)
def test_corrector_actions_on_boxes(tmp_path, line, after):
    _, boxes, issues = corrected(tmp_path, line)
    assert rows_of(boxes) == after
    assert list(issues[["kind", "action", "file", "row"]].iloc[0]) == [
        "correction",
        "corrected",
        "corrections/fix.csv",
        2,
    ]
    assert (line.rsplit(",", 1)[1] or "moved") in issues["detail"].iloc[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,remove,WBC,0,0,10,10,", "no action 'remove' (did you mean 'move'?)"),
        ("c,drop,WBC,0,0,10,10,", "no image 'c'"),
        ("a,drop,Wbc,0,0,10,10,", "did you mean 'WBC'"),
        ("a,drop,WBC,5,0,15,10,", "No box of the image is the one to drop"),
        ("a,relabel,WBC,0,0,10,10,", "No box of the image is the one to relabel"),
        ("a,move,WBC,20,0,30,10,", "No box of the image is the one to move"),
        ("b,drop,WBC,0,0,10,10,", "No box of the image is the one to drop"),
        ("a,add,WBC,9,9,9,12,", "xmin < xmax"),
        ("a,add,WBC,1,2,,12,", "xmin < xmax"),
        ("a,add,WBC,inf,one,,12,", "needs a box of four numbers"),
        ('a,add,WBC,1,2,"9,5",12,', "needs a box of four numbers"),
        ("a,set label,WBC,,,,,", "not a label that 'set label' can use"),
    ],
)
def test_corrector_quarantines_unusable_lines(tmp_path, line, words):
    images, boxes, issues = corrected(tmp_path, "a,drop,Trophozoite,20,0,30,10,first", line)
    assert rows_of(boxes) == BOXES[:2]
    assert list(images["status"]) == ["ok", "unlabelled"]
    assert list(issues["kind"]) == ["correction", "bad_correction"]
    assert list(issues.iloc[1][["action", "file", "row"]]) == ["quarantined", "corrections/fix.csv", 3]
    assert words in issues["detail"].iloc[1]


def test_corrector_actions_on_images(tmp_path):
    images, _, _ = corrected(tmp_path, "a,exclude image,,,,,,blurred", "b,add,WBC,1,1,5,5,", boxed=True)
    assert list(images["status"]) == ["excluded", "ok"]
    images, _, issues = corrected(tmp_path, "a,set_label,Trophozoite,,,,,", "b,set label,WBC,,,,,", boxed=False)
    assert list(images["label"]) == ["Trophozoite", "WBC"]
    assert list(images["status"]) == ["ok", "ok"]
    assert "not 'WBC'" in issues["detail"].iloc[0]
    _, _, issues = corrected(tmp_path, "a,drop,WBC,0,0,10,10,", boxed=False)
    assert "this task has none" in issues["detail"].iloc[0]


def test_corrector_refuses_other_files(tmp_path):
    corrector = Corrector(pd.DataFrame(), table_of([], LABELLED_BOXES), [], None, True, "f", IssueLog())
    with pytest.raises(UsageError, match="no file"):
        corrector.apply(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("image,label\n")
    with pytest.raises(DataError, match="has no column 'image_id'"):
        corrector.apply(tmp_path / "other.csv")


def audited(settings, tmp_path, *lines: str, **overrides) -> AuditResult:
    """The audit of two images without files, with these corrections."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "corrections").mkdir()
    rows = "a.jpg,WBC,1,0,0,10,10\na.jpg,WBC,1,0,0,10,9\nb.jpg,WBC,1,5,5,5,9\n"
    (tmp_path / "raw/Train.csv").write_text("Image_ID,class,confidence,ymin,xmin,ymax,xmax\n" + rows)
    (tmp_path / "corrections/fix.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    task = settings("smear_demo", **{"audit.corrections": "corrections/fix.csv", "audit.classes": None, **overrides})
    return audit(task, tmp_path / "raw", tmp_path)


def test_audit_checks_and_merges_corrected_boxes(settings, tmp_path):
    lines = ("b.jpg,add,WBC,3,3,9,9,its box is flat", "a.jpg,add,WBC,4,4,4.5,9,thin", "z.jpg,drop,WBC,0,0,1,1,")
    result = audited(settings, tmp_path, *lines, **{"audit.merge_duplicate_boxes": True})
    assert rows_of(result.boxes) == [("a.jpg", "WBC", 0, 0, 9.5, 10), ("b.jpg", "WBC", 3, 3, 9, 9)]
    assert result.summary["corrections"] == {"applied": 2, "quarantined": 1}
    counts = result.issues["kind"].value_counts()
    assert [counts[kind] for kind in ("zero_area", "too_small", "double_box", "bad_correction")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("a.jpg,drop,WBC,0,0,9.5,10,the mean", []),
        ("a.jpg,relabel,Trophozoite,0,0,9.5,10,the mean", [("a.jpg", "Trophozoite", 0, 0, 9.5, 10)]),
        ("a.jpg,move,WBC,3,0,13,10,nearer to the wider one", [("a.jpg", "WBC", 3, 0, 13, 10)]),
        ("a.jpg,drop,WBC,0,0,9,10,as drawn", []),
    ],
)
def test_corrector_changes_all_duplicates_of_a_mean(settings, tmp_path, line, after):
    overrides = {"audit.merge_duplicate_boxes": True, "audit.classes": ["Trophozoite", "WBC"]}
    result = audited(settings, tmp_path, line, **overrides)
    assert rows_of(result.boxes) == after
    assert result.summary["corrections"] == {"applied": 1, "quarantined": 0}


def test_corrections_must_lie_in_their_folder(settings):
    with pytest.raises(UsageError, match="must be a CSV file in corrections/"):
        settings("smear_demo", **{"audit.corrections": "fix.csv"})


def test_corrector_skips_ignored_regions(tmp_path):
    path = tmp_path / "fix.csv"
    path.write_text(HEADER + "a,drop,WBC,0,0,10,10,\n")
    images = pd.DataFrame({"image_id": ["a"], "label": [None], "status": ["ok"], "width": [100], "height": [80]})
    region = dict(zip(["image_id", "label", *BOX], BOXES[0], strict=True))
    boxes = table_of([{**region, "ignore": True}], LABELLED_BOXES)
    log = IssueLog()
    _, boxes = Corrector(images, boxes, ["WBC"], "NEG", True, "corrections/fix.csv", log).apply(path)
    assert len(boxes) == 1
    assert list(log.table()["kind"]) == ["bad_correction"]


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("a,drop,x,0,0,10,5,", True),  # an IoU of one half
        ("a,drop,x,0,0,10,4.9,", False),
        ("a,move,x,9.9,0,20,10,", True),
        ("a,move,x,10,0,20,10,", False),
        ("a,relabel,y,0,0,10,5,", True),
        ("a,add,x,1,2,3,2,", False),
        ("a,add,x,1,2,1,3,", False),
        ("a,set label,NEG,x,,,,", True),
        ("a,exclude image,what,,,,,", True),
        ("b,add,x,1,2,3,4,", True),
    ],
)
def test_corrector_iou_limits(tmp_path, line, done):
    path = tmp_path / "fix.csv"
    path.write_text(f"image_id,action,label,xmin,ymin,xmax,ymax,reason\n{line}\n")
    images = pd.DataFrame(
        {"image_id": ["a", "b"], "label": None, "status": ["ok", "missing"], "width": 50, "height": 50}
    )
    log = IssueLog()
    boxes = table_of([{"image_id": "a", "label": "x", **dict(zip(BOX, (0, 0, 10, 10), strict=True))}], LABELLED_BOXES)
    images, _ = Corrector(images, boxes, ["x", "y"], "NEG", True, "fix.csv", log).apply(path)
    assert [each["kind"] for each in log.rows] == ["correction" if done else "bad_correction"]
    assert images["status"].iloc[1] == "missing"
