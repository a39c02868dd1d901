"""The preview sheet shows every image twice, boxes where they belong and in their class's colour."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.config.task_config import TaskConfig
from tropho.images.annotated import AnnotatedImages
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache, write_cache
from tropho.images.draw import class_colours
from tropho.stages.augment import preview_sheet
from tropho.tables import BOXES

CLASSES = ["Trophozoite", "WBC"]
Settings = Callable[..., TaskConfig]


@pytest.fixture
def pack(tmp_path: Path) -> ImageCache:
    """A landscape and a portrait picture, 200x100 and 100x200, packed at 60 pixels."""
    rows = []
    for name, size in (("wide.png", (200, 100)), ("tall.png", (100, 200))):
        Image.new("RGB", size, (120, 120, 120)).save(tmp_path / name)
        rows.append((name, name))
    write_cache(pd.DataFrame(rows, columns=["image_id", "path"]), tmp_path, tmp_path / "pack", 60)
    return ImageCache(tmp_path / "pack")


BOX_TABLE = pd.DataFrame(
    [("wide.png", "WBC", 20, 10, 60, 50), ("tall.png", "Trophozoite", 50, 100, 100, 200)], columns=list(BOXES)[:-1]
)


def test_boxes_are_scaled_to_the_packed_image(pack: ImageCache) -> None:
    images = pd.DataFrame({"image_id": ["tall.png", "wide.png"]})
    boxes, numbers = AnnotatedImages(pack, images, BOX_TABLE, CLASSES).targets(1)
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[6, 3, 18, 15]]
    assert numbers.tolist() == [1]
    boxes, numbers = AnnotatedImages(pack, images, BOX_TABLE.iloc[:0], CLASSES).targets(1)
    assert boxes.shape == (0, 4)
    assert numbers.shape == (0,)


def augmenter(
    pack: ImageCache, settings: Callable[..., TaskConfig], boxed: bool = True, **chosen: object
) -> TrainTransform:
    """Of both pictures, the wide one first, with steps chosen by name and all others off."""
    images = pd.DataFrame({"image_id": ["wide.png", "tall.png"]})
    made = settings("smear_demo", **{f"augment.{key}": value for key, value in {"policy": "none", **chosen}.items()})
    return TrainTransform(made.augment, boxed, AnnotatedImages(pack, images, BOX_TABLE if boxed else None, CLASSES))


def test_sheet_draws_boxes_on_the_scaled_tile(pack: ImageCache, tmp_path: Path, settings: Settings) -> None:
    preview_sheet(augmenter(pack, settings, image_size=60), [0], ["wide"], CLASSES, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    rows, columns = np.nonzero((sheet == class_colours(CLASSES)["WBC"]).all(axis=2))
    legend_ends = rows.min() + 13
    rows, columns = rows[rows > legend_ends], columns[rows > legend_ends]
    before = columns < sheet.shape[1] // 2
    for side in (before, ~before):  # a tile of 240 pixels shows 200, so a box of 40x40 is drawn 48x48
        assert np.ptp(columns[side]) == 47
        assert np.ptp(rows[side]) == 47
    assert columns[before].min() == 8 + 24
    assert not (sheet == class_colours(CLASSES)["Trophozoite"]).all(axis=2).any()


@pytest.mark.parametrize("boxed", [True, False])
def test_sheet_holds_mixed_shapes_and_classes(
    pack: ImageCache, tmp_path: Path, settings: Settings, boxed: bool
) -> None:
    both = augmenter(pack, settings, boxed, image_size=60, policy="radiology")
    preview_sheet(both, [0, 1], ["a: wide", "b: tall"], CLASSES, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 4 * 248 + 8
        assert sheet.height > 480  # the tall picture, twice as high as wide
