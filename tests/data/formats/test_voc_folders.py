"""Pascal VOC: which folder tells which subset, which annotation an image has, what one annotation says."""

from contextlib import nullcontext
from xml.etree import ElementTree

import pytest

from tropho.data.formats import readers
from tropho.data.formats.voc import corners_of, lines_of_objects, read_annotation
from tropho.errors import DataError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
OBJECT = f"<object><name>RBC</name>{BOX}</object>"


def xml(*parts: str) -> str:
    return f"<annotation>{''.join(parts or (OBJECT,))}</annotation>"


@pytest.fixture
def read(settings, tmp_path):
    """Function (names of files, texts by name, audit's settings) -> labels; an XML file holds one box."""

    def make(names: str = "", texts: dict[str, str] | None = None, **audit):
        for name, text in {**dict.fromkeys(names.split(), ""), **(texts or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text or (xml() if name.lower().endswith(".xml") else ""))
        audit = {"format": "voc", "classes": None, "negative": None, **audit}
        task = settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()})
        return readers.read(task, tmp_path)

    return make


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def kinds(labels) -> list[str]:
    return list(labels.issues["kind"])


@pytest.mark.parametrize(
    ("names", "subsets"),
    [
        ("a.png a.xml b.png b.XML", {"a.png": "train", "b.png": "train"}),
        ("train/a.png train/a.xml valid/b.png valid/b.xml test/c.png test/c.xml",
         {"c.png": "test", "b.png": "validation", "a.png": "train"}),
        ("train/annotations/a.xml train/images/a.png test/annotations/b.xml test/images/b.png",
         {"b.png": "test", "a.png": "train"}),
        ("annotations/a.xml images/train/a.png annotations/b.xml images/test/b.png",
         {"b.png": "test", "a.png": "train"}),
        ("Annotations/a.xml JPEGImages/a.png test/t.png", {"a.png": "train", "t.png": "test"}),
        ("x/annotations/a.xml x/a.png y/annotations/b.xml y/b.png", {"a.png": "train", "b.png": "train"}),
        ("Annotations/a.xml a.png annotations/readme.txt", {"a.png": "train"}),
    ],
)  # fmt: skip
def test_read_subsets_by_folder(read, names, subsets):
    labels = read(names)
    assert column(labels, "subset") == subsets
    assert set(column(labels, "status").values()) == {"ok"}


def test_read_refuses_test_images_alone(read):
    with pytest.raises(DataError, match=r"names no training images; name their folder or list in audit\.train"):
        read("test/a.png test/a.xml")


def test_read_test_list_beside_folders(read):
    names = "a.xml b.xml c.xml a.png b.png c.png test/d.png test/d.xml"
    labels = read(names, {"exam.txt": "b\n"}, test=["exam.txt"])
    assert column(labels, "subset") == {"b.png": "test", "a.png": "train", "c.png": "train"}
    assert len(labels.boxes) == 3


LISTED = "a.xml b.xml c.xml d.xml a.png b.png c.png d.png"


@pytest.mark.parametrize(
    ("lists", "audit", "subsets"),
    [
        ({"train": "a", "val": "b", "test": "c"}, {}, {"c": "test", "b": "validation", "a": "train"}),
        ({"train": "a", "val": "b", "trainval": "a b"}, {}, {"b": "validation", "a": "train"}),
        ({"trainval": "a b"}, {}, {"a": "train", "b": "train"}),
        (
            {"train": "a", "trainval": "a b d", "val": "b c"},
            {},
            {"b": "validation", "c": "validation", "a": "train", "d": "train"},
        ),
        ({"val": "b"}, {}, {"b": "validation"}),
        ({"trainval": "a b", "val": "b"}, {"train": ["trainval"]}, {"a": "train", "b": "train"}),
        ({"trainval": "a b", "val": "b"}, {"train": ["trainval", "val"]}, {"b": "validation", "a": "train"}),
        ({"train": "a", "test": "c", "exam": "d"}, {"test": ["exam"]}, {"d": "test", "a": "train"}),
        ({"train": "a", "test": "c"}, {"test": []}, {"a": "train"}),
    ],
)
def test_read_split_files(read, lists, audit, subsets):
    home = "ImageSets/Main"
    texts = {f"{home}/{name}.txt": "\n".join(stems.split()) for name, stems in lists.items()}
    audit = {key: [f"{home}/{name}.txt" for name in names] for key, names in audit.items()}
    labels = read(LISTED, texts, **audit)
    assert column(labels, "subset") == {f"{stem}.png": subset for stem, subset in subsets.items()}
    assert set(kinds(labels)) <= {"in_both_subsets"}


def test_read_split_files_of_settings(read):
    labels = read(LISTED, {"mine.txt": "a\nc\n", "val.txt": "d\n"}, train=["mine.txt", "val.txt"])
    assert column(labels, "subset") == {"d.png": "validation", "a.png": "train", "c.png": "train"}


def test_read_refuses_split_files_without_training_image(read):
    with pytest.raises(DataError, match="names no training images"):
        read(LISTED, {"ImageSets/Main/train.txt": "\n", "ImageSets/Main/test.txt": "a\n"})


