"""Class names: renamed, merged and dropped as the settings say; the negative class; names nobody knows."""

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.formats.labels import IssueLog, Labels, in_several_files, nearest
from tropho.errors import DataError, UsageError
from tropho.tables import BOX, nfc, spellings


def apply_class_map(labels: Labels, settings: AuditConfig) -> Labels:
    """Labels as read -> labels with the settings' class names, the negative class gone from the boxes.

    A name that only test images have is no class: no model can learn it. Unless the settings list it, those labels
    are dropped, and the images stay test images.

    Raises:
        UsageError: class_map, classes or negative name a class that the data doesn't have.
        DataError: no label is left.
    """
    log = IssueLog()
    boxes, images, settings = _one_spelling(labels, settings, log)
    boxes = in_several_files(_straightened(boxes.fillna({"ignore": False}), log), log)
    boxes, regions = boxes[~boxes["ignore"]], boxes[boxes["ignore"]]  # what a region is called makes no class
    found = set(boxes["label"].dropna()) | set(images["label"].dropna())
    if not found:
        raise DataError(f"No label could be read; check audit.format and the label files.{_first_issue(labels.issues)}")
    classes = _class_names(found, _learnable(images, boxes), settings, log)
    boxes, images = _mapped(boxes, images, settings, log)
    boxes, images = _without_test_only(boxes, images, {*classes, settings.negative}, log)
    with_row = set(boxes["image_id"])
    boxes = _known_boxes(boxes, classes, settings.negative, log)
    images = _known_images(images, classes, log)
    boxes, positive = _without_negatives(boxes, settings.negative, log)
    lost = images["image_id"].isin(with_row - positive)
    images.loc[lost, "status"] = "unlabelled"
    for image_id in images.loc[lost, "image_id"]:
        log.add("unlabelled", "quarantined", "None of its rows can be used, so its labels are unknown.", image_id)
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    boxes = pd.concat([boxes, regions], ignore_index=True)
    return Labels(images, boxes, issues, classes, labels.notes, labels.columns)


def _one_spelling(
    labels: Labels, settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, pd.DataFrame, AuditConfig]:
    """Boxes, images and settings in which classes of equal normal form are spelled alike: as the labels first do."""
    given = [name for column in (labels.boxes["label"], labels.images["label"]) for name in column.dropna().unique()]
    known = spellings([*given, *(settings.classes or []), *filter(None, settings.class_map.values())])

    def spelled(name: str) -> str:
        return known.get(nfc(name), name)

    for name in dict.fromkeys(given):
        if name != spelled(name):
            detail = f"'{name}' is spelled in two ways that Unicode holds equal; they are one class."
            log.add("class_spelling", "merged", detail)
    names = {name: spelled(name) for name in given}
    boxes, images = (
        table.assign(label=table["label"].map(names).astype("string")) for table in (labels.boxes, labels.images)
    )
    changed = {
        "classes": settings.classes and [spelled(name) for name in settings.classes],
        "class_map": {spelled(name): target and spelled(target) for name, target in settings.class_map.items()},
        "negative": settings.negative and spelled(settings.negative),
    }
    return boxes, images, settings.model_copy(update=changed)


def _learnable(images: pd.DataFrame, boxes: pd.DataFrame) -> set[str]:
    """Labels of images, and of boxes of single objects, that are not the test's."""
    learned = images[images["subset"] != "test"]
    objects = boxes[~boxes["ignore"] & boxes["image_id"].isin(learned["image_id"])]
    return set(objects["label"].dropna()) | set(learned["label"].dropna())


def _class_names(found: set[str], learnable: set[str], settings: AuditConfig, log: IssueLog) -> list[str]:
    """The classes in order; raise UsageError for a setting that names a class the data doesn't have."""
    for name in settings.class_map:
        if name not in found:
            raise UsageError(f"audit.class_map: no label is called '{name}'{nearest(name, found)}.")
    mapped = {settings.class_map.get(name, name) for name in found}
    left = {name for name in mapped if name is not None}
    negative = settings.negative
    alike = {name for name in left if negative and name.lower() == negative.lower()}
    if alike and negative not in alike:
        raise UsageError(f"audit.negative: no label is called '{negative}'; did you mean '{min(alike)}'?")
    left -= alike
    trained = left & {settings.class_map.get(name, name) for name in learnable}
    if settings.classes is None:
        if not trained:
            raise DataError("No training label is left once audit.class_map and audit.negative have been applied.")
        return sorted(trained)
    unlisted = left - set(settings.classes)
    for name in settings.classes:
        if name not in left and unlisted:  # with every label listed, the class is rare, not misspelt
            raise UsageError(f"audit.classes: no label is called '{name}'{nearest(name, unlisted)}.")
        if name not in trained:
            log.add("absent_class", "listed", f"No training label is called '{name}', which audit.classes names.")
    return list(settings.classes)


