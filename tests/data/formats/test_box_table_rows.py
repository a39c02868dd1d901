"""What each row of a table of boxes comes to: its image, its subset, its class, its fault."""

import pytest
from PIL import Image

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError

HEAD = "image,class,x1,y1,x2,y2"


@pytest.fixture
def read(settings, tmp_path):
    """Function (files, audit's settings) -> labels; pictures of 100 x 50 are drawn, others are text."""

    def make(files: dict[str, str], **audit):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".png"):
                Image.new("L", (100, 50)).save(path)
            else:
                path.write_text(text, encoding="utf-8")
        audit = {"format": "boxes_csv", "classes": None, "negative": None, **audit}
        counted = {"report.parasites": [], "report.white_cells": []}  # are named classes of the demo
        task = settings("smear_demo", **counted, **{f"audit.{key}": value for key, value in audit.items()})
        return readers.read(task, tmp_path)

    return make


def table(*rows: str, head: str = HEAD) -> str:
    return "\n".join([head, *rows]) + "\n"


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def boxes(labels) -> list[tuple]:
    return [tuple(row) for row in labels.boxes[["image_id", "label", "xmin", "ymin", "xmax", "ymax"]].to_numpy()]


def issues(labels) -> list[tuple]:
    return [(kind, row) for kind, row in zip(labels.issues["kind"], labels.issues["row"].fillna(0), strict=True)]


def test_read_logs_rows_with_image_only(read):
    rows = ["a.png,WBC,1,2,3,4", "a.png,,,,,", "b.png,,,,,", "c.png,,,,,", "c.png,WBC,1,2,3,x", "d.png,WBC,1,2,x,4"]
    labels = read({"train.csv": table(*rows)})
    assert column(labels, "status") == {"a.png": "ok", "b.png": "ok", "c.png": "unlabelled", "d.png": "unlabelled"}
    listed = {row: detail for (kind, row), detail in zip(issues(labels), labels.issues["detail"], strict=True)
              if kind == "empty_row"}  # fmt: skip
    assert listed == {
        3: "The row names an image and nothing else; it has boxes in other rows, which are kept.",
        4: "The row names an image and nothing else; it is read as one without objects.",
    }
    assert [each for each in issues(labels) if each[0] == "bad_row"] == [("bad_row", 6), ("bad_row", 7)]
    assert boxes(labels) == [("a.png", "WBC", 1, 2, 3, 4)]


def test_read_accepts_test_rows_with_image_only(read):
    labels = read({"train.csv": table("a.png,WBC,1,2,3,4"), "test.csv": "image\nt.png\n"})
    assert column(labels, "subset") == {"t.png": "test", "a.png": "train"}
    assert column(labels, "status") == {"t.png": "ok", "a.png": "ok"}
    assert labels.issues.empty


def test_read_subset_column(read):
    head = f"{HEAD},split"
    rows = ["a.png,WBC,1,2,3,4,Train", "b.png,WBC,1,2,3,4,val", "c.png,WBC,1,2,3,4,testing", "d.png,WBC,1,2,3,4,"]
    labels = read({"labels.csv": table(*rows, head=head)})
    assert column(labels, "subset") == {"c.png": "test", "b.png": "validation", "a.png": "train", "d.png": "train"}
    others = [f"{name}.png,WBC,1,2,3,4,holiday" for name in "efghi"]
    guessed = read({"labels.csv": table(*rows, *others, head=head)})
    assert set(column(guessed, "subset").values()) == {"train"}
    assert "not read: split" in guessed.notes[0]
    given = read({}, columns={"subset": "split"})
    assert issues(given) == [*(("bad_row", row) for row in range(6, 11)), *[("unlabelled", 0)] * 5]
    assert "'holiday' is neither train, validation nor test" in given.issues["detail"][0]
    assert column(given, "subset")["e.png"] == "train"


