"""YOLO's text files: rows, which image they belong to, and what the configuration says."""

import pytest

from label_writers import place_at
from tropho.data.formats import readers
from tropho.data.formats.label_files import LabelFileReader
from tropho.data.formats.yolo_config import YoloConfig, find_entry, is_image_list, read_config
from tropho.errors import DataError, UsageError

ROW = "1 0.3 0.5 0.4 0.5\n"
"""Of an image of 100 x 80 pixels: 30 +- 20 and 40 +- 20."""
YAML = "names: [RBC, WBC]\nnc: 2\n"


@pytest.fixture
def read(settings, tmp_path):
    """Function (files, audit's settings) -> labels."""

    def make(files: dict[str, str], **audit):
        audit = {"format": "yolo", "classes": None, "negative": None, **audit}
        task = settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()})
        return readers.read(task, place_at(tmp_path, files))

    return make


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def boxes(labels) -> list[tuple]:
    return [tuple(row) for row in labels.boxes[["label", "xmin", "ymin", "xmax", "ymax"]].to_numpy()]


def kinds(labels) -> list[str]:
    return list(labels.issues["kind"])


@pytest.mark.parametrize(
    ("row", "box"),
    [
        ("1 0.3 0.5 0.4 0.5", ("WBC", 10, 20, 50, 60)),
        ("0 0.3 0.5 0.4 0.5", ("RBC", 10, 20, 50, 60)),
        ("1.0 0.3 0.5 0.4 0.5 0.93", ("WBC", 10, 20, 50, 60)),
        ("1 0.1 0.25 0.5 0.25 0.5 0.75", ("WBC", 10, 20, 50, 60)),
        ("1 0 0 1 0 1 1 0.5 1", ("WBC", 0, 0, 100, 80)),
        ("1 -0.01 0 1.01 0 1.01 1", ("WBC", -1, 0, 101, 80)),
        ("1 0.5 0.5 1 1", ("WBC", 0, 0, 100, 80)),
    ],
)
def test_read_row_as_box(read, row, box):
    labels = read({"data.yaml": f"train: images\n{YAML}", "images/a.png": "", "labels/a.txt": row})
    assert boxes(labels) == [box]
    assert list(labels.boxes["row"]) == [1]
    assert kinds(labels) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x 0.5 0.5 0.1 0.1", "holds what is not a number"),
        ("1 0.5 0.5 0.1", "4 numbers are neither"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers are neither"),
        ("-1 0.5 0.5 0.1 0.1", "The class number is -1"),
        ("0.5 0.5 0.5 0.1 0.1", "The class number is 0.5"),
        ("2 0.5 0.5 0.1 0.1", "Class 2 is not among the 2 class names"),
        ("1 1.02 0.5 0.1 0.1", "1.02 is not a share"),
        ("1 -0.02 0.5 0.1 0.1", "-0.02 is not a share"),
        ("1 0.5 0.5 0 0.1", "the width 0 and the height 0.1"),
        ("1 0.5 0.5 0.1 0", "the width 0.1 and the height 0"),
    ],
)
def test_read_logs_bad_row(read, row, words):
    files = {"data.yaml": f"train: images\n{YAML}", "images/a.png": "", "images/b.png": ""}
    labels = read({**files, "labels/a.txt": f"{ROW}\n{row}\n", "labels/b.txt": row})
    assert boxes(labels) == [("WBC", 10, 20, 50, 60)]
    assert column(labels, "status") == {"a.png": "ok", "b.png": "unlabelled"}
    bad = labels.issues[labels.issues["kind"] == "bad_row"]
    assert list(zip(bad["file"], bad["row"], strict=True)) == [("labels/a.txt", 3), ("labels/b.txt", 1)]
    assert all(words in detail for detail in bad["detail"])
    assert kinds(labels).count("unlabelled") == 1


