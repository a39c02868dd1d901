"""The page's chapter on the split: how alike the folds are."""

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.split.stratification import sizes_of
from tropho.plots import format_numbers
from tropho.report.block_builders import todo
from tropho.report.blocks import Block, List, Section, Text
from tropho.report.data_chapters import Counts, content, counts_table
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader
from tropho.tables import SPLITS, split_regions


def split(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """What each fold holds, and which training images were left out."""
    section = Section("split", "Split")
    splits = reader.table(folders.splits)
    if splits is None or not set(SPLITS) <= set(splits):
        section.blocks.append(todo("split", settings.name, "The images have not been split"))
        return section
    images = reader.table(folders.audit / "images.csv")
    boxes = reader.table(folders.audit / "boxes.csv")
    if images is not None and {"image_id", "label", "width", "height"} <= set(images):
        splits = splits.merge(images[["image_id", "label", "width", "height"]], on="image_id", how="left")
        pixels = splits[["width", "height"]].apply(pd.to_numeric, errors="coerce").astype("Int64")
        splits["size"] = sizes_of(pixels)
    notes = reader.json(folders.splits.with_suffix(".json")).get("notes")
    excluded = int((splits["subset"] == "excluded").sum())
    if isinstance(notes, list) and notes:
        section.blocks.append(List([str(note) for note in notes]))
    elif excluded:
        told = f"{format_numbers.count(excluded)} training images are kept out."
        section.blocks.append(Text(told))
    section.blocks.append(_folds(splits, boxes))
    return section


def _folds(splits: pd.DataFrame, boxes: pd.DataFrame | None) -> Block:
    """What each part holds."""
    train = splits[splits["subset"] == "train"]
    parts = [(f"fold {fold}", part) for fold, part in train.groupby("fold", sort=True)]
    parts += [(name, splits[splits["subset"] == name]) for name in ("test", "excluded")]
    rows = {name: (_always(part, splits), _labels(part, boxes)) for name, part in parts if len(part)}
    return counts_table("Folds", "part", rows)


def _always(part: pd.DataFrame, splits: pd.DataFrame) -> Counts:
    """Images, groups and, where there are several, resolutions of a part."""
    counts: Counts = {"images": len(part), "groups": int(part["group"].nunique())}
    if "size" in part and splits["size"].nunique() > 1:
        named = part["size"].value_counts()
        counts |= {str(size): int(named.get(size, 0)) for size in splits["size"].value_counts().index}
    return counts


def _labels(part: pd.DataFrame, boxes: pd.DataFrame | None) -> Counts:
    """Labels by class and, for boxes, how many an image of this part has (median)."""
    counts = content(part, boxes)
    if "images without boxes" not in counts or boxes is None:
        return counts
    objects = part["image_id"].map(split_regions(boxes)[0]["image_id"].value_counts()).fillna(0)
    return {**counts, "boxes an image (median)": float(objects.median())}
