"""The augment stage packs what training needs, proves the policy on real boxes, and pictures it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.images.annotated import AnnotatedImage, AnnotatedImages
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache
from tropho.stages.augment import pick_spread, pick_varied, run
from tropho.tables import BOX, BOXES, IMAGES, SPLITS, write_table

MakeSettings = Callable[..., TaskConfig]


def workspace(root: Path, task: str, detection: bool) -> pd.DataFrame:
    """Raw images, audit tables and a split for 12 images: 8 train, 2 test, 1 excluded, 1 unreadable."""
    rng = np.random.default_rng(3)
    rows, boxes, splits = [], [], []
    for number in range(12):
        image_id = f"id_{number:02}.png"
        subset = "test" if number in (8, 9) else "train"
        status = "unreadable" if number == 11 else "ok"
        image = rng.integers(90, 140, (60, 80, 3), dtype=np.uint8)
        label = None if detection else ["a", "b"][number % 2]
        path = f"images/{image_id}"
        known = {"image_id": image_id, "path": path, "width": 80, "height": 60, "label": label}
        rows.append({**dict.fromkeys(IMAGES), **known, "subset": subset, "status": status})
        if detection and number % 4 != 3:
            for _ in range(1 + number % 3):
                x, y = rng.integers(0, 60), rng.integers(0, 40)
                image[y : y + 12, x : x + 16] = (90, 20, 140)
                boxes.append((image_id, ["WBC", "Trophozoite"][number % 2], x, y, x + 16, y + 12))
        if status == "ok":
            place = "excluded" if number == 10 else subset
            fold = number % 2 if place == "train" else -1
            row = {"image_id": image_id, "subset": place, "fold": fold, "group": image_id}
            splits.append({**dict.fromkeys(SPLITS), **row})
        file = root / "data" / "raw" / task / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    write_table(pd.DataFrame(rows), root / "data" / "audit" / task / "images.csv", IMAGES)
    (root / "data" / "audit" / task / "summary.json").write_text("{}")
    boxes_table = pd.DataFrame(boxes, columns=list(BOXES)[:-1])
    write_table(boxes_table, root / "data" / "audit" / task / "boxes.csv", BOXES)
    write_table(pd.DataFrame(splits), root / "data" / "splits" / f"{task}.csv", SPLITS)
    return boxes_table


def augmented(root: Path, task: str) -> Path:
    return root / "data" / "augmented" / task


@pytest.mark.parametrize(("task", "detection"), [("smear_demo", True), ("cells_demo", False)])
def test_augment_writes_cache_and_policy(tmp_path: Path, settings: MakeSettings, task: str, detection: bool) -> None:
    workspace(tmp_path, task, detection)
    record = run(settings(task, **{"augment.image_size": 48}), tmp_path)
    folder = augmented(tmp_path, task)
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "policy.json", "previews.png"]
    assert ImageCache(folder / "cache").image_ids == [f"id_{number:02}.png" for number in range(10)]
    assert json.loads((folder / "policy.json").read_text()) == json.loads(json.dumps(record))
    assert record["policy"]["name"] == "microscopy"
    with Image.open(folder / "previews.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.width == 4 * 248 + 8  # two pairs in a row, a tile of 240 and a gap of 8 each


def test_augment_keeps_the_cache_for_another_policy(tmp_path: Path, settings: MakeSettings) -> None:
    workspace(tmp_path, "smear_demo", True)
    first = settings("smear_demo", **{"augment.image_size": 48})
    run(first, tmp_path)
    packed = augmented(tmp_path, "smear_demo") / "cache" / "images.bin"
    inode, policy = packed.stat().st_ino, (augmented(tmp_path, "smear_demo") / "policy.json").read_bytes()
    run(first, tmp_path)
    assert (augmented(tmp_path, "smear_demo") / "policy.json").read_bytes() == policy
    (augmented(tmp_path, "smear_demo") / ".pack.abc").mkdir()  # as a killed run leaves it
    run(with_overrides(first, {"augment.policy": "radiology"}), tmp_path)
    assert packed.stat().st_ino == inode
    assert (augmented(tmp_path, "smear_demo") / "policy.json").read_bytes() != policy
    assert sorted(path.name for path in augmented(tmp_path, "smear_demo").iterdir()) == [
        "cache",
        "policy.json",
        "previews.png",
    ]


def test_augment_refuses_a_split_of_other_images(tmp_path: Path, settings: MakeSettings) -> None:
    workspace(tmp_path, "smear_demo", True)
    path = tmp_path / "data" / "splits" / "smear_demo.csv"
    path.write_text(path.read_text().replace("id_00.png", "id_77.png"))
    with pytest.raises(DataError, match=r"id_77\.png.*run the split stage again"):
        run(settings("smear_demo"), tmp_path)


def test_augment_names_a_damaged_image(tmp_path: Path, settings: MakeSettings) -> None:
    workspace(tmp_path, "smear_demo", True)
    path = tmp_path / "data" / "raw" / "smear_demo" / "images" / "id_05.png"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"id_05\.png"):
        run(settings("smear_demo"), tmp_path)


class Harmful(TrainTransform):
    """Augmentation whose result is spoilt in one way."""

    harm: Callable[..., tuple[np.ndarray, ...]]

    def __call__(self, number: int, seed: int) -> AnnotatedImage:
        return AnnotatedImage(*self.harm(*super().__call__(number, seed)))


def test_pick_spread_is_even() -> None:
    table = pd.DataFrame({"n": range(101)})
    assert pick_spread(table, 5)["n"].tolist() == [0, 25, 50, 75, 100]
    assert len(pick_spread(table, 500)) == 101
    assert pick_spread(table, 500)["n"].is_monotonic_increasing


def test_pick_varied_takes_turns_among_classes() -> None:
    images = pd.DataFrame({"image_id": list("abcdefgh"), "label": ["x"] * 6 + ["y"] * 2})
    none = pd.DataFrame(columns=list(BOXES)[:-1])
    assert sorted(pick_varied(images, none, 4)["label"]) == ["x", "x", "y", "y"]
    assert len(pick_varied(images, none, 100)) == 8
    unlabelled = images.assign(label=pd.Series([None] * 8, dtype="string"))
    boxes = pd.DataFrame([("h", "WBC", 0, 0, 5, 5), ("c", "T", 0, 0, 5, 5)], columns=list(BOXES)[:-1])
    assert {"h", "c"} <= set(pick_varied(unlabelled, boxes, 3)["image_id"])


@pytest.mark.real
@pytest.mark.parametrize("policy", ["light", "microscopy", "radiology"])
def test_policies_hold_on_real_boxes(real_data: Path, tmp_path: Path, settings: MakeSettings, policy: str) -> None:
    """Twenty real blood photos with their 300 boxes: flips lose none, small turns and shifts lose few."""
    from xml.etree import ElementTree

    from tropho.images.cache import write_cache

    files = sorted((real_data / "bccd" / "Annotations").glob("*.xml"))[:20]
    rows = [
        (file.stem, each.findtext("name"), *(float(each.findtext(f"bndbox/{side}")) for side in BOX))
        for file in files
        for each in ElementTree.parse(file).iter("object")
    ]
    boxes = pd.DataFrame(rows, columns=list(BOXES)[:-1])
    boxes = boxes[(boxes["xmax"] > boxes["xmin"]) & (boxes["ymax"] > boxes["ymin"])]
    images = pd.DataFrame({"image_id": [file.stem for file in files]})
    images["path"] = images["image_id"] + ".jpg"
    write_cache(images, real_data / "bccd" / "JPEGImages", tmp_path / "cache", 320)
    classes = sorted(boxes["label"].unique())
    chosen = settings("smear_demo", **{"augment.image_size": 320, "augment.policy": policy}).augment
    scenes = AnnotatedImages(ImageCache(tmp_path / "cache"), images, boxes, classes)
    augmenter = TrainTransform(chosen, True, scenes)
    after = 0
    for number in range(len(images)):
        image, found, labels = augmenter(number, seed=number)
        assert image.dtype == np.uint8
        assert max(image.shape[:2]) == 320
        assert len(found) == len(labels) <= len(scenes.targets(number)[0])
        assert (found >= 0).all()
        assert (found <= np.tile(image.shape[1::-1], 2)).all()
        assert (found[:, 2:] > found[:, :2]).all()
        after += len(found)
    assert len(boxes) > 200
    assert 1 - after / len(boxes) < (0.03 if policy == "radiology" else 1e-9)
