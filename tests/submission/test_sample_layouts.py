"""The sample submission: found, read as text, its ids matched, its layout recognised and filled."""

import re

import numpy as np
import pandas as pd
import pytest

from tropho.data.formats.label_collector import read_sizes
from tropho.errors import DataError, UsageError
from tropho.submission.format_check import check_submission
from tropho.submission.label_names import LabelNames
from tropho.submission.layout import Row, write_submission
from tropho.submission.sample_file import find_sample, is_sample, read_sample
from tropho.submission.sample_layout import layout_of
from tropho.submission.target import match_ids, match_sample, rows_of
from tropho.tables import DETECTIONS


@pytest.fixture
def classifying(settings):
    """Function (classes, audit keys) -> settings of a classification."""
    return lambda **audit: settings("cells_demo", **{f"audit.{key}": value for key, value in audit.items()})


@pytest.fixture
def detecting(settings):
    """The same of a detection with the negative class NEG unless said otherwise."""

    def make(**audit):
        audit = {"negative": "NEG", "classes": None, "missing_labels": "none", **audit}
        return settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()})

    return make


def shares(classes, rows):
    """Predictions of a classification: {image_id: probabilities}."""
    table = pd.DataFrame(rows.values(), columns=[f"p_{name}" for name in classes])
    labels = [classes[int(np.argmax(row))] for row in rows.values()]
    return pd.concat([pd.DataFrame({"image_id": list(rows), "label": labels}), table], axis=1)


def filled(sample, settings, classes, predictions, matches=None):
    """The lines of the submission that a layout makes of predictions."""
    layout = layout_of(sample, settings, classes)
    assert layout.problem is None, layout.problem
    matches = matches or match_ids(sample.ids, dict.fromkeys(predictions["image_id"], "")).images
    out = sample.path.with_name("out.csv")
    write_submission(layout.fill(predictions, rows_of(sample, matches)), layout, out)
    assert check_submission(out, sample, labels=layout.labels) == []
    assert check_submission(out, sample.path, labels=layout.labels) == []
    return out.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "name",
    [
        "sample_submission.csv",
        "SampleSubmission.csv",
        "sampleSubmission.csv",
        "Sample Submission.csv",
        "sample-submission-v2.CSV",
        "submission_format.csv",
        "SAMPLE_SUBMISSION.csv",
        "sample_submission (1).csv",
        "example_submission.csv",
        "submission_sample.csv",
    ],
)
def test_find_sample_usual_names(tmp_path, name):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / name).write_text("id,label\na,0\n")
    for litter in ("__MACOSX", ".hidden"):
        (tmp_path / litter).mkdir()
        (tmp_path / litter / "sample_submission.csv").write_text("x")
    (tmp_path / "._sample_submission.csv").write_text("x")
    assert find_sample(tmp_path) == tmp_path / "deep" / "er" / name


@pytest.mark.parametrize("name", ["train.csv", "samples.csv", "submission.csv", "sample_submission.txt", "sample.csv"])
def test_is_sample_refuses_other_tables(name):
    assert not is_sample(name)


def test_find_sample_refuses_several(tmp_path):
    (tmp_path / "sub").mkdir()
    for path in (tmp_path / "sample_submission.csv", tmp_path / "sub" / "SampleSubmission.csv"):
        path.write_text("id,label\na,0\n")
    assert find_sample(tmp_path) == tmp_path / "sample_submission.csv"
    path.write_text("id,label\nb,0\n")
    with pytest.raises(DataError, match=r"sample_submission\.csv and sub/SampleSubmission\.csv.*audit\.sample"):
        find_sample(tmp_path)
    assert find_sample(tmp_path, "sub/SampleSubmission.csv") == path
    with pytest.raises(UsageError, match=r"no file 'x\.csv'"):
        find_sample(tmp_path, "x.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,label\n", "no rows"),
        ("", "no rows"),
        ("id,label,label\na,0,0\n", "columns 2 and 3 are both called 'label'"),
        ("id,label\na,0\nb\n", "row 3: 1 cells under 2 columns"),
        ('id,label\n"a"x,0\n', "can't be read"),
    ],
)
def test_read_sample_refuses_other_files(written, text, words):
    with pytest.raises(DataError, match=words):
        written(text)


