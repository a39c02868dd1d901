"""Names of files, ids and classes, and the layouts of samples, at the edges of what they may mean."""

import numpy as np
import pandas as pd
import pytest

from tropho.errors import DataError
from tropho.formats.box_layouts import string_groups, string_size
from tropho.formats.image_files import ImageFiles, Match, NamedFiles, same_path
from tropho.formats.label_names import LabelNames
from tropho.formats.layout import layout_of, rows_like, rows_of
from tropho.formats.layout_parts import are_probabilities, are_whole, number, written_labels
from tropho.formats.name_search import MANY, climb, fold, is_absolute, parts_of, resolved
from tropho.formats.sample import read_sample
from tropho.formats.sample_ids import match_ids, with_matches, without_ending
from tropho.formats.sizes import read_sizes
from tropho.formats.subset_folders import subset_of_path


@pytest.mark.parametrize(
    ("paths", "name", "folder", "subset", "meant"),
    [
        # the nearest folder
        ("a/x.png a/b/x.png", "x.png", "a/b", "", "a/b/x.png"),
        ("a/x.png x.png", "x.png", "a/b", "", "a/x.png"),
        ("labels/x.png images/x.png", "x.png", "labels", "", "labels/x.png"),
        ("labels/deep/x.png images/x.png", "x.png", "labels", "", "images/x.png"),
        ("data/deep/x.png images/x.png", "x.png", "data", "", "data/deep/x.png"),
        # folders of the subset, and of another
        ("train/x.png test/x.png", "x.png", "", "test", "test/x.png"),
        ("all/x.png test/x.png", "x.png", "", "test", "test/x.png"),
        ("all/x.png train/x.png test/y.png", "x.png", "", "test", "all/x.png"),
        ("train/x.png test/y.png", "train/x.png", "labels", "test", "train/x.png"),
        ("train/a/x.png test/y.png", "a/x.png", "", "test", "a/x.png"),
        ("test/train/x.png test/y.png", "x.png", "", "test", "test/x.png"),
        # shared folders, then spelling, masks and folders of images
        ("p/a/x.png p/b/x.png", "q/a/x.png", "", "", "p/a/x.png"),
        ("p/a/x.png q/a/x.png", "q/a/x.png", "", "", "q/a/x.png"),
        ("a/x.PNG a/x.png", "x.png", "", "", "a/x.png"),
        ("a/x.png a/x.png.png", "x.png", "", "", "a/x.png"),
        ("a/X.png a/x.jpg", "x", "", "", "a/x.jpg"),
        ("masks/x.png other/x.png", "x.png", "", "", "other/x.png"),
        ("other/x.png img/x.png", "x.png", "", "", "img/x.png"),
        ("images/train/x.png images/old/x.png", "x.png", "labels/train", "", "images/train/x.png"),
        ("A/x.png a/x.png", "A/x.png", "", "", "A/x.png"),
        # none
        ("a/x.png", "y.png", "", "", "images/y.png"),
        ("a/x.png", "b/y.png", "", "", "b/y.png"),
        ("a/x.png", "/b/y.png", "", "", "images/y.png"),
        ("a/x.png", "..", "", "", "images/.."),
        ("pool/val/x.png val/x.png", "y.png", "", "validation", "pool/val/y.png"),
        ("pool/val/x.png pool/labels/x.png val/x.png", "y.png", "pool/labels", "validation", "pool/val/y.png"),
    ],
)
def test_the_file_that_is_nearest_to_what_a_name_says(paths, name, folder, subset, meant):
    assert NamedFiles(paths.split()).find(name, folder, subset).path == meant


@pytest.mark.parametrize("folder", ["", "d7", "d7/labels", "labels"])
@pytest.mark.parametrize("count", [MANY - 1, MANY, MANY + 1])
def test_many_files_of_one_name_are_told_apart_as_few_are(folder, count):
    files = NamedFiles([f"d{n}/images/x.png" for n in range(count)])
    assert files.find("d7/images/x.png", folder).path == "d7/images/x.png"
    assert files.find("d3\\images\\X.PNG", "").path == "d3/images/x.png"
    assert files.find("x.png", "").ambiguous
    assert files.find("x.png", "d7").path == "d7/images/x.png"
    assert files.find("x.png", "d7/labels").path == "d7/images/x.png"


