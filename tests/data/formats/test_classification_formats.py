"""Whole images' labels by folders and by tables: the edges of which image is of which subset and class."""

import pytest

from tropho.data.formats import readers
from tropho.errors import DataError, UsageError


@pytest.fixture
def read(settings, tmp_path):
    """Function (format, names of empty files, texts by name, audit's settings) -> labels."""

    def make(form: str, names: str = "", texts: dict[str, str] | None = None, **audit):
        for name, text in {**dict.fromkeys(names.split(), ""), **(texts or {})}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        audit = {"format": form, "classes": None, **audit}
        return readers.read(settings("cells_demo", **{f"audit.{key}": value for key, value in audit.items()}), tmp_path)

    return make


def rows(labels) -> dict[str, str]:
    table = labels.images.fillna({"label": "-"})
    return {each.image_id: f"{each.subset} {each.label} {each.status}" for each in table.itertuples()}


@pytest.mark.parametrize(
    ("names", "audit", "found"),
    [
        ("a/1.png b/2.png", {}, {"a/1.png": "train a ok", "b/2.png": "train b ok"}),
        ("a/1.png 2.png", {}, {"a/1.png": "train a ok", "2.png": "train - unlabelled"}),
        ("set/a/1.png set/2.png", {}, {"set/a/1.png": "train a ok", "set/2.png": "train - unlabelled"}),
        ("a/1.png", {}, {"a/1.png": "train a ok"}),
        ("train/a/1.png other/2.png", {}, {"train/a/1.png": "train a ok"}),
        ("train/1/a/1.png train/1/b/2.png", {}, {"train/1/a/1.png": "train 1 ok", "train/1/b/2.png": "train 1 ok"}),
        ("val/a/1.png test/2.png", {}, {"val/a/1.png": "validation a ok", "test/2.png": "test - ok"}),
        ("p/a/1.png val/b/2.png", {"train": ["p"]}, {"p/a/1.png": "train a ok"}),
        ("p/a/1.png Val/b/2.png", {"train": ["p", "Val"]},
         {"p/a/1.png": "train a ok", "Val/b/2.png": "validation b ok"}),
        ("p/a/1.png val/b/2.png", {"train": ["P"], "test": ["val"]},
         {"p/a/1.png": "train a ok", "val/b/2.png": "test - ok"}),
        ("train/a/1.png test/b/2.png", {"test": []}, {"train/a/1.png": "train a ok"}),
        ("data/a/1.png data/test/b/2.png", {"train": ["data"], "test": ["data/test"]},
         {"data/a/1.png": "train a ok", "data/test/b/2.png": "test - ok"}),
        ("data/a/1.png data/test/b/2.png", {"train": ["data"]},
         {"data/a/1.png": "train a ok", "data/test/b/2.png": "test - ok"}),
    ],
)  # fmt: skip
def test_read_class_folders(read, names, audit, found):
    assert rows(read("image_folder", names, **audit)) == found


def test_read_logs_class_folder_without_image(read):
    labels = read("image_folder", "train/a/1.png train/b/2.txt train/b/3.txt train/c/d/4.png", {}, train=["train"])
    assert labels.issues[["kind", "detail"]].to_numpy().tolist() == [
        ["empty_class", "The class folder train/b has no image: none of its 2 files ends as an image's does."]
    ]


def test_read_logs_empty_class_folder(read, tmp_path):
    (tmp_path / "a").mkdir()
    labels = read("image_folder", "b/x/1.png c/2.png")
    assert [(each.file, each.detail) for each in labels.issues.itertuples()] == [
        ("a", "The class folder a has no image: it holds no files.")
    ]
    (tmp_path / "b/deep/empty").mkdir(parents=True)
    assert len(read("image_folder").issues) == 1


def test_read_skips_subset_folder_without_image(read, tmp_path):
    (tmp_path / "train/b").mkdir(parents=True)
    labels = read("image_folder", "train/a/1.png test/a/2.png")
    assert list(labels.issues["file"]) == ["train/b"]


def test_read_refuses_folders_without_image(read):
    with pytest.raises(DataError, match=r"its files are 2 with \.txt, 1 with no ending, none of them an image"):
        read("image_folder", "a/1.txt b/2.txt LICENSE")
    with pytest.raises(UsageError, match=r"audit\.test: the data set has no 'exam' \(did you mean 'exams'"):
        read("image_folder", "train/a/1.png exams/b/1.png", test=["exam"])
    with pytest.raises(DataError, match="no class folders with training images"):
        read("image_folder", "", train=["train/a"], test=["exams"])


IMAGES = "x/1.png x/2.png x/3.png test/4.png"


