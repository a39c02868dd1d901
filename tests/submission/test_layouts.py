"""Layouts of samples: what is read, matched and written, at the edges of what is supported."""

import pandas as pd
import pytest

from tropho.data.formats.label_collector import read_sizes
from tropho.errors import DataError
from tropho.submission.layout import Layout
from tropho.submission.sample_layout import layout_of
from tropho.submission.target import Matches, Target, rows_of, without_ending


def classified(classes: list[str], *rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame([row[2:] for row in rows], columns=[f"p_{name}" for name in classes])
    return table.assign(image_id=[row[0] for row in rows], label=[row[1] for row in rows])


@pytest.mark.parametrize(
    ("text", "header", "cells"),
    [
        ("id;label\na;cat\n", ["id", "label"], ["a", "cat"]),
        ("id\tlabel\na\tcat\n", ["id", "label"], ["a", "cat"]),
        ("id,la;bel\na,cat\n", ["id", "la;bel"], ["a", "cat"]),
    ],
)
def test_read_sample_delimiter(written, text, header, cells):
    found = written(text)
    assert (found.header, found.rows[0]) == (header, (2, cells))


def test_read_sample_lines_and_ids(written):
    found = written('label,id\n"x\ny",a\n\nz,\nz,b\nz,a\n')
    assert found.ids == {"a": 2, "b": 6}
    assert found.nameless == [5]
    assert found.columns.others == []
    with pytest.raises(DataError, match="row 5: 1 cells under 2 columns"):
        written('label,id\n"x\ny",a\n\nz\n')


def test_fill_image_without_predictions(written, settings):
    found = written("id,label,cat,dog,score,what\nb,cat,0,1,0,k\na,cat,0,1,0,l\n")
    layout = layout_of(found, settings("cells_demo", **{"audit.classes": None}), ["cat", "dog", "ant", "bee"])
    predictions = classified(["cat", "dog", "ant", "bee"], ("a.png", "ant", 0.1, 0.2, 0.6, 0.1))
    table = layout.fill(predictions, rows_of(found, {"a": "a.png"}))
    assert table.to_dict("list") == {
        "id": ["b", "a"], "label": ["cat", "ant"], "cat": [0.25, 0.1], "dog": [0.25, 0.2], "score": [0.0, 0.0],
        "what": ["k", "l"],
    }  # fmt: skip
    assert layout.sentence.startswith(
        "'id' the image, 'label' the class (cat, dog, ant, bee), 'cat' the probability of cat"
    )
    assert [detail for kind, detail in layout.issues if "left out" in detail] == [
        f"There is no column for class '{name}'; it is left out." for name in ("ant", "bee")
    ]


@pytest.mark.parametrize(
    ("count", "told"), [(10, "'c0' the probability of c0"), (11, "11 columns the probability of a class")]
)
def test_sentence_counts_many_columns(written, settings, count, told):
    names = [f"c{n}" for n in range(count)]
    found = written(f"id,{','.join(names)}\na,{','.join(['0'] * count)}\n")
    assert told in layout_of(found, settings("cells_demo", **{"audit.classes": None}), names).sentence


def detections(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "label", "score", "xmin", "ymin", "xmax", "ymax"]).astype(
        {"image_id": "string", "label": "string"}
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0,0,1,1\n", None),
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0.5,0,2,2\n", None),
        ("id,conf,xmin,ymin,xmax,ymax\na,1,0,0,1,1\n", "its columns are"),
        ("id,class,xmin,ymin,xmax,ymax\na,WBC,0,0,1,1\n", "its columns are"),
        ("id,PredictionString\na,WBC 1 0 0 1 1\n", None),
        ("id,PredictionString\na,1 0 0 1 1\n", "holds no label"),
    ],
)
def test_layout_of_box_samples(written, settings, text, problem):
    task = settings("smear_demo", **{"audit.negative": None, "audit.classes": None, "audit.missing_labels": "none"})
    layout = layout_of(written(text), task, ["RBC", "WBC"])
    assert (layout.problem is None) if problem is None else (problem in layout.problem)
    one = layout_of(written(text), task, ["WBC"])
    assert one.problem is None or problem == "its columns are"


def test_fill_boxes_in_sample_order(written, settings):
    task = settings("smear_demo", **{"audit.negative": None, "audit.classes": None, "audit.missing_labels": "none"})
    found = written("id,x,y,w,h,score,what\nb,0,0,1,1,1,k\na,0,0,1,1,1,l\nc,0,0,1,1,1,m\n")
    layout = layout_of(found, task, ["WBC"])
    boxes = detections(("A", "WBC", 0.9, 1, 2, 4, 6), ("Z", "WBC", 0.8, 0, 0, 9, 9), ("B", "WBC", 0.7, 0, 0, 2, 3))
    table = layout.fill(boxes, rows_of(found, {"a": "A", "b": "B"}))
    assert table.to_numpy().tolist() == [
        ["b", 0, 0, 2, 3, 0.7, "k"], ["a", 1, 2, 3, 4, 0.9, "l"], ["c", 0, 0, 0, 0, 0.0, "m"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names", "shown"),
    [
        ("id,label\na,0\n", ["x/a.png", "x/b.png", "y/c.jpg"], ["a", "x/b", "y/c"]),
        ("id,label\na,0\n", ["b.png", "b.jpg"], ["b.png", "b.jpg"]),
        ("id,label\na.png,0\nb,1\n", ["c.png"], ["c.png"]),
        (None, ["c.png"], ["c.png"]),
    ],
)
def test_rows_of_files_that_the_sample_need_not_name(written, text, names, shown):
    target = Target(written(text) if text else None, Matches(), Layout(header=[]))
    assert [(row.image, row.image_id) for row in target.rows_of_files(names)] == list(zip(shown, names, strict=True))


def test_without_ending():
    assert [without_ending(each) for each in ("a.PNG", "a.v2", "a")] == ["a", "a.v2", "a"]


@pytest.mark.parametrize(("cell", "words"), [("x", "to float: 'x'"), ("12,5", "no table"), ("", None)])
def test_read_sizes_refuses_text(tmp_path, cell, words):
    (tmp_path / "s.csv").write_text(f"image_id,width,height\na,1,2\nb,{cell},4\n")
    if words:
        with pytest.raises(DataError, match=words):
            read_sizes(tmp_path / "s.csv")
    else:
        assert read_sizes(tmp_path / "s.csv")["width"].isna().tolist() == [False, True]
