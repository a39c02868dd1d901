"""COCO: which file is of which subset, which image a number means, what becomes of annotations."""

import json

import pytest

from tropho.data.formats import readers
from tropho.data.formats.coco import box_of
from tropho.errors import DataError

BOX = {"bbox": [1, 2, 30, 40], "category_id": 7}


@pytest.fixture
def read(settings, tmp_path):
    """Function (files, audit's settings) -> labels; a file's content is JSON's, of an image ""."""

    def make(files: dict, **audit):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content) if content != "" else "")
        audit = {"format": "coco", "classes": None, "negative": None, **audit}
        task = settings("smear_demo", **{f"audit.{key}": value for key, value in audit.items()})
        return readers.read(task, tmp_path)

    return make


def coco(images: dict | str, *annotations: dict, **more) -> dict:
    """COCO's content: images by number, or named by words and numbered from 1, each of these with a box."""
    if isinstance(images, str):
        images = dict(enumerate(images.split(), 1))
        annotations = annotations or tuple({"image_id": number} for number in images)
    return {
        "images": [{"id": number, "file_name": name, **more} for number, name in images.items()],
        "annotations": [{"id": place, **BOX, **each} for place, each in enumerate(annotations)],
        "categories": [{"id": 7, "name": " RBC "}],
    }


def column(labels, name: str) -> dict[str, str]:
    return dict(zip(labels.images["image_id"], labels.images[name], strict=True))


def kinds(labels) -> list[str]:
    return list(labels.issues["kind"])


@pytest.mark.parametrize(
    ("names", "audit", "subsets"),
    [
        ("mine", {}, {"a": "train"}),
        ("mine test", {}, {"b": "test", "a": "train"}),
        ("training_x testing", {}, {"b": "test", "a": "train"}),
        ("values test", {}, {"b": "test", "a": "train"}),
        ("valset mine", {}, {"a": "validation"}),
        ("train mine", {}, {"a": "train"}),
        ("val/labels train/labels test/labels", {}, {"c": "test", "a": "validation", "b": "train"}),
        ("mine other", {"train": ["mine.json"]}, {"a": "train"}),
        ("mine test", {"train": ["mine.json"]}, {"b": "test", "a": "train"}),
        ("mine test", {"train": ["mine.json"], "test": []}, {"a": "train"}),
        ("mine train", {"train": ["mine.json"]}, {"a": "train"}),
        ("mine val", {"train": ["mine.json", "val.json"]}, {"b": "validation", "a": "train"}),
        ("train exam test", {"test": ["exam.json"]}, {"b": "test", "a": "train"}),
        ("train mine", {"train": ["train.json"], "test": ["mine.json"]}, {"b": "test", "a": "train"}),
    ],
)
def test_read_subset_of_each_file(read, names, audit, subsets):
    files = {f"{name}.json": coco(letter) for name, letter in zip(names.split(), "abc", strict=False)}
    labels = read(files, **audit)
    assert column(labels, "subset") == subsets
    if not audit:
        assert kinds(labels) == ["other_file"] * (len(files) - len(subsets))


@pytest.mark.parametrize("names", ["mine other", "test"])
def test_read_refuses_no_training_file(read, names):
    with pytest.raises(DataError, match=r"is named for training \(there are .*json\)"):
        read({f"{name}.json": coco("a") for name in names.split()})


def test_read_skips_other_json(read):
    labels = read({"train.json": coco("a"), "config.json": {"x": 1}})
    assert labels.issues[["kind", "file"]].to_numpy().tolist() == [["other_file", "config.json"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": [1]}, "no list 'images'"),
        ({"images": None}, "no list 'images'"),
        ({"categories": []}, "annotations but no list 'categories'"),
    ],
)
def test_read_refuses_training_file_of_other_layout(read, change, words):
    with pytest.raises(DataError, match=words):
        read({"train.json": {**coco("a"), **change}})


def test_read_file_without_annotations(read):
    labels = read({"train.json": coco("a"), "test.json": {"images": [{"id": 1, "file_name": "t"}]}})
    assert column(labels, "status") == {"t": "ok", "a": "ok"}


def test_read_compares_ids_as_text(read):
    content = coco({7: "a", "8": "b", 9.0: "c", 9.5: "d"}, *({"image_id": each} for each in ("7", 8.0, " 9", "9.5")))
    labels = read({"train.json": content})
    assert sorted(labels.boxes["image_id"]) == ["a", "b", "c", "d"]
    assert set(labels.boxes["label"]) == {"RBC"}


