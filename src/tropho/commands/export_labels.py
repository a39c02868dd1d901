"""Write a task's audited labels, or its predictions, as COCO or YOLO, with the images beside them."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml

from tropho.config.task_config import TaskConfig
from tropho.data.formats.yolo_config import read_config
from tropho.errors import DataError, UsageError
from tropho.files import atomic_folder, copy_file, read_json, write_json, write_text
from tropho.log import track
from tropho.paths import Paths
from tropho.tables import BOX, BOXES, IMAGES, SPLITS, is_region, read_parquet, read_table

FORMATS = ("coco", "yolo")
Boxes = dict[str, list[dict[Hashable, Any]]]
"""Rows of tables.BOXES or tables.DETECTIONS with the column is_region, by image_id."""
VAL_FOLD = 0
"""Its images are the validation set of the export, as they are of the first model."""


def export_labels(settings: TaskConfig, root: Path, to: str, out: Path, predictions: bool) -> str:
    """Write images and labels of a detection task into a new folder.

    Args:
        settings: of the task.
        root: of the project.
        to: coco: annotations/instances_SUBSET.json; yolo: labels/SUBSET/*.txt and data.yaml. Images are in
            images/SUBSET/. Subsets are train, val (the first fold, or the published one before the split) and test.
        out: the folder; it must not exist.
        predictions: write what the trained models find, with scores, of the images that they have not seen: fold by
            fold, and the test images. Otherwise the audited labels.

    Returns: a sentence on what was written.

    Raises:
        UsageError: `to` is no format, it is a classification task, or `out` exists.
        DataError: a stage has not run.
    """
    if to not in FORMATS:
        raise UsageError(f"--to is '{to}'; it must be {' or '.join(FORMATS)}.")
    if settings.kind != "detection":
        raise UsageError(f"{settings.name} has no boxes; COCO and YOLO are formats of boxes.")
    if out.exists():
        raise UsageError(f"{out} exists already; name a new folder.")
    paths = Paths(root, settings.name)
    if not (paths.audit / "images.csv").exists():
        raise DataError(f"{settings.name} has not been audited; run `dvc repro audit@{settings.name}` first.")
    images = _images(paths)
    classes = _classes(settings, paths)
    boxes = _predicted(settings, paths) if predictions else read_table(paths.audit / "boxes.csv", BOXES)
    boxes = boxes[boxes["label"].isin(classes) & boxes["image_id"].isin(images["image_id"])]
    if predictions:
        images = images[images["image_id"].isin(_predicted_ids(paths))]
    boxes = boxes.assign(is_region=is_region(boxes))
    by_image: Boxes = {str(image_id): part.to_dict("records") for image_id, part in boxes.groupby("image_id")}
    with atomic_folder(out) as folder:
        for image in track(_rows(images), "Copying images"):
            target = folder / "images" / image.subset / image.file
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(paths.raw / image.path, target)
        write = _write_coco if to == "coco" else _write_yolo
        write(folder, images, by_image, classes)
    what = "predicted boxes" if predictions else "boxes"
    name, first = ("COCO", 1) if to == "coco" else ("YOLO", 0)
    numbers = ", ".join(f"{number} {label}" for number, label in enumerate(classes, start=first))
    return f"{out}: {len(boxes):,} {what} of {len(images):,} images, as {name}; numbers of the classes: {numbers}."


def _classes(settings: TaskConfig, paths: Paths) -> list[str]:
    """Return the classes in the order of audit.classes, else by the numbers of a YOLO source, else by name."""
    classes = list(read_json(paths.audit / "summary.json")["classes"])
    if settings.audit.format != "yolo" or settings.audit.classes is not None:
        return classes
    numbered = [settings.audit.class_map.get(name, name) for _, name in sorted(read_config(paths.raw).names.items())]
    known = [name for name in dict.fromkeys(numbered) if name in classes]
    return [*known, *(name for name in classes if name not in known)]


def _images(paths: Paths) -> pd.DataFrame:
    """Return usable images with `subset` train, val or test, and `file`, a name that is unique in its subset."""
    images = read_table(paths.audit / "images.csv", IMAGES)
    images = images[images["status"] == "ok"]
    subset = images["subset"].replace({"validation": "val"})
    if paths.splits.exists():
        splits = read_table(paths.splits, SPLITS).set_index("image_id")
        is_val = (splits["subset"] == "train") & (splits["fold"] == VAL_FOLD)
        subset = images["image_id"].map(splits["subset"].mask(is_val, "val"))
    images = images.assign(subset=subset)
    images = images[images["subset"].isin(["train", "val", "test"])]
    names = [PurePosixPath(path).name for path in images["path"]]
    stems = Counter(zip(images["subset"], (PurePosixPath(name).stem for name in names), strict=True))
    alone = [stems[part, PurePosixPath(name).stem] == 1 for part, name in zip(images["subset"], names, strict=True)]
    flat = [path.replace("/", "__") for path in images["path"]]
    return images.assign(file=[name if ok else long for name, long, ok in zip(names, flat, alone, strict=True)])


def _predicted_ids(paths: Paths) -> set[str]:
    """Return the images of the folds that were trained, and the test images if they were predicted."""
    splits = read_table(paths.splits, SPLITS)
    folds = [fold["fold"] for fold in read_json(paths.models / "run.json")["folds"]]
    is_test = (splits["subset"] == "test") & (paths.evaluate / "test.parquet").exists()
    return set(splits.loc[((splits["subset"] == "train") & splits["fold"].isin(folds)) | is_test, "image_id"])


def _predicted(settings: TaskConfig, paths: Paths) -> pd.DataFrame:
    """Read the post-processed predictions out of fold, and of the test images: tables.DETECTIONS."""
    from tropho.inference.trained_folds import read_config

    if not (paths.evaluate / "oof_postprocessed.parquet").exists():
        raise DataError(f"{settings.name} has no predictions; run `dvc repro evaluate@{settings.name}` first.")
    found = [read_parquet(paths.evaluate / "oof_postprocessed.parquet")]
    if (paths.evaluate / "test.parquet").exists():
        task, _ = read_config(paths.models / f"fold{read_json(paths.models / 'run.json')['folds'][0]['fold']}")
        raw = read_parquet(paths.evaluate / "test.parquet")
        found.append(task.postprocess(raw, read_json(paths.evaluate / "postprocess.json")))
    return pd.concat(found, ignore_index=True)


def _write_coco(folder: Path, images: pd.DataFrame, boxes: Boxes, classes: list[str]) -> None:
    """Write annotations/instances_SUBSET.json; predicted boxes carry a score, ignored regions are crowds."""
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    for subset, part in images.groupby("subset"):
        rows: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, image in enumerate(_rows(part), start=1):
            size = {"width": int(image.width), "height": int(image.height)}
            rows.append({"id": number, "file_name": f"{subset}/{image.file}", **size})
            for box in boxes.get(image.image_id, []):
                left, top, right, bottom = (float(box[side]) for side in BOX)
                width, height = right - left, bottom - top
                place = {"id": len(annotations) + 1, "image_id": number, "category_id": classes.index(box["label"]) + 1}
                corners = {"bbox": [left, top, width, height], "area": width * height}
                score = {"score": float(box["score"])} if "score" in box else {"iscrowd": int(box["is_region"])}
                annotations.append({**place, **corners, **score})
        content = {"images": rows, "annotations": annotations, "categories": categories}
        write_json(folder / "annotations" / f"instances_{subset}.json", content)


def _write_yolo(folder: Path, images: pd.DataFrame, boxes: Boxes, classes: list[str]) -> None:
    """Write labels/SUBSET/NAME.txt with `class cx cy w h` as shares of the image, then a score, and data.yaml."""
    for image in _rows(images):
        lines = []
        for box in boxes.get(image.image_id, []):
            if box["is_region"]:
                continue
            left, top, right, bottom = (float(box[side]) for side in BOX)
            centre = (left + right) / 2 / image.width, (top + bottom) / 2 / image.height
            values = [*centre, (right - left) / image.width, (bottom - top) / image.height]
            values += [box["score"]] if "score" in box else []
            lines.append(" ".join([str(classes.index(box["label"])), *(f"{value:.8g}" for value in values)]) + "\n")
        write_text(folder / "labels" / image.subset / f"{PurePosixPath(image.file).stem}.txt", "".join(lines))
    places = {subset: f"images/{subset}" for subset in ("train", "val", "test") if subset in set(images["subset"])}
    content = {**places, "names": dict(enumerate(classes))}  # without `path`, places are relative to this file
    write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _rows(images: pd.DataFrame) -> list[Any]:
    """Return the rows of `_images` as named tuples."""
    return list(images.itertuples())