@pytest.mark.parametrize(
    ("texts", "audit", "found"),
    [
        ({"train.csv": "id,label\n1,a\n2,b\n", "sample.csv": "id,label\n9,a\n"}, {},
         {"x/1.png": "train a ok", "x/2.png": "train b ok"}),
        ({"mine.csv": "id,label\n1,a\n2,b\n", "my_sample.csv": "id,label\n9,a\n"}, {},
         {"x/1.png": "train a ok", "x/2.png": "train b ok"}),
        ({"mine.csv": "id,label\n1,a\n", "submission_format.csv": "id,label\n9,a\n"}, {}, {"x/1.png": "train a ok"}),
        ({"mine.tsv": "id\tlabel\n1\ta\n", "test.tsv": "id\n4\n"}, {},
         {"test/4.png": "test - ok", "x/1.png": "train a ok"}),
        ({"mine.csv": "id,label\n1,a\n", "valid.csv": "id,label\n2,a\n"}, {},
         {"x/1.png": "train a ok", "x/2.png": "validation a ok"}),
        ({"p.csv": "id,label\n1,a\n", "val.csv": "id,label\n2,a\n"}, {"train": ["p.csv", "val.csv"]},
         {"x/1.png": "train a ok", "x/2.png": "validation a ok"}),
        ({"p.csv": "id,label\n1,a\n", "val.csv": "id,label\n2,a\n"}, {"train": ["p.csv"]}, {"x/1.png": "train a ok"}),
        ({"train.csv": "id,label,x\n1,a,\n2,b,,\n3,a,,,\n"}, {},
         {"x/1.png": "train a ok", "x/2.png": "train b ok", "x/3.png": "train a ok"}),
        ({"train.csv": "id,label\n1,a\n2\n"}, {}, {"x/1.png": "train a ok"}),
        ({"train.csv": "id,label,split\n1,a,TRAIN\n2,a,valid\n4,,testing\n"}, {},
         {"x/1.png": "train a ok", "x/2.png": "validation a ok", "test/4.png": "test - ok"}),
        ({"train.csv": "name,Diagnosis\n1,a\n"}, {}, {"x/1.png": "train a ok"}),
        ({"train.csv": "a,b,c\n1,a,test\n2,b,train\n"}, {"columns": {"image": "a", "label": "b", "subset": "c"}},
         {"x/1.png": "test - ok", "x/2.png": "train b ok"}),
        ({"train.csv": "id,label\n1,a\n", "test.csv": "id\n4\n"}, {"columns": {"label": "label"}},
         {"test/4.png": "test - ok", "x/1.png": "train a ok"}),
        ({"train.csv": "image_id,id,label\n1,7,a\n"}, {}, {"x/1.png": "train a ok"}),
    ],
)  # fmt: skip
def test_read_label_tables(read, texts, audit, found):
    assert rows(read("label_csv", IMAGES, texts, **audit)) == found


def test_read_logs_repeated_and_conflicting_rows(read):
    text = "id,label,split\n1,a,\n1,a,\n2,a,\n2,b,\n3,a,train\n3,a,val\nx,,train\n,a,train\n4,a,no\n"
    labels = read("label_csv", IMAGES, {"train.csv": text})
    assert rows(labels) == {
        "x/1.png": "train a ok",
        "x/2.png": "train a unlabelled",
        "x/3.png": "validation a ok",
        "images/x": "train - unlabelled",
    }
    told = sorted(zip(labels.issues["row"], labels.issues["detail"], strict=True))
    assert told == [
        (3, "The image has an equal row above."),
        (5, "Labelled 'b' here and 'a' above; neither is used."),
        (6, "The image is in the validation split too; it is kept for validation alone."),
        (8, "The label's cell is empty."),
        (9, "The cell id is empty."),
        (10, "'no' is neither train, validation nor test."),
    ]


def test_read_repeated_row_without_label(read):
    labels = read("label_csv", "1.png 2.png", {"test.csv": "id\n2\n2\n", "train.csv": "id,label\n1,a\n"})
    assert list(labels.issues["kind"]) == ["repeated_row"]


def test_read_logs_ambiguous_names(read):
    labels = read("label_csv", "x/1.png y/1.png 2.png", {"train.csv": "id,label\n1,a\n2,a\n"})
    assert rows(labels) == {"2.png": "train a ok"}
    assert labels.issues[["kind", "row"]].to_numpy().tolist() == [["ambiguous_name", 2]]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"train.csv": ""}, "its headings are none; name the right one"),
        ({"train.csv": "a,b\n1,2\n"}, "its headings are a, b; name the right one in audit.columns: {image: ...}"),
        ({"train.csv": "id,b\n1,2\n"}, "name the right one in audit.columns: {label: ...}"),
        ({"one.csv": "id,label\n", "two.csv": "id,label\n"}, r"\(tables: one.csv, two.csv\)"),
        ({"test.csv": "id,label\n"}, "There is no Train.csv .*; place it there"),
    ],
)
def test_read_refuses_unclear_tables(read, texts, words):
    with pytest.raises(DataError, match=words):
        read("label_csv", IMAGES, texts)
    with pytest.raises(UsageError, match="does not suit classification"):
        read("voc")