@pytest.mark.parametrize(
    ("stated", "kept"), [("64", 64), (64.0, 64), (0, None), ("x", None), (None, None), (1e999, None)]
)
def test_read_stated_sizes(read, stated, kept):
    found = read({"train.json": coco({1: "a"}, {"image_id": 1}, width=stated)}).images["stated_width"][0]
    assert found == kept or (kept is None and found is not None and str(found) == "<NA>")


def test_read_drops_ambiguous_ids_and_names(read):
    images = {"p/a.png": "", "p/b.png": "", "p/c.png": "", "x/d.png": "", "y/d.png": "", "x/e.png": "", "y/e.png": ""}
    content = coco({1: "a.png", 2: "c.png", 3: "p/c.png", 4: "d.png", 5: "e.png", 6: "b.png"})
    content["images"].append({"id": 1, "file_name": "b.png"})
    content["annotations"] = [{"id": n, "image_id": n, **BOX} for n in range(1, 7)]
    labels = read({**images, "train.json": content})
    assert column(labels, "status") == {"b.png": "ok"}
    assert list(labels.boxes["image_id"]) == ["b.png"]
    told = labels.issues["detail"].tolist()
    assert len(told) == 4
    assert "'p/c.png' and 'c.png' both mean p/c.png; their labels are not used." in told
    assert "The id 1 is that of p/a.png and p/b.png; its labels are used for neither." in told


def test_read_marks_image_without_usable_annotation(read):
    annotations = [{"image_id": 1}, {"image_id": 1, "category_id": 8}, {"image_id": 2, "bbox": None}, {"image_id": 9}]
    labels = read({"train.json": coco({1: "a", 2: "b", 3: "c"}, *annotations)})
    assert column(labels, "status") == {"a": "ok", "b": "unlabelled", "c": "ok"}
    assert labels.issues["detail"].tolist() == [
        "Annotation 1 has a category that is not in the file's list.",
        "Annotation 2 has neither a box nor an outline.",
        "Annotation 3 is of image 9, unknown.",
        "None of its annotations can be used, so its labels are unknown.",
    ]


@pytest.mark.parametrize(("flag", "ignored"), [(1, True), ("1.0", True), (True, True), (0, False), (None, False)])
def test_read_ignores_crowds(read, flag, ignored):
    labels = read({"train.json": coco({1: "a"}, {"image_id": 1}, {"image_id": 1, "iscrowd": flag})})
    assert sorted(labels.boxes["ignore"]) == [False, ignored]
    assert kinds(labels) == ["crowd"] * ignored


def test_read_image_missing_in_one_of_two_jobs(read):
    """job2 names 1.png and 2.png and holds 1.png alone: its 2.png is missing, not job1's."""
    images = {"job1/images/1.png": "", "job1/images/2.png": "", "job2/images/1.png": ""}
    files = {f"job{job}/annotations/train.json": coco("1.png 2.png") for job in (1, 2)}
    labels = read({**images, **files})
    assert sorted(labels.images["path"]) == [
        "job1/images/1.png",
        "job1/images/2.png",
        "job2/annotations/2.png",
        "job2/images/1.png",
    ]
    assert len(labels.boxes) == 4


def test_read_shares_images_far_from_all_files(read):
    files = {f"job{job}/train.json": coco("1.png 2.png") for job in (1, 2)}
    labels = read({"images/1.png": "", "images/2.png": "", **files})
    assert sorted(labels.images["path"]) == ["images/1.png", "images/2.png"]


@pytest.mark.parametrize(
    ("bbox", "outline", "corners"),
    [
        ([3, 3, 0, 5], [10, 10, 20, 10, 20, 30], (10, 10, 20, 30)),
        ([3, 3, 5, 0], [10, 10, 20, 10, 20, 30], (10, 10, 20, 30)),
        ([3, 3, 5, 6], [10, 10, 20, 10, 20, 30], (3, 3, 8, 9)),
        ([3, 3, 0, 5], None, (3, 3, 3, 8)),
        (None, [10, 10, 20, 10, 20, 30, 7], None),
        (None, [10, 10, 20, 10], None),
        (None, [10, 10, 20, 10, 20, 30], (10, 10, 20, 30)),
        ([1, 2, 3], None, None),
    ],
)
def test_box_of_bbox_without_area(bbox, outline, corners):
    found = box_of({"bbox": bbox, "segmentation": outline})
    assert (found and tuple(found.values())) == corners