def test_read_image_of_two_subsets_takes_first(read):
    rows = ["a.png,WBC,1,2,3,4,train", "a.png,WBC,5,6,7,8,val", "b.png,WBC,1,2,3,4,train"]
    labels = read({"labels.csv": table(*rows, head=f"{HEAD},split")})
    assert column(labels, "subset") == {"a.png": "validation", "b.png": "train"}
    assert boxes(labels) == [("a.png", "WBC", 5, 6, 7, 8), ("b.png", "WBC", 1, 2, 3, 4)]
    assert issues(labels) == [("in_both_subsets", 2)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,WBC,1,2,3", "5 cells under 6 columns"),
        ("a.png,WBC,1,5,2,3,4", "7 cells under 6 columns; a comma in a number or a name belongs in quotation marks"),
    ],
)
def test_read_logs_wrong_number_of_cells(read, row, words):
    labels = read({"train.csv": table("c.png,WBC,1,2,3,4", row)})
    assert labels.issues["detail"][0].startswith(words)
    assert labels.issues["kind"][0] == "bad_row"


def test_read_ignores_empty_cells_beyond_header(read):
    text = table("a.png,WBC,1,2,3,4,,").replace(",", ";").replace("3", "3,5")
    assert boxes(read({"train.csv": text})) == [("a.png", "WBC", 1, 2, 3.5, 4)]
    labels = read({"train.csv": text + "a.png;WBC;1;2;3;4;5\n"})
    assert labels.issues["detail"].tolist() == ["7 cells under 6 columns."]


def test_read_logs_empty_class(read):
    labels = read({"train.csv": table("a.png,,1,2,3,4", "a.png,WBC,1,2,3,4")})
    assert labels.issues["detail"].tolist() == ["The cell class is empty."]
    plain = {"train.csv": table("a.png,1,2,3,4", "b.png,5,6,7,8", head="image,x1,y1,x2,y2")}
    labels = read(plain)
    assert labels.classes == ["object"]
    assert labels.notes[1:] == ["No column names the class; every box is called 'object'."]
    assert read(plain, classes=["cell"]).classes == ["cell"]


def test_read_ignores_two_classes_for_boxes_without_one(read):
    files = {"train.csv": table("a.png,1,2,3,4", head="image,x1,y1,x2,y2")}
    with pytest.raises(UsageError, match=r"audit\.classes: no label is called"):
        read(files, classes=["cell", "dust"])


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (["x", "x", "y", "y"], True),
        (["x", "y", "z", "z"], False),
        (["x", "x", "x", "x"], False),
        (["1", "1", "2", "2"], False),
        (["", "", "x", "y"], True),
        (["1,5", "1,5", "2,5", "2,5"], False),
    ],
)
def test_read_asks_about_column_of_few_texts(read, values, asked):
    rows = [f"{number}.png;1;2;3;4;{value}" for number, value in enumerate(values)]
    files = {"train.csv": table(*rows, head="image;x1;y1;x2;y2;finding")}
    if asked:
        with pytest.raises(UsageError, match="is it 'finding'"):
            read(files)
    else:
        assert read(files).classes == ["object"]


def test_read_prefers_label_column_of_text(read):
    head = "image,class_id,label,category,x1,y1,x2,y2"
    labels = read({"train.csv": table("a.png,3,,WBC,1,2,3,4", "b.png,4,,RBC,1,2,3,4", head=head)})
    assert labels.columns["train.csv"]["label"] == "category"
    labels = read({"train.csv": table("a.png,3,,7,1,2,3,4", head=head)})
    assert labels.columns["train.csv"]["label"] == "category"
    labels = read({"train.csv": table("a.png,3,,,1,2,3,4", head=head)})
    assert (labels.columns["train.csv"]["label"], labels.classes) == ("class_id", ["3"])


def test_read_prefers_image_column_with_files(read):
    head = "image_id,filename,class,x1,y1,x2,y2"
    files = {"p/a.png": "", "p/b.png": ""}
    labels = read({**files, "train.csv": table("a,x1,WBC,1,2,3,4", "b,a,WBC,1,2,3,4", head=head)})
    assert column(labels, "path") == {"a": "p/a.png", "b": "p/b.png"}
    assert "not read: filename" in labels.notes[0]


