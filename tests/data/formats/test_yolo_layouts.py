"""YOLO's folders as tools write them give the same images and boxes."""

import pytest

from label_writers import place_at
from tropho.data.formats import readers

BOX = ("WBC", 10, 20, 50, 60)
ROW = "1 0.3 0.5 0.4 0.5\n"


@pytest.fixture
def read(settings, tmp_path):
    """Function (files) -> labels."""

    def make(files: dict[str, str]):
        place_at(tmp_path, files)
        audit = {"audit.format": "yolo", "audit.classes": None, "audit.negative": None}
        return readers.read(settings("smear_demo", **audit), tmp_path)

    return make


def boxes_of(labels) -> dict[str, tuple]:
    return {box.image_id: (box.label, box.xmin, box.ymin, box.xmax, box.ymax) for box in labels.boxes.itertuples()}


YAML = "names: [Trophozoite, WBC]\nnc: 2\n"
TRIO = ("train", "val", "test")


def listed(template: str) -> str:
    """data.yaml with the template filled in for each subset."""
    return "\n".join(template.format(subset) for subset in TRIO) + "\n"


def lists(template: str, prefix: str = "") -> dict[str, str]:
    """train.txt, val.txt and test.txt, each with the names of two images."""
    return {f"{prefix}{subset}.txt": "".join(f"{template}{subset}{n}.png\n" for n in (0, 1)) for subset in TRIO}


NAMES = "Trophozoite\nWBC\n"
OTHER_MACHINE = {"d/data.yaml": f"path: /content/drive\n{listed('{0}: /x/{0}/images')}{YAML}"}
BY_NUMBER = {"data.yaml": listed("{0}: {0}") + "names: {0: Trophozoite, 1: WBC}\n"}
LAYOUTS: dict[str, tuple[str, str, dict[str, str]]] = {  # folders of a subset's images and labels; other files
    "ultralytics": ("images/{}", "labels/{}", {"x.yaml": f"path: ../datasets/x\n{listed('{0}: images/{0}')}{YAML}"}),
    "roboflow": ("{}/images", "{}/labels", {"data.yaml": listed("{0}: ../{0}/images") + YAML}),
    "other_machine": ("{}/images", "{}/labels", OTHER_MACHINE),
    "windows": ("{}/images", "{}/labels", {"data.yaml": listed("{0}: [C:\\d\\{0}\\images]") + YAML}),
    "names_by_number": ("{}/images", "{}/labels", BY_NUMBER),
    "no_yaml": ("{}/images", "{}/labels", {"classes.txt": NAMES}),
    "beside": ("data/{}", "data/{}", {"classes.names": NAMES}),
    "lists": ("img", "txt", {"data.yaml": listed("{0}: {0}.txt") + YAML, **lists("./img/")}),
    "lists_alone": ("img", "txt", {"classes.txt": NAMES, **lists("D:\\y\\img\\")}),
    "cvat": (
        "obj_train_data",
        "obj_train_data",
        {"obj.data": "train = data/train.txt\n", "obj.names": NAMES, **lists("data/obj_train_data/")},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read_gives_equal_labels_for_any_layout(read, layout):
    images, texts, files = LAYOUTS[layout]
    for subset in TRIO:
        for n, text in enumerate((ROW, "")):
            files |= {f"{images.format(subset)}/{subset}{n}.png": "", f"{texts.format(subset)}/{subset}{n}.txt": text}
    labels = read(files)
    subsets = {"train": "train", "val": "validation", "test": "test"}
    assert dict(zip(labels.images["image_id"], labels.images["subset"], strict=True)) == {
        f"{name}{n}.png": subset for name, subset in subsets.items() for n in range(2)
    }
    assert set(labels.images["status"]) == {"ok"}
    assert boxes_of(labels) == {f"{subset}0.png": BOX for subset in TRIO}
    assert labels.issues.empty


def test_read_never_takes_the_labels_of_another_image(read):
    files = {"job1/images/0.png": "", "job2/images/0.png": "", "job1/images/1.png": ""}
    labels = read(files | dict.fromkeys(("job1/labels/0.txt", "job2/labels/0.txt", "job2/labels/9.txt"), ROW))
    assert boxes_of(labels) == {f"job{job}/images/0.png": ("1", *BOX[1:]) for job in (1, 2)}
    assert sorted(labels.issues["kind"]) == ["no_image_file", "no_label_file"]


def test_read_image_without_label_file_beside_a_folder_of_labels_for_training(read):
    labels = read({"images/a.png": "", "images/b.png": "", "train_labels/a.txt": ROW})
    found = {(image.path, image.subset, image.status) for image in labels.images.itertuples()}
    assert found == {("images/a.png", "train", "ok"), ("images/b.png", "train", "ok")}


def test_read_image_without_label_file_beside_labels_of_two_subsets_is_of_neither(read):
    files = {"train_labels/a.txt": ROW, "val_labels/b.txt": ROW}
    labels = read({**{f"images/{name}.png": "" for name in "abc"}, **files})
    assert dict(zip(labels.images["image_id"], labels.images["subset"], strict=True)) == {
        "a.png": "train",
        "b.png": "validation",
    }
