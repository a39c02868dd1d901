"""Split: assign images to stratified folds that keep groups together, and to a test set."""

from pathlib import Path

import pandas as pd

from tropho import tables
from tropho.config.task_config import TaskConfig
from tropho.data.split import check_objects, missing_class_notes, split
from tropho.data.split.split_summary import describe_split
from tropho.files import write_json
from tropho.log import info
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> pd.DataFrame:
    """Split the images that the audit passed; write data/splits/TASK.csv and, in words, TASK.json."""
    paths = Paths(root, settings.name)
    images = tables.read_table(paths.audit / "images.csv", tables.IMAGES)
    boxes, _ = tables.split_regions(tables.read_table(paths.audit / "boxes.csv", tables.BOXES))
    if settings.kind == "detection":
        check_objects(images, boxes)
    splits = split(settings.split, images, boxes)
    notes = describe_split(splits, images, boxes, settings.split)
    notes += missing_class_notes(settings.split, splits, images, boxes)
    tables.write_table(splits, paths.splits, tables.SPLITS)
    write_json(paths.splits.with_suffix(".json"), {"notes": notes})
    for note in notes:
        info(note)
    return splits