def test_read_ambiguous_names_and_ids(read):
    files = {
        "x/a.png": "",
        "y/a.png": "",
        "x/b.png": "",
        "x/t.csv": "",
        "train.csv": table("a.png,WBC,1,2,3,4", "b,RBC,1,2,3,4"),
    }
    labels = read(files)
    assert column(labels, "path") == {"b": "x/b.png"}
    assert [(kind, row) for kind, row in issues(labels)][:1] == [("ambiguous_name", 2)]
    assert labels.issues["detail"][0].endswith("Write the path instead.")
    files = {"x/train.csv": table("a.png,WBC,1,2,3,4"), "y/train.csv": table("a.png,RBC,1,2,3,4")}
    labels = read(files, train=["x/train.csv", "y/train.csv"])
    assert column(labels, "path") == {"x/a.png": "x/a.png", "y/a.png": "y/a.png"}
    assert boxes(labels) == [("x/a.png", "WBC", 1, 2, 3, 4), ("y/a.png", "RBC", 1, 2, 3, 4)]


def test_read_refuses_table_without_usable_row(read):
    with pytest.raises(
        DataError,
        match=r"No training label could be read.* of 4 issues is in train\.csv, row 2: The cell x1 holds 'p'",
    ):
        read({"train.csv": table("a.png,WBC,p,2,3,4", "b.png,WBC,q,2,3,4")})
    labels = read({"train.csv": table("a.png,WBC,1,2,3,4"), "test.csv": table("t.png,WBC,p,2,3,4")})
    assert column(labels, "subset") == {"t.png": "test", "a.png": "train"}


def test_read_notes_class_without_box(read):
    rows = ["a.png,WBC,1,2,3,4", "b.png,nothing,,,,", "c.png,WBC,,,,"]
    labels = read({"train.csv": table(*rows)})
    told = [note for note in labels.notes if "has a box" in note]
    assert told == ["No row of class 'nothing' has a box; if it says that nothing is there, set audit.negative."]
    assert read({}, negative="nothing").classes == ["WBC"]
    assert column(read({}, negative="nothing"), "status") == {"a.png": "ok", "b.png": "ok", "c.png": "unlabelled"}
    assert not [note for note in read({}, negative="nothing").notes if "has a box" in note]


def test_read_unnamed_test_folder(read):
    files = {"p/a.png": "", "test/t.png": "", "train.csv": table("a.png,WBC,1,2,3,4")}
    assert column(read(files), "subset") == {"a.png": "train", "t.png": "test"}
    assert column(read({}, test=[]), "subset") == {"a.png": "train"}
    assert column(read({"test.csv": "image\n"}), "subset") == {"a.png": "train"}


SHARES = ["a.png,WBC,0.1,0.2,0.5,1", "a.png,WBC,0,0,1,1"]


def test_read_shares_by_file_or_stated_size(read):
    labels = read({"p/a.png": "", "train.csv": table(*SHARES)})
    assert [box[2:] for box in boxes(labels)] == [(10, 10, 50, 50), (0, 0, 100, 50)]
    rows = [f"{row},{size}" for row, size in zip(SHARES, ("200,20", "0,0.5"), strict=True)]
    labels = read({"train.csv": table(*rows, head=f"{HEAD},image_width,image_height")})
    assert [box[2:] for box in boxes(labels)] == [(20, 4, 100, 20), (0, 0, 100, 50)]
    assert (column(labels, "stated_width"), column(labels, "stated_height")) == ({"a.png": 200}, {"a.png": 20})
    assert labels.columns["train.csv"]["unit"] == "shares"


def test_read_drops_share_of_missing_image(read):
    labels = read({"p/a.png": "", "train.csv": table(*SHARES, "gone.png,WBC,0.1,0.2,0.5,1")})
    assert {box[0] for box in boxes(labels)} == {"a.png"}


def test_read_logs_pixels_among_shares(read):
    rows = SHARES[:1] * 10 + ["a.png,WBC,10,20,30,40"]
    labels = read({"p/a.png": "", "train.csv": table(*rows)})
    assert len(labels.boxes) == 10
    assert labels.issues["detail"].tolist() == ["It holds 10, 20, 30, 40, where others hold shares."]
    with pytest.raises(DataError, match=r"train\.csv: 1 boxes hold shares .* and 1 pixels"):
        read({"train.csv": table(SHARES[0], "a.png,WBC,10,20,30,40")})


WIDE = "image,class,x1,y1,x2,y2,width,height"


