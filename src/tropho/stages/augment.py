"""Augment: decode and resize images once to training size, and preview the augmentation."""

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, write_json
from tropho.images.annotated import REGION, AnnotatedImage, AnnotatedImages
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.cache import ImageCache, write_cache
from tropho.images.decode import Decoding
from tropho.images.draw import Colour, class_colours, contact_sheet, draw_boxes, enlarged, write_png
from tropho.images.fonts import naming
from tropho.paths import Paths
from tropho.seeds import sample_seed
from tropho.tables import BOXES, IMAGES, SPLITS, join_names, read_table, split_regions, usable_images

N_PREVIEWS = 12
_MIN_TILE, _MAX_TILE = 240, 480  # pixels
_COLUMNS = 4  # two pairs
REGION_COLOUR: Colour = (128, 128, 128)
KEPT = {"cache", "policy.json"}
"""Outputs that are updated in place."""


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write the image cache, policy.json and previews.png into data/augmented/T; return the content of policy.json.

    Raises:
        DataError: an image can't be read; the sentence names it.
    """
    paths = Paths(root, settings.name)
    images, boxes = read_table(paths.audit / "images.csv", IMAGES), read_table(paths.audit / "boxes.csv", BOXES)
    splits = read_table(paths.splits, SPLITS)
    used = _images_of(images, splits, ["train", "test"])
    train = _images_of(images, splits, ["train"])
    boxes = boxes[boxes["image_id"].isin(train["image_id"])]
    objects, _ = split_regions(boxes)
    classes = settings.audit.classes or sorted(objects["label"].unique())
    augment = settings.augment
    _clear(paths.augmented)
    decoding = Decoding.recorded(read_json(paths.audit / "summary.json"))
    write_cache(
        used,
        paths.raw,
        paths.augmented / "cache",
        augment.image_size,
        augment.cache_format,
        augment.grayscale,
        decoding,
    )
    cache = ImageCache(paths.augmented / "cache")
    transform = TrainTransform(augment, settings.kind == "detection", AnnotatedImages(cache, train, boxes, classes))
    record = {"images": len(cache), "policy": transform.to_dict()}
    write_json(paths.augmented / "policy.json", record)
    shown = pick_varied(train, objects, N_PREVIEWS)
    preview_sheet(transform, list(shown.index), _captions(shown), classes, paths.augmented / "previews.png")
    return record


def pick_spread(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """Pick at most `n` rows at even distances, the first and the last among them."""
    return table.iloc[np.linspace(0, len(table) - 1, min(n, len(table))).round().astype(int)]


def pick_varied(images: pd.DataFrame, boxes: pd.DataFrame, n: int) -> pd.DataFrame:
    """Pick at most `n` images, in turns from each class or set of classes of an image.

    Args:
        images: tables.IMAGES.
        boxes: tables.BOXES of these images.
        n: maximum.
    """
    shown = boxes.groupby("image_id")["label"].agg(join_names)
    kinds = images["label"].fillna(images["image_id"].map(shown)).fillna("")
    parts = [pick_spread(part, n) for _, part in images.groupby(kinds, sort=True)]
    turn = pd.concat([part.assign(_turn=range(len(part))) for part in parts]) if parts else images.assign(_turn=0)
    return turn.sort_values("_turn", kind="stable").head(n).drop(columns="_turn")


def _images_of(images: pd.DataFrame, splits: pd.DataFrame, subsets: list[str]) -> pd.DataFrame:
    """Select the images that the split put into these subsets, in row order of `images`."""
    ids = splits.loc[splits["subset"].isin(subsets), "image_id"]
    usable = usable_images(images)
    unknown = set(ids) - set(usable["image_id"])
    if unknown:
        raise DataError(
            f"The split holds {len(unknown)} images that the audit does not pass, such as '{min(unknown)}'; "
            "run the split stage again."
        )
    return usable[usable["image_id"].isin(ids)].reset_index(drop=True)


def _captions(images: pd.DataFrame) -> list[str]:
    """Name each image, after its label if it has one."""
    pairs = zip(images["label"], images["image_id"], strict=True)
    return [name if pd.isna(label) else f"{label}: {PurePosixPath(name).name}" for label, name in pairs]


def _clear(folder: Path) -> None:
    """Remove what a stopped run left behind, since the whole folder is the stage's output."""
    for path in folder.iterdir() if folder.exists() else []:
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def preview_sheet(
    transform: TrainTransform, numbers: Sequence[int], names: Sequence[str], classes: Sequence[str], to: Path
) -> None:
    """Write a PNG of pairs: a training image, captioned by its name, and an augmentation of it.

    `numbers` are those of the transform's images; classes are in the order of their colours.
    """
    shown: list[tuple[AnnotatedImage, str]] = []
    for seed, (number, name) in enumerate(zip(numbers, names, strict=True)):
        before, after = transform.scenes[number], transform(number, sample_seed(0, 0, seed))
        shown += [(before, name), (after, f"augmented{_count(len(before.boxes), len(after.boxes))}")]
    colours = {**dict(enumerate(class_colours(classes).values())), REGION: REGION_COLOUR}
    titles = {**dict(enumerate(classes)), REGION: "ignored region"}
    width = min(max(transform.settings.image_size, _MIN_TILE), _MAX_TILE)
    tiles = [_tile(scene, colours, width) for scene, _ in shown]
    used = {int(label) for scene, _ in shown for label in scene.labels}
    legend = [(titles[label], colour) for label, colour in colours.items() if label in used]
    title = f"Policy '{transform.settings.policy}': each pair is the image at training size and one augmentation of it"
    with naming(classes):
        write_png(to, contact_sheet(tiles, [caption for _, caption in shown], _COLUMNS, width, title, legend))


def _tile(scene: AnnotatedImage, colours: dict[int, Colour], width: int) -> np.ndarray:
    image, factor = enlarged(scene.image, width)
    return draw_boxes(image, scene.boxes * factor, [colours[int(label)] for label in scene.labels])


def _count(before: int, after: int) -> str:
    if not before:
        return ""
    return f", {after} of {before} boxes" if after < before else f", {after} box{'' if after == 1 else 'es'}"