def test_an_ambiguous_name_tells_two_files_and_how_many_more():
    assert Match("", ("a", "b")).detail("x").startswith("'x' may mean a or b; its")
    assert Match("", ("a", "b", "c")).detail("x").startswith("'x' may mean a or b (and 1 more); its")
    assert [Match("", tuple("abc"[:n])).found for n in range(3)] == [False, True, False]
    assert [Match("", tuple("abc"[:n])).ambiguous for n in range(3)] == [False, False, True]


def test_paths_and_their_parts():
    assert parts_of("file:///C:/a/./b//c.png") == ("a", "b", "c.png")
    assert parts_of(" D:\\a\\b.png ") == ("a", "b.png")
    assert [is_absolute(each) for each in ("/a", "\\a", "C:\\a", "file:a", "a/b", "C:a")] == [True] * 4 + [False] * 2
    assert resolved(("..", "a", "x"), "p/q") == ("p", "a", "x")
    assert resolved(("a", "..", "x"), "p/q") == ("x",)
    assert resolved(("..", "..", "..", "x"), "p") == ("x",)
    assert resolved(("a", "x"), "p/q") == ("a", "x")
    assert [climb("a/b", each) for each in ("a/b/x", "a/x", "x", "a/b/c/x", "c/b/x")] == [0, 1, 2, 0, 2]
    assert fold(" CAF\u00c9 ") == fold("cafe\u0301")
    assert subset_of_path("test/train/x.png") == "train"
    assert subset_of_path("val/images/train.png") == "validation"
    assert same_path("A\\b", ["a/b", "a/B", "c"]) == ["a/b", "a/B"]
    assert same_path("a/b", ["a/b", "a/B"]) == ["a/b"]


def test_images_and_what_is_left_aside(tmp_path):
    for name in ("a.png", "b.txt", ".c.png", "d/.e/f.png", "g/h.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = ImageFiles(tmp_path)
    assert (files.paths, files.left_aside, files.folders) == (["a.png", "g/h.png"], ["b.txt"], ["d", "g"])
    assert "a.png" in files
    assert "b.txt" not in files


@pytest.mark.parametrize(
    ("classes", "column", "positive"),
    [
        (["cat", "dog"], "cat_or_dog", "dog"),
        (["cat", "dog"], "Dog score", "dog"),
        (["uninfected", "infected"], "y", "infected"),
        (["yes", "no"], "y", "yes"),
        (["no", "maybe"], "y", "maybe"),
        (["none", "normal"], "y", "normal"),
        (["tumor", "notumor"], "y", "tumor"),
        (["without cells", "with cells"], "y", "with cells"),
        (["northern", "southern"], "y", "southern"),
    ],
)
def test_the_class_that_one_probability_is_of(classes, column, positive):
    assert LabelNames(classes).positive(column) == positive


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cat", "CAT"], {"cat": "cat"}),
        (["Cat", "CAT"], {}),
        (["p_cat", "dog"], {"p_cat": "cat", "dog": "dog"}),
        (["cat", "p_cat"], {"cat": "cat"}),
        (["bird"], {}),
    ],
)
def test_a_class_has_one_column_or_none(words, found):
    assert LabelNames(["cat", "dog"]).match_once(words) == found


@pytest.mark.parametrize(
    ("shown", "matched"),
    [
        (["0", "1", "2"], "cat dog ant"),
        (["1", "2", "3"], "cat dog ant"),
        (["1", "2"], "dog ant"),
        (["3"], "ant"),
        (["0", "3"], ""),
        (["4"], ""),
        (["1.5"], ""),
        (["1", "x"], ""),
    ],
)
def test_numbers_are_places_from_0_or_from_1(shown, matched):
    names = LabelNames(["cat", "dog", "ant"], {}, numbered=True)
    assert list(names.match(shown).values()) == matched.split()