@pytest.mark.parametrize(
    ("sizes", "stated"),
    [
        (["20,20", "10,30"], False),  # of the box
        (["21.5,18.5", "10,30"], False),
        (["21.6,20", "10,30"], True),
        (["100,50", "100,50"], True),
        (["20,20", "100,50"], True),
    ],
)
def test_read_width_and_height_beside_corners(read, sizes, stated):
    rows = ["a.png,WBC,10,10,30,30", "b.png,WBC,0,0,10,30"]
    labels = read({"train.csv": table(*(f"{row},{size}" for row, size in zip(rows, sizes, strict=True)), head=WIDE)})
    assert labels.images["stated_width"].notna().all() == stated
    assert ("image_width" in labels.columns["train.csv"]) == stated


def test_read_x_and_y_as_centre(read):
    head = "image,class,x,y,width,height"
    near = ["a.png,WBC,0.9,0.9,0.2,0.2"]
    labels = read({"p/a.png": "", "train.csv": table(*near, head=head)})
    assert boxes(labels) == [("a.png", "WBC", 80, 40, 100, 50)]
    assert labels.columns["train.csv"]["boxes"] == "cxcywh"
    with pytest.raises(DataError, match=r"set audit\.columns to {x: x, y: y} \(corner\) or {xcenter: x, ycenter: y}"):
        read({"train.csv": table("a.png,WBC,90,45,20,10", head=head)})
    labels = read({"train.csv": table("a.png,WBC,90,45,20,10", head=head)}, columns={"x": "x", "y": "y"})
    assert boxes(labels) == [("a.png", "WBC", 90, 45, 110, 55)]


def test_read_list_form_by_fit(read):
    cell = "image,class,bbox"
    labels = read({"p/a.png": "", "train.csv": table("a.png,WBC,60 20 90 40", "a.png,WBC,5 5 20 20", head=cell)})
    assert [box[2:] for box in boxes(labels)] == [(60, 20, 90, 40), (5, 5, 20, 20)]
    assert labels.columns["train.csv"]["boxes"] == "corners"
    with pytest.raises(DataError, match=r"set audit\.columns to {bbox_xywh: bbox}, {bbox_xyxy: bbox} or {bbox_cxcywh"):
        read({"train.csv": table("a.png,WBC,5 5 20 20", head=cell)})
    labels = read({"train.csv": table("a.png,WBC,5 5 20 20", "a.png,WBC,", head=cell)}, columns={"bbox_xywh": "bbox"})
    assert [box[2:] for box in boxes(labels)][:1] == [(5, 5, 25, 25)]


def test_read_forms_differ_by_cell(read):
    cells = ["a.png,WBC,\"{'x': 1, 'y': 2, 'w': 3, 'h': 4}\"", "a.png,WBC,\"{'x1': 1, 'y1': 2, 'x2': 3, 'y2': 4}\""]
    labels = read({"p/a.png": "", "train.csv": table(*cells, head="image,class,bbox")})
    assert [box[2:] for box in boxes(labels)] == [(1, 2, 4, 6), (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("names", "subsets"),
    [
        (["train.csv", "deep/train.csv"], {"a": "train"}),
        (
            ["train_labels.csv", "test_labels.csv", "valid/_annotations.csv"],
            {"a": "train", "b": "test", "c": "validation"},
        ),
        (["mine.csv", "sample.csv", "my_submission.csv"], {"a": "train"}),
        (["mine.csv"], {"a": "train"}),
        (["mine.tsv", "test_x.csv"], {"a": "train", "b": "test"}),
        (["train.csv", "val.csv"], {"a": "train", "b": "validation"}),
    ],
)
def test_find_tables_by_name(read, names, subsets):
    files = {name: table(f"{letter},WBC,1,2,3,4") for name, letter in zip(names, "abc", strict=False)}
    assert column(read(files), "subset") == subsets


def test_find_tables_of_settings(read):
    files = {
        name: table(f"{letter},WBC,1,2,3,4")
        for name, letter in zip(("p.csv", "val.csv", "test.csv"), "abc", strict=True)
    }
    assert column(read(files, train=["p.csv"]), "subset") == {"a": "train", "c": "test"}
    assert column(read({}, train=["p.csv", "val.csv"], test=[]), "subset") == {"a": "train", "b": "validation"}


def test_find_tables_refuses_two_unnamed(read):
    with pytest.raises(DataError, match=r"no Train\.csv in .* \(tables: one\.csv, two\.csv\)"):
        read({name: table("a,WBC,1,2,3,4") for name in ("one.csv", "two.csv", "test.csv")})