def _mapped(
    boxes: pd.DataFrame, images: pd.DataFrame, settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rename, merge and drop classes; an image whose class is dropped is no longer used."""
    for name, target in settings.class_map.items():
        if target is None:
            in_boxes, in_images = boxes["label"] == name, (images["label"] == name).fillna(False)
            images.loc[in_images, "status"] = "unlabelled"
            boxes = boxes[~in_boxes]
            what = f"{int(in_boxes.sum()):,} boxes" if in_boxes.any() else f"{int(in_images.sum()):,} images"
            log.add("dropped_class", "dropped", f"Class '{name}' is dropped by class_map with {what}.")
    names = dict(settings.class_map)
    boxes, images = (
        table.assign(label=table["label"].map(lambda name: names.get(name, name)).astype("string"))
        for table in (boxes, images)
    )
    return boxes, images


def _without_test_only(
    boxes: pd.DataFrame, images: pd.DataFrame, known: set[str | None], log: IssueLog
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop labels that only test images have; one issue a name."""
    names = (set(images["label"].dropna()) | set(boxes["label"].dropna())) - _learnable(images, boxes) - known
    for name in sorted(names):
        in_images, in_boxes = (images["label"] == name).fillna(False), boxes["label"] == name
        held = f"{int(in_boxes.sum()):,} boxes" if in_boxes.any() else f"{int(in_images.sum()):,} images"
        detail = f"Class '{name}' is in the test set alone ({held}), so it can't be learned: it is no class."
        left = "the boxes are dropped" if in_boxes.any() else "they are test images without a label"
        log.add("test_only_class", "dropped", f"{detail[:-1]}; {left}.")
        images.loc[in_images, "label"] = pd.NA
        boxes = boxes[~in_boxes]
    return boxes, images


def _known_boxes(boxes: pd.DataFrame, classes: list[str], negative: str | None, log: IssueLog) -> pd.DataFrame:
    """Boxes of the classes and the negative class; the others are listed."""
    known = boxes["label"].isin([*classes, *([negative] if negative else [])])
    for box in boxes[~known].itertuples():
        detail = f"Class '{box.label}' is not one of {', '.join(classes)}; add it to audit.classes or class_map."
        log.add("unknown_class", "quarantined", detail, box.image_id, box.file, box.row)
    return boxes[known]


def _known_images(images: pd.DataFrame, classes: list[str], log: IssueLog) -> pd.DataFrame:
    """Images (classification) whose label is not a class lose it and are listed; those of the test stay test images."""
    strange = images["label"].notna() & ~images["label"].isin(classes)
    for image in images[strange & (images["status"] == "ok")].itertuples():
        detail = f"Class '{image.label}' is not one of {', '.join(classes)}; add it to audit.classes or class_map."
        action = "dropped" if image.subset == "test" else "quarantined"
        log.add("unknown_class", action, detail, image.image_id, image.path)
    images.loc[strange & (images["subset"] != "test"), "status"] = "unlabelled"
    images.loc[strange, "label"] = pd.NA
    return images


def _straightened(boxes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Boxes whose corners are the wrong way round, turned; each is listed."""
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        wrong = boxes[low] > boxes[high]
        for box in boxes[wrong].itertuples():
            detail = f"{low} {getattr(box, low):g} is above {high} {getattr(box, high):g}; the two are swapped."
            log.add("swapped_box", "repaired", detail, box.image_id, box.file, box.row)
        boxes.loc[wrong, [low, high]] = boxes.loc[wrong, [high, low]].to_numpy()
    return boxes


def _without_negatives(boxes: pd.DataFrame, negative: str | None, log: IssueLog) -> tuple[pd.DataFrame, set[str]]:
    """Boxes without those of the negative class, and the images that any usable row speaks of."""
    is_negative = boxes["label"] == negative if negative else pd.Series(False, index=boxes.index)
    empty = boxes[BOX].isna().any(axis=1) & ~is_negative
    for box in boxes[empty].itertuples():
        detail = f"A row of class '{box.label}' without a box."
        log.add("bad_row", "quarantined", detail, box.image_id, box.file, box.row)
    negatives, boxes = boxes[is_negative], boxes[~is_negative & ~empty]
    with_objects = negatives["image_id"].isin(boxes["image_id"])
    for box in negatives[with_objects].itertuples():
        detail = f"The image is called {negative} and has boxes too; the boxes are kept."
        log.add("negative_with_objects", "dropped", detail, box.image_id, box.file, box.row)
    with_box = ~with_objects & (negatives[BOX].fillna(0) != 0).any(axis=1)
    for box in negatives[with_box].itertuples():
        detail = f"{negative} with the box {box.xmin:g},{box.ymin:g},{box.xmax:g},{box.ymax:g}; it has none."
        log.add("negative_with_box", "repaired", detail, box.image_id, box.file, box.row)
    for box in negatives[~with_objects & negatives["image_id"].duplicated()].itertuples():
        log.add("repeated_row", "dropped", f"A second {negative} row.", box.image_id, box.file, box.row)
    return boxes, set(negatives["image_id"]) | set(boxes["image_id"])


def _first_issue(issues: pd.DataFrame) -> str:
    """The first fault of the label files in a sentence of its own, if there is one."""
    if issues.empty:
        return ""
    first = issues.iloc[0]
    row = "" if pd.isna(first["row"]) else f", row {int(first['row'])}"
    where = first["image_id"] if pd.isna(first["file"]) else f"{first['file']}{row}"
    return f" The first of {len(issues):,} issues is in {where}: {first['detail']}"