def test_labels_in_the_files_that_became_one_class_name_none():
    names = LabelNames(["x", "y"], {"a": "x", "b": "x", "c": "y", "d": None})
    assert names.match(["a", "c", "d"]) == {"c": "y"}
    assert [names.original(each) for each in ("x", "y", "z")] == ["x", "c", "z"]
    assert names.namer(["c"])("y") == "c"
    assert LabelNames(["cat", "dog"]).namer(["CAT", "dog"])("cat") == "CAT"


def test_labels_as_they_are_written_and_what_is_listed():
    names = LabelNames(["cat", "dog"])
    assert written_labels(["cat", "cow"], names, "it") == (
        {"cat": "cat", "dog": "dog"}, [("sample_class", "it holds 'cow', which is no class (cat, dog).")]
    )  # fmt: skip
    assert written_labels(["?"], names, "it")[1] == [("sample_class", "it holds '?', which is no class (cat, dog).")]
    told = written_labels([*"vwxyz", "cat"], names, "it")[1][0][1]
    assert "'z', which" in told
    assert "'y', ..., which" in written_labels([*"uvwxyz", "cat"], names, "it")[1][0][1]


@pytest.mark.parametrize(
    ("cells", "whole", "probable"),
    [
        ([], False, False),
        (["0", "1"], True, True),
        (["0.0", "1e0"], False, True),
        (["1.01"], False, False),
        (["-0.1"], False, False),
        (["\u00b2"], False, False),
        (["1_0"], False, False),
        ([" 7 "], True, False),
    ],
)
def test_cells_that_are_whole_numbers_or_probabilities(cells, whole, probable):
    assert (are_whole(cells), are_probabilities(cells)) == (whole, probable)


def test_a_cell_that_is_no_number_is_none():
    assert np.isnan([number("1_000"), number("x"), number("")]).all()
    assert number("-1e3") == -1000


@pytest.mark.parametrize(
    ("cells", "size"),
    [
        (["1 0 0 5 5"], 5),
        (["0.0 0 0 5 5", "0.5 0 0 5 5 1.0 1 1 2 2"], 5),
        (["x 1 0 0 5 5"], 6),
        (["x 1.1 0 0 5 5"], None),
        (["1.1 0 0 5 5"], None),
        (["x 1 0 0 inf 5"], None),
        ([], None),
        (["1 2 3"], None),
        ([" ".join(["1"] * 30)], None),
    ],
)
def test_words_of_each_box(cells, size):
    assert string_size(cells) == size
    assert string_groups("a b c", 2) == [["a", "b"], ["c"]]


@pytest.fixture
def sample(tmp_path):
    """Function (text) -> the sample that a file of this text holds."""

    def write(text: str):
        (tmp_path / "sample_submission.csv").write_text(text)
        return read_sample(tmp_path / "sample_submission.csv")

    return write


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
def test_what_parts_the_cells_of_a_sample(sample, text, header, cells):
    found = sample(text)
    assert (found.header, found.rows[0]) == (header, (2, cells))


def test_lines_and_ids_of_a_sample(sample):
    found = sample('label,id\n"x\ny",a\n\nz,\nz,b\nz,a\n')
    assert found.ids == {"a": 2, "b": 6}
    assert found.nameless == [5]
    assert found.columns.others == []
    with pytest.raises(DataError, match="row 5: 1 cells under 2 columns"):
        sample('label,id\n"x\ny",a\n\nz\n')


def test_images_without_predictions_say_least(sample, settings):
    found = sample("id,label,cat,dog,score,what\nb,cat,0,1,0,k\na,cat,0,1,0,l\n")
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
def test_many_columns_are_told_by_their_number(sample, settings, count, told):
    names = [f"c{n}" for n in range(count)]
    found = sample(f"id,{','.join(names)}\na,{','.join(['0'] * count)}\n")
    assert told in layout_of(found, settings("cells_demo", **{"audit.classes": None}), names).sentence


