"""Augment: images packed once at training size; augmentation built, proven on real boxes, and pictured."""

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.files import write_json
from tropho.images.augmenter import Augmenter
from tropho.images.pack import Pack, write_pack
from tropho.images.previews import preview_sheet
from tropho.images.scenes import REGION, Scene, Scenes
from tropho.progress import track
from tropho.seeds import sample_seed
from tropho.settings import TaskSettings
from tropho.stages.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, read_table, split_regions

PROVEN_ON = 500
"""Training images that augmentation is tried on at most, spread evenly over them; the steps alone share as many."""

_WRITES = {"pack", "policy.json", "previews.png"}


def run(settings: TaskSettings, root: Path) -> dict[str, Any]:
    """Write the pack, policy.json and previews.png into data/augmented/T; returns what policy.json says.

    Raises:
        DataError: an image can't be read, or augmentation harms a box; the sentence names the image.
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
    write_pack(used, paths.raw, paths.augmented / "pack", chosen.size, chosen.encoding, chosen.grey)
    pack = Pack(paths.augmented / "pack")
    augmenter = Augmenter(chosen, settings.kind == "detection", Scenes(pack, train, boxes, classes))
    proof = prove(augmenter, list(spread(train, PROVEN_ON).index))
    if steps := augmenter.alone():
        some = list(spread(train, PROVEN_ON // len(steps)).index)
        proof["alone"] = {step: prove(alone, some) for step, alone in steps.items()}
    record = {"images": len(pack), "proof": proof, "policy": augmenter.to_dict()}
    write_json(paths.augmented / "policy.json", record)
    if chosen.previews:
        shown = varied(train, objects, chosen.previews)
        preview_sheet(augmenter, list(shown.index), _captions(shown), classes, paths.augmented / "previews.png")
    return record


def prove(augmenter: Augmenter, numbers: Sequence[int]) -> dict[str, Any]:
    """Augment each of these images once, with its real boxes, and check what comes out.

    Args:
        augmenter: as training will call it.
        numbers: of its scenes.

    Returns:
        images, boxes_in, boxes_out, and share_lost: by how much boxes became fewer (0 to 1), because they left
        the image.

    Raises:
        DataError: a box outside its image or without area, labels that do not fit, or an image of a wrong
            shape or type; it names the image and the seed.
    """
    before = after = 0
    for turn, number in enumerate(track(numbers, "Proving the augmentation")):
        count, seed = _objects(augmenter.scenes.targets(number)[1]), sample_seed(0, 0, turn)
        scene = augmenter(number, seed)
        fault = _fault(scene, augmenter, count)
        if fault:
            raise DataError(
                f"Augmentation spoils image '{augmenter.scenes.image_ids[number]}' (seed {seed}): {fault}; switch "
                "the steps of augment off one by one, and report this."
            )
        before, after = before + count, after + _objects(scene.labels)
    lost = max(0.0, round(1 - after / before, 4)) if before else 0.0
    return {"images": len(numbers), "boxes_in": before, "boxes_out": after, "share_lost": lost}


def spread(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` rows at even distances, the first and the last among them."""
    if len(table) <= count:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, count).round().astype(int)]


def varied(images: pd.DataFrame, boxes: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` images that take turns among the classes, or sets of classes, that images show."""
    shown = boxes.groupby("image_id")["label"].agg(lambda labels: "+".join(sorted(set(labels))))
    kinds = images["label"].fillna(images["image_id"].map(shown)).fillna("")
    parts = [spread(part, count) for _, part in images.groupby(kinds, sort=True)]
    turn = pd.concat([part.assign(_turn=range(len(part))) for part in parts]) if parts else images.assign(_turn=0)
    return turn.sort_values("_turn", kind="stable").head(count).drop(columns="_turn")


def _chosen(images: pd.DataFrame, splits: pd.DataFrame, subsets: list[str]) -> pd.DataFrame:
    """Rows of `images` that the split put into these subsets, in the audit's order."""
    ids = splits.loc[splits["subset"].isin(subsets), "image_id"]
    usable = images[images["status"] == "ok"]
    strange = set(ids) - set(usable["image_id"])
    if strange:
        raise DataError(
            f"The split holds {len(strange)} images that the audit does not pass, such as '{min(strange)}'; "
            "run the split stage again."
        )
    return usable[usable["image_id"].isin(ids)].reset_index(drop=True)


def _fault(scene: Scene, augmenter: Augmenter, count: int) -> str:
    """What is wrong with the sample made of an image with `count` boxes, or ""."""
    image, boxes, labels = scene
    height, width = image.shape[:2]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return f"the result is {image.dtype} of shape {image.shape}, not uint8 RGB"
    least, most = augmenter.sides
    if not least <= max(height, width) <= most or (not augmenter.boxed and height != width):
        return f"the result is {width}x{height} pixels, not {least if least == most else f'{least} to {most}'}"
    if len(boxes) != len(labels) or (_objects(labels) > count and not augmenter.adds):
        return f"{count} boxes became {len(boxes)} with {len(labels)} labels"
    if not np.isfinite(boxes).all() or (boxes < 0).any() or (boxes > np.tile([width, height], 2)).any():
        return f"a box reaches out of the image of {width}x{height} pixels"
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        return "a box has no area"
    return ""


def _objects(labels: np.ndarray) -> int:
    """How many of the boxes are of objects, not ignored regions."""
    return int((labels != REGION).sum())


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
