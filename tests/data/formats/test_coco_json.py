"""COCO's JSON files."""

import json
from pathlib import Path

import numpy as np
import pytest

from tropho.data.formats import readers
from tropho.data.formats.coco import box_of
from tropho.errors import DataError


@pytest.fixture
def task(settings):
    return settings("smear_demo", **{"audit.format": "coco", "audit.classes": None, "audit.negative": None})


def content(names: list[str], annotations: list[dict]) -> dict:
    images = [{"id": 10 + i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(names)]
    return {
        "images": images,
        "annotations": [{"id": i, "category_id": 7, "iscrowd": 0, **each} for i, each in enumerate(annotations)],
        "categories": [{"id": 7, "name": "RBC"}, {"id": 3, "name": "WBC"}],
    }


def write(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_read_converts_width_and_height_to_corners(task, tmp_path):
    write(
        tmp_path / "annotations/instances_train2017.json",
        content(["a.jpg"], [{"image_id": 10, "bbox": [1, 2, 30, 40]}]),
    )
    labels = readers.read(task, tmp_path)
    box = labels.boxes.iloc[0]
    assert [box["xmin"], box["ymin"], box["xmax"], box["ymax"]] == [1, 2, 31, 42]
    assert box["label"] == "RBC"
    assert labels.images.iloc[0]["stated_width"] == 64


def test_read_usual_files(task, tmp_path):
    box = [{"image_id": 10, "bbox": [1, 2, 30, 40]}]
    for subset in ("train", "val", "test"):
        write(tmp_path / f"annotations/instances_{subset}.json", content([f"{subset}.jpg"], box))
    labels = readers.read(task, tmp_path)
    subsets = dict(zip(labels.images["image_id"], labels.images["subset"], strict=True))
    assert subsets == {"train.jpg": "train", "val.jpg": "validation", "test.jpg": "test"}


def test_read_validation_by_name_or_setting(settings, task, tmp_path):
    box = [{"image_id": 10, "bbox": [1, 2, 30, 40]}]
    write(tmp_path / "annotations/instances_train2017.json", content(["a.jpg", "b.jpg"], box))
    write(tmp_path / "annotations/instances_val2017.json", content(["b.jpg", "c.jpg"], box))
    keys = {"audit.format": "coco", "audit.classes": None, "audit.negative": None}
    keys["audit.train"] = [f"annotations/instances_{name}2017.json" for name in ("train", "val")]
    for each in (task, settings("smear_demo", **keys)):
        labels = readers.read(each, tmp_path)
        subsets = dict(zip(labels.images["image_id"], labels.images["subset"], strict=True))
        assert subsets == {"a.jpg": "train", "b.jpg": "validation", "c.jpg": "validation"}
        assert list(labels.issues["kind"]) == ["in_both_subsets"]


def test_read_ids_of_shared_names_are_paths(task, tmp_path):
    box = [{"image_id": 10, "bbox": [1, 2, 30, 40]}]
    for subset in ("train", "test"):
        write(tmp_path / subset / "_annotations.coco.json", content(["1.jpg", f"{subset}.jpg"], box))
        for name in ("1.jpg", f"{subset}.jpg"):
            (tmp_path / subset / name).touch()
    labels = readers.read(task, tmp_path)
    subsets = dict(zip(labels.images["image_id"], labels.images["subset"], strict=True))
    expected = {"train/1.jpg": "train", "train.jpg": "train", "test/1.jpg": "test", "test.jpg": "test"}
    assert subsets == expected
    assert set(labels.boxes["image_id"]) == {"train/1.jpg", "test/1.jpg"}


def test_read_logs_issues(task, tmp_path):
    annotations = [
        {"image_id": 10, "bbox": [1, 2, 30, 40]},
        {"image_id": 10, "bbox": [1, 2, None, 40]},
        {"image_id": 10, "bbox": [1, 2, 30]},
        {"image_id": 10, "bbox": [1, 2, 3, 4], "category_id": 99},
        {"image_id": 77, "bbox": [1, 2, 3, 4]},
        {"image_id": 10, "bbox": [1, 2, 3, 4], "iscrowd": 1},
    ]
    write(tmp_path / "train.json", content(["a.jpg"], annotations))
    labels = readers.read(task, tmp_path)
    assert labels.issues["kind"].value_counts().to_dict() == {"bad_row": 4, "crowd": 1}
    assert list(labels.boxes["ignore"]) == [False, True]


def test_read_image_without_annotation_is_negative(task, tmp_path):
    write(tmp_path / "labels.json", content(["a.jpg", "b.jpg"], [{"image_id": 10, "bbox": [1, 2, 30, 40]}]))
    labels = readers.read(task, tmp_path)
    assert list(labels.images["status"]) == ["ok", "ok"]
    assert list(labels.images["subset"]) == ["train", "train"]


@pytest.mark.parametrize("text", ["{", "[]", '{"images": 3}', '{"images": [{"id": 1}]}', '{"images": [3]}'])
def test_read_refuses_other_json(task, tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(DataError, match=r"train\.json"):
        readers.read(task, tmp_path)


def test_read_refuses_no_file_for_training(task, tmp_path):
    write(tmp_path / "test.json", content(["a.jpg"], []))
    with pytest.raises(DataError, match=r"audit\.train"):
        readers.read(task, tmp_path)


TRIANGLE = [10, 10, 20, 10, 20, 30]


def mask(counts):
    return {"counts": counts, "size": [48, 64]}


@pytest.mark.parametrize(
    ("annotation", "corners"),
    [
        ({"bbox": [1, 2, 30, 40], "segmentation": [TRIANGLE]}, (1, 2, 31, 42)),
        ({"segmentation": [TRIANGLE]}, (10, 10, 20, 30)),
        ({"segmentation": TRIANGLE, "bbox": []}, (10, 10, 20, 30)),
        ({"segmentation": [[[10, 10], [20, 10], [20, 30]]], "bbox": None}, (10, 10, 20, 30)),
        ({"segmentation": [TRIANGLE, [1, 1, 2, 2, 1, 2]], "bbox": [0, 0, 0, 0]}, (1, 1, 20, 30)),
        ({"segmentation": [TRIANGLE], "bbox": [float("nan")] * 4}, (10, 10, 20, 30)),
        ({"segmentation": mask([48 * 10 + 5, 8, 40, 8, 48 * 52 - 13])}, (10, 5, 12, 13)),
        ({"segmentation": mask([48 * 10, 48, 48 * 53])}, (10, 0, 11, 48)),
        ({"segmentation": mask([0, 48 * 64])}, (0, 0, 64, 48)),
        ({"segmentation": mask([48 * 64])}, None),
        ({"segmentation": mask("~~~~")}, None),
        ({"segmentation": mask("")}, None),
        ({"segmentation": mask([1e9])}, None),
        ({"segmentation": mask([-3, 5])}, None),
        ({"segmentation": mask(None)}, None),
        ({"segmentation": {}}, None),
        ({"segmentation": [[10, 10]]}, None),
        ({"segmentation": [[10, 10, 20, 10, float("inf"), 30]]}, None),
        ({"segmentation": "outline", "bbox": "box"}, None),
        ({"bbox": [3, 3, 0, 0]}, (3, 3, 3, 3)),
        ({}, None),
    ],
)
def test_box_of_annotation(annotation, corners):
    found = box_of(annotation)
    assert (found and tuple(found.values())) == corners


def test_box_of_compressed_mask(rng):
    from faster_coco_eval.core import mask as codec

    for _ in range(20):
        pixels = np.asfortranarray(np.zeros((48, 64), np.uint8))
        x, y = rng.integers(0, 60), rng.integers(0, 40)
        width, height = rng.integers(1, 64 - x + 1), rng.integers(1, 48 - y + 1)
        pixels[y : y + height, x : x + width] = 1
        packed = codec.encode(pixels)
        found = box_of({"segmentation": {**packed, "counts": packed["counts"].decode()}})
        assert list(found.values()) == [x, y, x + width, y + height]