def detections(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "label", "score", "xmin", "ymin", "xmax", "ymax"]).astype(
        {"image_id": "string", "label": "string"}
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0,0,1,1\n", None),
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0.5,0,1,1\n", "shares of the image"),
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0.5,0,2,2\n", None),
        ("id,conf,xmin,ymin,xmax,ymax\na,1,0,0,1,1\n", "its columns are"),
        ("id,class,xmin,ymin,xmax,ymax\na,WBC,0,0,1,1\n", "its columns are"),
        ("id,PredictionString\na,WBC 1 0 0 1 1\n", None),
        ("id,PredictionString\na,1 0 0 1 1\n", "holds no label"),
    ],
)
def test_samples_of_boxes(sample, settings, text, problem):
    task = settings("smear_demo", **{"audit.negative": None, "audit.classes": None, "audit.protocol": "none"})
    layout = layout_of(sample(text), task, ["RBC", "WBC"])
    assert (layout.problem is None) if problem is None else (problem in layout.problem)
    one = layout_of(sample(text), task, ["WBC"])
    assert one.problem is None or problem in ("shares of the image", "its columns are")


def test_boxes_in_the_order_of_the_sample(sample, settings):
    task = settings("smear_demo", **{"audit.negative": None, "audit.classes": None, "audit.protocol": "none"})
    found = sample("id,x,y,w,h,score,what\nb,0,0,1,1,1,k\na,0,0,1,1,1,l\nc,0,0,1,1,1,m\n")
    layout = layout_of(found, task, ["WBC"])
    boxes = detections(("A", "WBC", 0.9, 1, 2, 4, 6), ("Z", "WBC", 0.8, 0, 0, 9, 9), ("B", "WBC", 0.7, 0, 0, 2, 3))
    table = layout.fill(boxes, rows_of(found, {"a": "A", "b": "B"}))
    assert table.to_numpy().tolist() == [
        ["b", 0, 0, 2, 3, 0.7, "k"], ["a", 1, 2, 3, 4, 0.9, "l"], ["c", 0, 0, 0, 0, 0.0, "m"]
    ]  # fmt: skip


def test_ids_of_images_that_a_sample_does_not_name(sample):
    bare, ended = sample("id,label\na,0\n"), None
    names = {"x/a.png": "a", "x/b.png": "", "y/c.jpg": ""}
    assert [row.image for row in rows_like(bare, names)] == ["a", "x/b", "y/c"]
    assert [row.image for row in rows_like(bare, {"b.png": "", "b.jpg": ""})] == ["b.png", "b.jpg"]
    ended = sample("id,label\na.png,0\nb,1\n")
    assert [row.image for row in rows_like(ended, {"c.png": ""})] == ["c.png"]
    assert [without_ending(each) for each in ("a.PNG", "a.v2", "a")] == ["a", "a.v2", "a"]


@pytest.mark.parametrize(
    ("ids", "images", "matched"),
    [
        (["a", "A"], ["a.png"], {"a": "a.png"}),
        (["a.png", "a"], ["a.png"], {"a.png": "a.png"}),
        (["7", "007"], ["07.png"], {}),
        (["12", "x/7"], ["y/7.png"], {"x/7": "y/7.png"}),
        (["b"], ["a.png"], {}),
        (["\u0667"], ["7.png"], {}),
    ],
)
def test_ids_and_the_image_that_each_means_best(ids, images, matched):
    assert match_ids(ids, {each: each for each in images}).images == matched


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("id,scan\nx,a\ny,b\n", "scan"),  # both of its ids fit
        ("id,scan\nx,a\ny,q\n", "scan"),  # one of two
        ("id,scan\nx,a\ny,q\nz,r\n", "id"),  # one of three
        ("id,scan\nx,a\ny,a\n", "id"),  # fewer ids than rows
        ("id,scan\na,b\nz,a\n", "id"),
    ],
)
def test_another_column_counts_if_half_of_its_ids_fit(sample, text, column):
    images = pd.DataFrame({"image_id": ["a.png", "b.png"], "path": ["a.png", None]})
    assert with_matches(sample(text), images)[0].columns.image == column


@pytest.mark.parametrize(("cell", "words"), [("x", "row 3: width 'x'"), ("12,5", "no table"), ("", None)])
def test_sizes_that_are_no_numbers(tmp_path, cell, words):
    (tmp_path / "s.csv").write_text(f"image_id,width,height\na,1,2\nb,{cell},4\n")
    if words:
        with pytest.raises(DataError, match=words):
            read_sizes(tmp_path / "s.csv")
    else:
        assert read_sizes(tmp_path / "s.csv")["width"].isna().tolist() == [False, True]