@pytest.mark.parametrize(
    ("names", "lines", "images"),
    [
        ("a.xml a.png b.xml b.png", "a 1\nb -1\n", ["a.png", "b.png"]),
        ("a.xml a.png b.xml b.png", "a  0\nb\n", ["a.png", "b.png"]),
        ("", "", []),
        ("a.xml a.png", "a.png\nsub\\a.png\na.xml\n", ["a.png"]),
    ],
)
def test_read_strips_flags(read, names, lines, images, tmp_path):
    if not lines:  # names that end as a flag does
        for name in ("a 1.xml", "a 1.png", "b 1.xml", "b 1.png"):
            (tmp_path / name).write_text(xml() if name.endswith("xml") else "")
        lines, names, images = "a 1\nb 1\n", "", ["a 1.png", "b 1.png"]
    labels = read(names, {"ImageSets/Main/train.txt": lines})
    assert list(labels.images["image_id"]) == images


def test_read_image_by_content_of_annotation(read):
    texts = {"Annotations/1.xml": xml("<filename>cell.png</filename>", OBJECT)}
    assert column(read("JPEGImages/cell.png", texts), "path") == {"cell.png": "JPEGImages/cell.png"}
    texts["Annotations/1.xml"] = xml("<filename>other.png</filename>", OBJECT)
    with pytest.raises(DataError, match="No training label could be read"):
        read("", texts)


def test_read_annotation_beside_its_image(read):
    labels = read("x/a.png x/a.xml y/a.png y/a.xml y/b.png y/b.xml")
    assert column(labels, "path") == {"x/a.png": "x/a.png", "y/a.png": "y/a.png", "b.png": "y/b.png"}
    assert sorted(labels.boxes["file"]) == ["x/a.xml", "y/a.xml", "y/b.xml"]


def test_read_ambiguous_images_and_annotations(read):
    texts = {"ImageSets/Main/train.txt": "a\nb\nc\n"}
    files = "x/a.png y/a.png Annotations/a.xml Annotations/b.xml b.png"
    labels = read(f"{files} Annotations/c.xml Annotations/d/c.xml c.png", texts)
    assert kinds(labels)[0] == "ambiguous_name"
    assert "b.png" in column(labels, "status")
    assert "a.png" not in column(labels, "status")


def test_read_nearest_annotation_of_an_image(read):
    labels = read("p/a.xml p/q/a.xml p/a.png b.xml b.png")
    assert list(labels.boxes["file"]) == ["b.xml", "p/a.xml"]
    assert list(zip(kinds(labels), labels.issues["file"], strict=True)) == [("repeated_image", "p/q/a.xml")]


def test_read_unlabelled_test_images(read):
    texts = {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/test.txt": "b\nc\n"}
    labels = read("Annotations/a.xml a.png b.png c.png", texts)
    assert column(labels, "status") == {"b.png": "ok", "c.png": "ok", "a.png": "ok"}
    assert kinds(labels) == []
    labels = read("Annotations/b.xml")
    assert column(labels, "status") == {"b.png": "ok", "c.png": "unlabelled", "a.png": "ok"}
    assert kinds(labels) == ["no_label_file"]


@pytest.mark.parametrize(
    ("objects", "status", "boxes", "faults"),
    [
        ((OBJECT,), "ok", 1, 0),
        ((OBJECT, "<object><name>RBC</name></object>"), "ok", 1, 1),
        ((OBJECT, f"<object>{BOX}</object>"), "ok", 1, 1),
        (("<object><name>RBC</name></object>",), "unlabelled", 0, 1),
        ((f"<object>{BOX}</object>",), "unlabelled", 0, 1),
        (("<size/>",), "ok", 0, 0),
    ],
)
def test_read_usable_objects(read, objects, status, boxes, faults):
    labels = read("good.xml good.png a.png", {"a.xml": xml(*objects)})
    assert column(labels, "status") == {"a.png": status, "good.png": "ok"}
    assert (len(labels.boxes), kinds(labels).count("bad_row")) == (boxes + 1, faults)


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        (BOX, (1, 2, 30, 40)),
        ("<polygon><x1>5</x1><y1>6</y1><x2>9</x2><y2>1</y2><x3>2</x3><y3>3</y3></polygon>", (2, 1, 9, 6)),
        (f"{BOX}<polygon><x1>5</x1><y1>6</y1><x2>9</x2><y2>1</y2><x3>2</x3><y3>3</y3></polygon>", (1, 2, 30, 40)),
        ("<polygon><x1>5</x1><y1>6</y1><x2>9</x2><y2>1</y2></polygon>", None),
        ("<polygon><x1>5</x1><y1>6</y1><x2>9</x2><y2>1</y2><x3>2</x3></polygon>", None),
        ("<polygon><x1>5</x1><y1>6</y1><x2>9</x2><y2>1</y2><x3>2</x3><y3>n</y3></polygon>", None),
        ("<bndbox><xmin>1</xmin><ymin>inf</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>", None),
        ("", None),
    ],
)
def test_corners_of_box_or_polygon(text, corners):
    found = corners_of(ElementTree.fromstring(f"<object>{text}</object>"))
    assert (found and tuple(found.values())) == corners


@pytest.mark.parametrize(
    ("text", "words"),
    [("<annotation>", "Not readable as XML"), ("<svg/>", "its element is <svg>"), ("<ANNOTATION/>", "")],
)
def test_read_annotation_refuses_other_xml(tmp_path, text, words):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=words) if words else nullcontext():
        read_annotation(tmp_path / "a.xml")


def test_lines_of_objects(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation>\n<object></object>\n<!-- <object> --></annotation>")
    assert lines_of_objects(tmp_path / "a.xml", 1) == [None]
    (tmp_path / "b.xml").write_text("<annotation><object>\n</object>\n<object\n/></annotation>")
    assert lines_of_objects(tmp_path / "b.xml", 2) == [1, 3]