@pytest.mark.parametrize("name", ["absent.csv", ""])
@pytest.mark.parametrize("read", [read_sample, read_sizes])
def test_a_table_that_is_no_file_is_refused(tmp_path, read, name):
    with pytest.raises(DataError, match=re.escape(f"There is no file {tmp_path / name}; name ")):
        read(tmp_path / name)


def test_read_sample_refuses_binary_file(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"PK\x03\xff\xfe,\n")
    with pytest.raises(DataError, match="can't be read"):
        read_sample(tmp_path / "s.csv")


def test_read_sample_keeps_text(written):
    sample = written('id,label\n007,NA\n1e5,TRUE\nNA,null\n0010,=1\n"a\nb",x\n')
    assert list(sample.ids) == ["007", "1e5", "NA", "0010", "a\nb"]
    assert sample.cells("label") == ["NA", "TRUE", "null", "=1", "x"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("id,label\na,0\n", "id"),
        ("label,id\n0,a\n", "id"),
        ("Image Name,x\na,0\n", "Image Name"),
        (",image_id,x\n0,a,0\n", "image_id"),
        ("what,x\na,0\n", "what"),
    ],
)
def test_read_sample_id_column(written, text, column):
    sample = written(text)
    assert sample.columns.image == column


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("te0000", "test/te0000.png"),
        ("te0000.png", "test/te0000.png"),
        ("test/te0000.png", "te0000.png"),
        ("test\\te0000.png", "test/te0000.png"),
        ("./te0000.png", "test/te0000.png"),
        ("TE0000.PNG", "test/te0000.png"),
        ("te0000.jpg", "test/te0000.png"),
        ("7", "test/0007.png"),
        ("0007", "test/7.png"),
        ("a/1", "deep/a/1.png"),
        ("slide.v2", "slide.v2.png"),
        ("cafe\u0301", "caf\u00e9.png"),
        (" te0 ", "te0.png"),
        ("NA", "NA.png"),
        ("name with (brackets).1", "name with (brackets).1.tif"),
    ],
)
def test_match_ids_without_folder_or_ending(text, image):
    assert match_ids([text], {image: image, "other/zz.png": "other/zz.png"}).images == {text: image}


def test_match_ids_by_path():
    assert match_ids(["images/a"], {"A": "raw/images/a.png"}).images == {"images/a": "A"}


def test_match_ids_ambiguous():
    found = match_ids(["1", "a/2"], {name: name for name in ("a/1.png", "b/1.png", "a/2.png", "b/2.png")})
    assert found.images == {"a/2": "a/2.png"}
    assert found.several == {"1": ["a/1.png", "b/1.png"]}


@pytest.mark.parametrize(
    ("ids", "images", "matched"),
    [
        (["7", "07"], ["7.png", "007.png"], {"7": "7.png"}),
        (["7", "07"], ["7.png"], {"7": "7.png"}),
        (["7", "07"], ["007.png"], {}),
        (["1e1"], ["10.png"], {}),
        (["a", "A"], ["a.png"], {"a": "a.png"}),
        (["a.png", "a"], ["a.png"], {"a.png": "a.png"}),
        (["12", "x/7"], ["y/7.png"], {"x/7": "y/7.png"}),
        (["b"], ["a.png"], {}),
        (["\u0667"], ["7.png"], {}),
    ],
)
def test_match_ids_best_id_of_an_image(ids, images, matched):
    assert match_ids(ids, {each: each for each in images}).images == matched


@pytest.mark.parametrize(
    ("text", "column", "matched"),
    [
        ("scan,id\na,1\nb,2\n", "scan", ["a", "b"]),
        ("id,label\nx,7\ny,7\n", "id", []),  # fewer ids than rows
        ("id,label\n,0\na,0\n", "id", ["a"]),
        ("id,scan\nx,a\ny,b\n", "scan", ["a", "b"]),
        ("id,scan\nx,a\ny,q\n", "scan", ["a"]),  # one of two
        ("id,scan\nx,a\ny,q\nz,r\n", "id", []),  # one of three
        ("id,scan\na,b\nz,a\n", "id", ["a"]),
    ],
)
def test_match_sample_column_that_fits(written, text, column, matched):
    images = pd.DataFrame({"image_id": ["a.png", "b.png", "7.png"], "path": ["a.png", None, "7.png"]})
    sample, found = match_sample(written(text), images)
    assert sample.columns.image == column
    assert list(found.images) == matched