def test_read_skips_key_points(read):
    files = {"data.yaml": f"train: images\nkpt_shape: [2, 3]\n{YAML}", "images/a.png": ""}
    labels = read({**files, "labels/a.txt": f"{ROW.strip()} 0.1 0.9 2 0.9 0.9 2\n{ROW}"})
    assert boxes(labels) == [("WBC", 10, 20, 50, 60)] * 2


def test_read_refuses_no_usable_row(read):
    files = {"images/a.png": "", "images/b.png": "", "labels/a.txt": "1 2 3\n", "labels/b.txt": "1 50 40 20 20\n"}
    with pytest.raises(
        DataError, match=r"No training label could be read.* issues is in labels/a\.txt, row 1: 3 numbers"
    ):
        read(files)


def test_read_unreadable_files_are_unlabelled(read, tmp_path):
    files = {"images/a.png": "", "labels/a.txt": ROW, "images/b.png": "", "labels/c.txt": ROW}
    place_at(tmp_path, files)
    (tmp_path / "labels/b.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "images/c.png").write_bytes(b"no image")
    labels = read({})
    assert column(labels, "status") == {"a.png": "ok", "b.png": "unlabelled", "c.png": "unlabelled"}
    assert kinds(labels) == ["bad_annotation"]
    assert boxes(labels) == [("1", 10, 20, 50, 60)]
    assert "classes are called by their numbers" in " ".join(labels.notes)


def test_read_image_without_label_file_is_empty(read):
    files = {f"images/{name}.png": "" for name in ("train/a", "train/b", "val/c", "test/d")}
    labels = read({**files, "labels/train/a.txt": ROW, "classes.txt": "RBC\nWBC\n"})
    assert column(labels, "subset") == {"a.png": "train", "b.png": "train", "c.png": "validation", "d.png": "test"}
    assert column(labels, "status") == {"a.png": "ok", "b.png": "ok", "c.png": "unlabelled", "d.png": "ok"}
    assert dict(zip(labels.issues["image_id"], kinds(labels), strict=True)) == {
        "b.png": "no_label_file",
        "c.png": "no_label_file",
    }
    assert labels.notes == ["Images without a label file, which are read as images without objects: 1."]
    assert labels.classes == ["WBC"]


def test_read_listed_image_without_file(read):
    files = {"train.txt": "images/a.png\nimages/gone.png\n", "images/a.png": "", "labels/a.txt": ROW}
    labels = read(files)
    assert column(labels, "path") == {"a.png": "images/a.png", "gone.png": "images/gone.png"}
    assert kinds(labels) == []


def test_read_refuses_no_label_file(read):
    with pytest.raises(DataError, match="No training label could be read"):
        read({"images/a.png": "", "images/b.png": "", "images/test/c.png": "", "labels/c.txt": ROW})


def test_read_skips_images_outside_train(read):
    files = {"train/a.png": "", "train/a.txt": ROW, "more/b.png": "", "test/t.png": ""}
    assert column(read(files), "subset") == {"a.png": "train", "t.png": "test"}


def test_read_image_of_two_lists(read):
    files = {f"img/{name}.png": "" for name in "abc"} | {"img/a.txt": ROW}
    lists = {"train.txt": "img/a.png\nimg/b.png\n", "val.txt": "img/b.png\nimg/c.png\n", "test.txt": "img/c.png\n"}
    labels = read({**files, **lists})
    assert column(labels, "subset") == {"c.png": "test", "b.png": "validation", "a.png": "train"}
    assert kinds(labels).count("in_both_subsets") == 2


def test_read_equal_train_and_val(read):
    files = {"data.yaml": f"train: images\nval: images\n{YAML}", "images/a.png": "", "labels/a.txt": ROW}
    labels = read(files)
    assert column(labels, "subset") == {"a.png": "train"}
    assert "train and val name the same images; they are used for training alone." in labels.notes


def test_read_missing_configured_folder(read):
    files = {"images/a.png": "", "labels/a.txt": ROW}
    labels = read({**files, "data.yaml": f"train: images\nval: nothing/val\n{YAML}"})
    assert list(zip(kinds(labels), labels.issues["file"], strict=True)) == [("absent_folder", "data.yaml")]
    with pytest.raises(DataError, match="no folder or list 'nothing/train' of training"):
        read({"data.yaml": f"train: nothing/train\n{YAML}"})


FOLDERS = {f"{folder}/{folder}.png": "" for folder in ("first", "val", "exam")} | {"first/first.txt": ROW}


@pytest.mark.parametrize(
    ("audit", "subsets"),
    [
        ({"train": ["first"]}, {"first.png": "train"}),
        ({"train": ["/first/"], "test": ["exam"]}, {"exam.png": "test", "first.png": "train"}),
        ({"train": ["first", "val"]}, {"val.png": "validation", "first.png": "train"}),
        ({"train": ["first"], "test": ["val"]}, {"val.png": "test", "first.png": "train"}),
        ({"train": ["."]}, {"exam.png": "train", "first.png": "train", "val.png": "train"}),
    ],
)
@pytest.mark.parametrize("config", ["", "train: exam\nval: val\n"])
def test_read_folders_of_settings(read, audit, subsets, config):
    labels = read({**FOLDERS, **({"data.yaml": f"{config}{YAML}"} if config else {})}, **audit)
    assert column(labels, "subset") == subsets


def test_read_list_as_validation(read):
    lists = {"lists/fit.txt": "first.png\n", "lists/valid.txt": "val.png\n"}
    labels = read({**FOLDERS, **lists}, train=["lists/fit.txt", "lists/valid.txt"])
    assert column(labels, "subset") == {"val.png": "validation", "first.png": "train"}


def test_read_test_folder_of_settings(read):
    files = {"train/a.png": "", "train/a.txt": ROW, "test/t.png": "", "exam/e.png": ""}
    assert column(read(files, test=["exam"]), "subset") == {"e.png": "test", "a.png": "train"}


def test_read_refuses_missing_folder_of_settings(read):
    with pytest.raises(UsageError, match=r"audit\.train: .*'frist' \(did you mean 'first'"):
        read(FOLDERS, train=["frist"])
    with pytest.raises(DataError, match="names no training images"):
        read(FOLDERS, train=[], test=["exam"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [yes, 007, null]\ntrain: x\n", {0: "yes", 1: "007", 2: "null"}),
        ("names: {0: a, 3: b}\n", {0: "a", 3: "b"}),
        ("train: x\nnc: 1\n", {}),
    ],
)
def test_read_config_names(tmp_path, text, names):
    config = read_config(place_at(tmp_path, {"set/my.yml": text}))
    assert (config.names, config.file) == (names, "set/my.yml")


@pytest.mark.parametrize("text", ["train: x\n", "nc: 2\n", "- a\n"])
def test_read_config_skips_other_yaml(tmp_path, text):
    assert read_config(place_at(tmp_path, {"hyp.yaml": text, "classes.txt": "a\nb\n"})) == YoloConfig({0: "a", 1: "b"})


def test_read_config_nearest_top(tmp_path):
    place_at(tmp_path, {"data.yaml": f"train: a\n{YAML}", "old/data.yaml": f"train: b\n{YAML}"})
    assert read_config(tmp_path).entries == {"train": ["a"]}
    place_at(tmp_path, {"set.yaml": f"train: c\n{YAML}"})
    with pytest.raises(DataError, match=r"data\.yaml and set\.yaml both describe"):
        read_config(tmp_path)


def test_read_config_root_and_key_points(tmp_path):
    place_at(tmp_path, {"d.yaml": f"path: ../x\ntrain: [a, b]\nkpt_shape: [17, 3]\n{YAML}"})
    config = read_config(tmp_path)
    assert (config.root, config.entries, config.keypoints) == ("../x", {"train": ["a", "b"]}, 51)
    place_at(tmp_path, {"d.yaml": f"train: a\nkpt_shape: [17]\n{YAML}"})
    assert (read_config(tmp_path).root, read_config(tmp_path).keypoints) == ("", 0)


@pytest.mark.parametrize(
    "files", [{"classes.txt": "a\n", "x.names": "b\n"}, {"classes.txt": "a\n", "d/names.txt": "a\nb"}]
)
def test_read_config_refuses_conflicting_names(tmp_path, files):
    with pytest.raises(DataError, match="give different class names"):
        read_config(place_at(tmp_path, files))


def test_read_config_accepts_equal_names(tmp_path):
    assert read_config(place_at(tmp_path, {"classes.txt": "a\n", "d/Classes.txt": "a\n\n"})).names == {0: "a"}


@pytest.mark.parametrize("text", ["names: [a\n", "names: {x: a}\n"])
def test_read_config_refuses_broken_file(tmp_path, text):
    with pytest.raises(DataError, match=r"d\.yaml"):
        read_config(place_at(tmp_path, {"d.yaml": text}))


@pytest.mark.parametrize(
    ("entry", "root", "found"),
    [
        ("images/train", "", "set/images/train"),
        ("../images/train", "", "set/images/train"),
        ("/content/drive/images/train", "", "set/images/train"),
        ("C:\\d\\images\\train", "", "set/images/train"),
        ("train", "images", "set/images/train"),
        ("train", "/content/images", "set/images/train"),
        ("list.txt", "", "set/list.txt"),
        ("top.txt", "", "top.txt"),
        ("note.md", "", None),
        ("images", "", "set/images"),
        ("elsewhere/images", "", "set/images"),
        ("train/images", "", None),
        ("./", "", "set"),
        (".", "lost", "set"),
        ("lost", "", None),
        ("..", "", None),
    ],
)
def test_find_entry_folder_or_list(tmp_path, entry, root, found):
    place_at(tmp_path, {"set/images/train/a.png": "", "set/list.txt": "", "top.txt": "", "set/note.md": ""})
    config = YoloConfig(file="set/data.yaml", root=root)
    assert find_entry(tmp_path, config, entry) == (found and tmp_path / found)


@pytest.mark.parametrize(
    ("text", "is_list"), [("", False), ("\n\n", False), ("a.png\n", True), ("0 0.5 0.5 1 1\n", False)]
)
def test_is_image_list_by_first_line(tmp_path, text, is_list):
    assert is_image_list(place_at(tmp_path, {"t.txt": text}) / "t.txt") == is_list


@pytest.mark.parametrize(
    ("images", "texts", "of", "kinds"),
    [
        (["images/a.png"], ["labels/a.txt"], {"images/a.png": "labels/a.txt"}, []),
        (["Images/a.png"], ["labels/a.txt"], {"Images/a.png": "labels/a.txt"}, []),
        (["images/a.png"], ["images/a.txt"], {"images/a.png": "images/a.txt"}, []),
        (["images/a.png"], ["images/a.txt", "labels/a.txt"], {"images/a.png": "labels/a.txt"}, ["repeated_image"]),
        (["images/images/a.png"], ["images/labels/a.txt"], {"images/images/a.png": "images/labels/a.txt"}, []),
        (["x/a.png"], ["x/a.txt"], {"x/a.png": "x/a.txt"}, []),
        (["x/a.png"], ["far/a.txt"], {"x/a.png": "far/a.txt"}, []),
        (["x/a.png"], ["labels/b.txt", "notes/readme.txt"], {}, ["no_image_file"]),
        (["x/a.png"], ["far/a.txt", "off/a.txt"], {}, ["ambiguous_name"]),
        (["x/a.png", "x/a.PNG"], ["x/a.txt"], {}, ["ambiguous_name"]),
        (["x/a.png", "y/a.png"], ["x/a.txt"], {"x/a.png": "x/a.txt"}, []),
    ],
)
def test_match_files_cases(settings, tmp_path, images, texts, of, kinds):
    place_at(tmp_path, dict.fromkeys([*images, *texts], ""))
    reader = LabelFileReader(settings("smear_demo"), tmp_path)
    reader.match_files(texts)
    assert reader.file_of == of
    assert [issue["kind"] for issue in reader.log.rows] == kinds
    assert reader.disputed == (set(images) if "ambiguous_name" in kinds else set())
