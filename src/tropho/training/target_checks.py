"""Compare the targets that a task trains on with the audit's tables, and draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tropho.data.task_data import GroundTruth
from tropho.images.cache import ImageCache
from tropho.images.draw import class_colours, contact_sheet, draw_boxes, enlarged, write_png
from tropho.images.fonts import naming
from tropho.tables import BOX
from tropho.tasks.base import Batch, Task

TILE_WIDTH = 480  # pixels; of a training image in the picture


@dataclass(frozen=True)
class Finding:
    """Result of a check, one sentence; a "warning" lets a training start, a "fault" does not."""

    check: str
    state: Literal["ok", "warning", "fault"]
    text: str

    def __str__(self) -> str:
        return f"{self.state if self.state == 'ok' else self.state.upper()}  {self.check}: {self.text}"


def check_targets(task: Task, gt: GroundTruth, cache: ImageCache) -> Finding:
    """Compare the targets that the datasets make of a few images with the audit's tables, by class name and box.

    The augmented dataset is checked as far as augmentation leaves labels alone.
    """
    plain = task.build_dataset(cache, gt, train=False)
    augmented = task.build_dataset(cache, gt, train=True)
    batch = task.collate([plain[idx] for idx in range(len(gt.images))])
    trained = task.collate([augmented[0, idx, 0] for idx in range(len(gt.images))])
    mixes = task.settings.augment.copy_paste_prob > 0 or task.settings.augment.mosaic_prob > 0
    everywhere = {name for names in _table_names(gt) for name in names}
    for idx, (image_id, names) in enumerate(zip(gt.images["image_id"], _table_names(gt), strict=True)):
        found = target_names(batch, idx, task.classes)
        if sorted(found) != sorted(names):
            return _fault(image_id, f"holds {_listed(found)}, but the audit's table {_listed(names)}")
        if extra := set(target_names(trained, idx, task.classes)) - (everywhere if mixes else set(names)):
            return _fault(
                image_id, f"holds {_listed(sorted(extra))} after augmentation, but the audit's table does not"
            )
        if gt.boxes.empty:
            continue
        if fault := _compare_boxes(batch, idx, gt, cache, task.classes) or _outside(trained, idx):
            return _fault(image_id, fault)
    n_boxes = f" and {len(gt.boxes)} boxes" if len(gt.boxes) else ""
    return Finding("targets", "ok", f"{len(gt.images)} images{n_boxes} are as in the audit's tables, by class name.")


def _fault(image_id: str, text: str) -> Finding:
    return Finding("targets", "fault", f"The target of '{image_id}' {text}; the dataset or a label reader is wrong.")


def _listed(names: Sequence[str]) -> str:
    counts = {name: list(names).count(name) for name in sorted(set(names))}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"


def _table_names(gt: GroundTruth) -> list[list[str]]:
    """List the class names of each image in the tables."""
    if gt.boxes.empty and "label" in gt.images and gt.images["label"].notna().any():
        return [[str(label)] for label in gt.images["label"]]
    by_image = gt.boxes.groupby("image_id")["label"].agg(list)
    return [by_image.get(image_id, []) for image_id in gt.images["image_id"]]


def target_names(batch: Batch, idx: int, classes: Sequence[str]) -> list[str]:
    """List the class names in the target of a batch's image; an index without a class is named by its number."""
    targets: Any = batch["targets"]
    labels = targets["label"][idx : idx + 1] if isinstance(targets, dict) else targets[idx]["labels"]
    return [classes[label] if 0 <= label < len(classes) else f"class {label}" for label in labels.tolist()]


def _compare_boxes(batch: Batch, idx: int, gt: GroundTruth, cache: ImageCache, classes: Sequence[str]) -> str:
    """Compare an image's boxes with the table, each with the nearest of its class; return what is wrong, or ""."""
    image_id = gt.images["image_id"].iloc[idx]
    target = batch["targets"][idx]
    rows = gt.boxes[gt.boxes["image_id"] == image_id]
    expected = rows[BOX].to_numpy(np.float64) * np.tile(cache.scale(image_id), 2)  # (n, 4)
    boxes = target["boxes"].double().numpy()  # (n, 4)
    names = np.array(target_names(batch, idx, classes), dtype=object)
    for name, box in zip(rows["label"], expected, strict=True):
        nearest = boxes[names == name][np.abs(boxes[names == name] - box).max(axis=1).argmin()]
        if np.abs(nearest - box).max() > 1:
            return f"has a {name} at {nearest.round(2).tolist()}, where the audit's table has {box.round(2).tolist()}"
    return ""


def _outside(batch: Batch, idx: int) -> str:
    """Return what is wrong with the boxes of an augmented image, or ""."""
    boxes, (height, width) = batch["targets"][idx]["boxes"].numpy(), batch["sizes"][idx].tolist()
    is_inside = (boxes[:, :2] >= -1).all() and (boxes[:, 2:] <= [width + 1, height + 1]).all()
    if is_inside and (boxes[:, 2:] > boxes[:, :2]).all():
        return ""
    return f"has boxes without area, or outside its {width} x {height} pixels, after augmentation"


def draw_batch(task: Task, gt: GroundTruth, cache: ImageCache, path: Path) -> None:
    """Write a PNG of images as training sees them in its first epoch, each with its target drawn from the batch."""
    dataset = task.build_dataset(cache, gt, train=True)
    batch = task.collate([dataset[0, idx, 0] for idx in range(len(gt.images))])
    colours = class_colours(task.classes)
    tiles, captions = [], []
    for idx, image_id in enumerate(gt.images["image_id"]):
        names = target_names(batch, idx, task.classes)
        image, factor = enlarged(batch["images"][idx].permute(1, 2, 0).numpy(), TILE_WIDTH)
        if not isinstance(batch["targets"], dict):
            boxes = batch["targets"][idx]["boxes"].numpy() * factor
            image = draw_boxes(image, boxes, [colours.get(name, (0, 0, 0)) for name in names])
        tiles.append(image)
        captions.append(f"{image_id}: {_listed(names)}")
    title = f"Images and targets as {task.settings.name} trains on them"
    with naming(task.classes):
        sheet = contact_sheet(tiles, captions, 2, TILE_WIDTH, title, list(colours.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, sheet)