@pytest.mark.parametrize(
    ("classes", "originals", "numbered", "word", "name"),
    [
        (["cat", "dog"], {}, False, "cat", "cat"),
        (["cat", "dog"], {}, False, "CAT", "cat"),
        (["no_tumor", "dog"], {}, False, "No Tumor", "no_tumor"),
        (["cafe\u0301", "dog"], {}, False, "caf\u00e9", "cafe\u0301"),
        (["Cat", "cat"], {}, False, "cat", "cat"),
        (["Cat", "cat"], {}, False, "CAT", None),
        (["healthy", "sick"], {"0": "healthy", "1": "sick"}, False, "1", "sick"),
        (["sick", "well"], {"a": "sick", "b": "sick"}, False, "a", None),
        (["0", "1", "2"], {}, False, "1.0", "1"),
        (["0", "1", "2"], {}, False, "01", "1"),
        (["cat", "dog"], {}, True, "1", "dog"),
        (["cat", "dog"], {}, True, "2", "dog"),
        (["cat", "dog"], {}, True, "3", None),
        (["cat", "dog"], {}, False, "1", None),
        (["cat", "dog"], {}, False, "p_cat", "cat"),
        (["cat", "dog"], {}, False, "cow", None),
        (["None", "NA"], {}, False, "NA", "NA"),
    ],
)
def test_match_words(classes, originals, numbered, word, name):
    assert LabelNames(classes, originals, numbered).match([word]).get(word) == name


@pytest.mark.parametrize(
    ("classes", "originals", "numbered", "shown", "expected"),
    [
        (["0", "1", "2"], {}, False, ["0"], ["0", "1", "2"]),
        (["0", "1", "2"], {}, False, ["0.0"], ["0.0", "1.0", "2.0"]),
        (["0.0", "1.0"], {}, False, ["0"], ["0", "1"]),
        (["0", "1", "12"], {}, False, ["00"], ["00", "01", "12"]),
        (["cat", "dog"], {}, False, ["CAT"], ["CAT", "DOG"]),
        (["red_cat", "dog"], {}, False, ["Red Cat"], ["Red Cat", "Dog"]),
        (["healthy", "sick"], {"0": "healthy", "1": "sick"}, False, ["0"], ["0", "1"]),
        (["healthy", "sick"], {"0": "healthy", "1": "sick"}, False, ["sick"], ["healthy", "sick"]),
        (["healthy", "sick"], {"0": "healthy", "1": "sick"}, False, [], ["0", "1"]),
        (["cat", "dog", "ant"], {}, True, ["0"], ["0", "1", "2"]),
        (["cat", "dog", "ant"], {}, True, ["3"], ["1", "2", "3"]),
    ],
)
def test_writer_follows_sample(classes, originals, numbered, shown, expected):
    namer = LabelNames(classes, originals, numbered).writer(shown)
    assert [namer(name) for name in classes] == expected


def test_layout_of_label_column(written, classifying):
    sample = written("id,label\nb,0\na,0\nc,0\n")
    predictions = shares(["0", "1", "2"], {"test/a.png": [0, 1, 0], "test/b.png": [0, 0, 1], "x.png": [1, 0, 0]})
    assert filled(sample, classifying(), ["0", "1", "2"], predictions) == ["id,label", "b,2", "a,1", "c,0"]


def test_layout_of_text_labels(written, classifying):
    sample = written("Id,Class\n007,NA\n1e5,TRUE\nNA,NA\n")
    ids = {"007.png": [1, 0], "1e5.png": [0, 1], "NA.png": [0, 1]}
    lines = filled(sample, classifying(), ["NA", "TRUE"], shares(["NA", "TRUE"], ids))
    assert lines == ["Id,Class", "007,NA", "1e5,TRUE", "NA,TRUE"]


def test_layout_of_probability_columns(written, classifying):
    sample = written("image,No Tumor,Glioma\na,0.5,0.5\nb,0.5,0.5\n")
    predictions = shares(["glioma", "no_tumor"], {"a.png": [0.25, 0.75]})
    assert filled(sample, classifying(), ["glioma", "no_tumor"], predictions) == [
        "image,No Tumor,Glioma",
        "a,0.75,0.25",
        "b,0.5,0.5",
    ]


