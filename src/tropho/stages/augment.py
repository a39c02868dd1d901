"""Augment: images decoded and resized once to training size; the augmentation built and pictured."""

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, write_json
from tropho.images.annotated import AnnotatedImages
from tropho.images.augment.preview import preview_sheet
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache, write_cache
from tropho.images.decode import Decoding
from tropho.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, join_names, read_table, split_regions, usable_images

PREVIEWS = 12  # images on the preview sheet
_WRITES = {"cache", "policy.json", "previews.png"}


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write the pack, policy.json and previews.png into data/augmented/T; returns what policy.json says.

    Raises:
        DataError: an image can't be read; the sentence names it.
    """
    paths = Paths(root, settings.name)
    images, boxes = (
        read_table(paths.audit / "images.csv", IMAGES),
        read_table(paths.audit / "boxes.csv", BOXES),
    )
    splits = read_table(paths.splits, SPLITS)
    used = _chosen(images, splits, ["train", "test"])
    train = _chosen(images, splits, ["train"])
    boxes = boxes[boxes["image_id"].isin(train["image_id"])]
    objects, _ = split_regions(boxes)
    classes = settings.audit.classes or sorted(objects["label"].unique())
    chosen = settings.augment
    _clear(paths.augmented)
    decoding = Decoding.recorded(read_json(paths.audit / "summary.json"))
    write_cache(
        used, paths.raw, paths.augmented / "cache", chosen.image_size, chosen.cache_format, chosen.grayscale, decoding
    )
    pack = ImageCache(paths.augmented / "cache")
    augmenter = TrainTransform(chosen, settings.kind == "detection", AnnotatedImages(pack, train, boxes, classes))
    record = {"images": len(pack), "policy": augmenter.to_dict()}
    write_json(paths.augmented / "policy.json", record)
    shown = varied(train, objects, PREVIEWS)
    preview_sheet(augmenter, list(shown.index), _captions(shown), classes, paths.augmented / "previews.png")
    return record


def spread(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows at even distances, the first and the last among them."""
    return table.iloc[np.linspace(0, len(table) - 1, min(count, len(table))).round().astype(int)]


def varied(images: pd.DataFrame, boxes: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` images that take turns among the classes, or sets of classes, that images show."""
    shown = boxes.groupby("image_id")["label"].agg(join_names)
    kinds = images["label"].fillna(images["image_id"].map(shown)).fillna("")
    parts = [spread(part, count) for _, part in images.groupby(kinds, sort=True)]
    turn = pd.concat([part.assign(_turn=range(len(part))) for part in parts]) if parts else images.assign(_turn=0)
    return turn.sort_values("_turn", kind="stable").head(count).drop(columns="_turn")


def _chosen(images: pd.DataFrame, splits: pd.DataFrame, subsets: list[str]) -> pd.DataFrame:
    """Rows of `images` that the split put into these subsets, in the audit's order."""
    ids = splits.loc[splits["subset"].isin(subsets), "image_id"]
    usable = usable_images(images)
    strange = set(ids) - set(usable["image_id"])
    if strange:
        raise DataError(
            f"The split holds {len(strange)} images that the audit does not pass, such as '{min(strange)}'; "
            "run the split stage again."
        )
    return usable[usable["image_id"].isin(ids)].reset_index(drop=True)


def _captions(images: pd.DataFrame) -> list[str]:
    """An image's name, after its label if it has one."""
    pairs = zip(images["label"], images["image_id"], strict=True)
    return [name if pd.isna(label) else f"{label}: {PurePosixPath(name).name}" for label, name in pairs]


def _clear(folder: Path) -> None:
    """Remove what a stopped run left behind, since the folder's whole content is the stage's output."""
    for path in folder.iterdir() if folder.exists() else []:
        if path.name in _WRITES - {"previews.png"}:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