def test_layout_of_numbered_columns(written, classifying):
    sample = written("id,0,1,bird,Usage\na,0.3,0.3,0.4,Public\n")
    settings = classifying(classes=["Parasitized", "Uninfected"])
    layout = layout_of(sample, settings, ["Parasitized", "Uninfected"])
    assert layout.problem  # "bird" is no number
    sample = written("id,0,1\na,0.5,0.5\n")
    lines = filled(
        sample, settings, ["Parasitized", "Uninfected"], shares(["Parasitized", "Uninfected"], {"a": [0.2, 0.8]})
    )
    assert lines == ["id,0,1", "a,0.2,0.8"]
    sample = written("id,cat,dog,bird,Usage\na,0.3,0.3,0.4,Public\n")
    layout = layout_of(sample, classifying(), ["cat", "cow", "dog"])
    assert [kind for kind, _ in layout.issues] == ["sample_class", "sample_class", "sample_column"]
    lines = filled(sample, classifying(), ["cat", "cow", "dog"], shares(["cat", "cow", "dog"], {"a": [0.1, 0.2, 0.7]}))
    assert lines[1] == "a,0.1,0.7,0.0,Public"


@pytest.mark.parametrize(
    ("header", "cell", "classes", "value"),
    [
        ("id,target", "0.5", ["0", "1"], "0.9"),
        ("id,target", "0.0", ["0", "1"], "0.9"),
        ("id,probability", "0", ["0", "1"], "0.9"),
        ("id,dog", "0", ["cat", "dog"], "0.9"),
        ("id,cat", "0.5", ["cat", "dog"], "0.1"),
        ("id,is_cat", "0.5", ["cat", "dog"], "0.1"),
        ("id,target", "0", ["0", "1"], "1"),
        ("id,label,confidence", "0,1", ["0", "1"], "1,0.9"),
        ("id,label", "0.0", ["0", "1", "2"], "2.0"),
        ("id,label", "1.0", ["1", "0"], "0.1"),
        ("id,label", "", ["0", "2"], "2"),
        ("id,label", "0.0", ["0.0", "1.0"], "1.0"),
    ],
)
def test_layout_of_single_value(written, classifying, header, cell, classes, value):
    sample = written(f"{header}\na,{cell}\n")
    assert filled(sample, classifying(), classes, shares(classes, {"a": [*[0.0] * (len(classes) - 2), 0.1, 0.9]})) == [
        header,
        f"a,{value}",
    ]


@pytest.mark.parametrize(
    ("text", "classes", "words"),
    [
        ("id,target\na,0.5\n", ["0", "1", "2"], "one probability, and there are 3 classes"),
        ("id,label\na,0\n", ["cat", "dog"], "list these in audit.classes"),
        ("id,label\na,ant\nb,bee\n", ["cat", "dog"], "'ant', 'bee', none of the classes cat, dog; audit.class_map"),
        ("id,ant,bee\na,0.5,0.5\n", ["cat", "dog"], "'ant', 'bee' name none of the classes"),
        ("id,label\na,cat\na,dog\n", ["cat", "dog"], "2 rows for 1 images"),
        ("id\na\n", ["cat", "dog"], "one column"),
    ],
)
def test_layout_of_unsupported_sample(written, classifying, text, classes, words):
    layout = layout_of(written(text), classifying(), classes)
    assert words in layout.problem
    assert layout.header == ["image_id", "label", *(f"p_{name}" for name in classes)]


def test_layout_of_placeholder_labels(written, classifying):
    layout = layout_of(written("id,label\na,?\n"), classifying(), ["cat", "dog"])
    assert layout.issues == [("sample_class", "column 'label' holds '?', which is no class (cat, dog).")]
    sample = written("id,label\na,cat\nb,bird\n")
    assert filled(sample, classifying(), ["cat", "dog"], shares(["cat", "dog"], {"a": [0, 1], "b": [1, 0]})) == [
        "id,label",
        "a,dog",
        "b,cat",
    ]


def test_write_submission_keeps_semicolons(written, classifying):
    sample = written("id;label\na;0\n")
    assert filled(sample, classifying(), ["0", "1"], shares(["0", "1"], {"a": [0, 1]})) == ["id;label", "a;1"]


def detections(*rows):
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


FOUND = detections(
    ("a.png", "WBC", 0.9, 10.4, 20, 30, 60.6), ("a.png", "NEG", 0.1, 0, 0, 0, 0), ("b.png", "NEG", 0.8, 0, 0, 0, 0)
)


def test_fill_boxes_by_corners(written, detecting):
    sample = written("id,xmin,ymin,xmax,ymax,label,score\nb,0,0,0,0,NEG,0.5\na,0,0,0,0,WBC,0.5\nc,0,0,0,0,NEG,0.5\n")
    assert filled(sample, detecting(), ["Trophozoite", "WBC"], FOUND) == [
        "id,xmin,ymin,xmax,ymax,label,score",
        "b,0,0,0,0,NEG,0.8",
        "a,10,20,30,61,WBC,0.9",
        "a,0,0,0,0,NEG,0.1",
        "c,0,0,0,0,NEG,0.5",
    ]


def test_fill_boxes_by_corner_and_size(written, detecting):
    sample = written("image_id,x,y,w,h,confidence\na.png,0,0,1,1,0.5\nb.png,0,0,1,1,0.5\n")
    lines = filled(sample, detecting(negative=None), ["WBC"], FOUND[FOUND["label"] == "WBC"])
    assert lines[1:] == ["a.png,10,20,20,41,0.9", "b.png,0,0,0,0,0.0"]


def test_fill_box_strings_with_labels(written, detecting):
    sample = written("image_id,PredictionString\nb,2 1 0 0 1 1\na,2 1 0 0 1 1\nc,2 1 0 0 1 1\n")
    lines = filled(sample, detecting(classes=["Trophozoite", "WBC"]), ["Trophozoite", "WBC"], FOUND)
    assert lines == [
        "image_id,PredictionString",
        "b,2 0.8 0 0 1 1",
        "a,1 0.9 10 20 30 61 2 0.1 0 0 1 1",
        "c,2 0.5 0 0 1 1",
    ]
    sample = written("image_id,PredictionString\na,WBC 0.5 0 0 1 1\nb,Trophozoite 1.0 0 0 1 1\n")
    lines = filled(sample, detecting(negative=None), ["Trophozoite", "WBC"], FOUND[FOUND["label"] == "WBC"])
    assert lines[1:] == ["a,WBC 0.9 10 20 30 61", "b,"]


def test_fill_box_strings_without_labels(written, detecting):
    sample = written("image_id,PredictionString\na,1.0 0 0 50 50\nb,1.0 0 0 50 50\n")
    lines = filled(sample, detecting(negative=None), ["WBC"], FOUND[FOUND["label"] == "WBC"])
    assert lines == ["image_id,PredictionString", "a,0.9 10 20 20 41", "b,"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,rle\na,1 2\n", "its columns are id, rle, and supported is a row a box"),
        ("id,PredictionString\na,\n", "holds nothing, and supported are"),
        ("id,PredictionString\na,1 2 3\n", "holds '1 2 3'"),
        ("id,PredictionString\na,1.0 0 0 5 5\n", "holds no label, and the classes are"),
        ("id,PredictionString\na,0 0.5 0 0 5 5\n", "list these in audit.classes"),
        ("id,class,conf,xmin,ymin,xmax,ymax\na,WBC,1,0.1,0.1,0.9,0.9\n", "shares of the image"),
    ],
)
def test_layout_of_unsupported_box_sample(written, detecting, text, words):
    assert words in layout_of(written(text), detecting(negative=None), ["Trophozoite", "WBC"]).problem


def test_layout_of_no_sample(settings, detecting):
    zindi = layout_of(None, detecting(), ["WBC"], {"Train.csv": {"image": "Image_ID", "unit": "pixels"}})
    rows = [Row("a.png", "a.png", {})]
    assert list(zindi.fill(FOUND, rows)) == ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
    for columns in (None, {"labels.csv": {"image": "filename"}}):
        assert list(layout_of(None, detecting(), ["WBC"], columns).fill(FOUND, rows)) == list(DETECTIONS)
    assert layout_of(None, settings("cells_demo"), ["x"]).header == ["image_id", "label", "p_x"]


@pytest.mark.parametrize("text", ["image_id,PredictionString\na,1.0 0 0 5 5\n", "id,confidence,x,y,w,h\na,1,0,0,0,0\n"])
def test_fill_no_rows(written, detecting, text):
    layout = layout_of(written(text), detecting(negative=None), ["WBC"])
    table = layout.fill(FOUND.iloc[:0], [])
    assert list(table) == layout.header
    assert table.empty
