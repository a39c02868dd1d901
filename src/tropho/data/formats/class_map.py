"""Apply audit.class_map, audit.classes and audit.negative to labels as read."""

from typing import Any

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.formats.label_collector import IssueLog, Labels
from tropho.errors import DataError, UsageError, suggestion
from tropho.tables import BOX, nfc, spellings

Tables = tuple[pd.DataFrame, pd.DataFrame]  # boxes and images


def apply_class_map(labels: Labels, settings: AuditConfig) -> Labels:
    """Rename, merge and drop classes, and remove the boxes of the negative class.

    A name that only test images have is no class, since no model can learn it. Unless the settings list it, those
    labels are dropped, and the images stay test images. A UsageError names a class of the settings that the data
    doesn't have; a DataError says that no label is left.
    """
    log = IssueLog()
    boxes, images, settings = _unify_spellings(labels, settings, log)
    boxes = drop_repeated_boxes(_swap_corners(boxes.fillna({"ignore": False}), log), log)
    boxes, regions = boxes[~boxes["ignore"]], boxes[boxes["ignore"]]  # the name of a region makes no class
    names, trained = set(boxes["label"].dropna()) | set(images["label"].dropna()), _trained_names(images, boxes)
    if not trained:
        hint = _first_issue(labels.issues)
        raise DataError(f"No training label could be read; check audit.format and the label files.{hint}")
    classes = _class_names(names, trained, settings, log)
    boxes, images = _rename(boxes, images, settings, log)
    boxes, images = _drop_test_only(boxes, images, {*classes, settings.negative}, log)
    with_row = set(boxes["image_id"])
    boxes, images = _drop_unknown(boxes, images, classes, settings.negative, log)
    boxes, with_usable_row = _drop_negatives(boxes, settings.negative, log)
    lost = images["image_id"].isin(with_row - with_usable_row)
    log.mark_unlabelled(images, lost, "None of its rows can be used, so its labels are unknown.")
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    boxes = pd.concat([boxes, regions], ignore_index=True)
    return Labels(images, boxes, issues, classes, labels.notes, labels.columns)


def drop_repeated_boxes(boxes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Keep the first of equal boxes (LABELLED_BOXES) in several label files; log each file that repeats another.

    COCO's files of persons, for instance, repeat boxes of its files of all objects.
    """
    if boxes["file"].nunique() < 2:
        return boxes
    first = boxes.groupby(["image_id", "label", *BOX, "ignore"], dropna=False)["file"].transform("first")
    repeated = boxes["file"].notna() & (boxes["file"] != first)
    for file, count in boxes.loc[repeated, "file"].value_counts().items():
        detail = f"{count:,} of its boxes stand in {first[repeated & (boxes['file'] == file)].iloc[0]} too."
        log.add("repeated_boxes", "dropped", detail, None, file)
    return boxes[~repeated]


def _relabel(table: pd.DataFrame, names: dict[str, Any]) -> pd.DataFrame:
    return table.assign(label=table["label"].map(lambda name: names.get(name, name)).astype("string"))


def _unify_spellings(
    labels: Labels, settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, pd.DataFrame, AuditConfig]:
    """Spell classes of equal Unicode normal form as the labels first do, in boxes, images and settings."""
    names = [name for table in (labels.boxes, labels.images) for name in table["label"].dropna().unique()]
    known = spellings([*names, *(settings.classes or []), *filter(None, settings.class_map.values())])

    def spell(name: str) -> str:
        return known.get(nfc(name), name)

    changed = {name: spell(name) for name in dict.fromkeys(names) if name != spell(name)}
    for name in changed:
        detail = f"'{name}' is spelled in two ways that Unicode holds equal; they are one class."
        log.add("class_spelling", "merged", detail)
    update = {
        "classes": settings.classes and [spell(name) for name in settings.classes],
        "class_map": {spell(name): target and spell(target) for name, target in settings.class_map.items()},
        "negative": settings.negative and spell(settings.negative),
    }
    settings = settings.model_copy(update=update)
    return _relabel(labels.boxes, changed), _relabel(labels.images, changed), settings


def _trained_names(images: pd.DataFrame, boxes: pd.DataFrame) -> set[str]:
    """Return the labels of images and boxes outside the test set."""
    trained = images[images["subset"] != "test"]
    objects = boxes[~boxes["ignore"] & boxes["image_id"].isin(trained["image_id"])]
    return set(objects["label"].dropna()) | set(trained["label"].dropna())


def _class_names(names: set[str], trained_names: set[str], settings: AuditConfig, log: IssueLog) -> list[str]:
    """Return the classes in order; raise UsageError for a setting that names a class the data doesn't have."""
    for name in settings.class_map:
        if name not in names:
            raise UsageError(f"audit.class_map: no label is called '{name}'{suggestion(name, names)}.")
    left = {target for target in (settings.class_map.get(name, name) for name in names) if target is not None}
    negative = settings.negative
    alike = {name for name in left if negative and name.lower() == negative.lower()}
    if alike and negative not in alike:
        raise UsageError(f"audit.negative: no label is called '{negative}'; did you mean '{min(alike)}'?")
    left -= alike
    trained = left & {settings.class_map.get(name, name) for name in trained_names}
    if settings.classes is None:
        if not trained:
            raise DataError("No training label is left once audit.class_map and audit.negative have been applied.")
        return sorted(trained)
    unlisted = left - set(settings.classes)
    for name in settings.classes:
        if name not in left and unlisted:  # with every label listed, the class is rare, not misspelt
            raise UsageError(f"audit.classes: no label is called '{name}'{suggestion(name, unlisted)}.")
        if name not in trained:
            log.add("absent_class", "listed", f"No training label is called '{name}', which audit.classes names.")
    return list(settings.classes)


def _rename(boxes: pd.DataFrame, images: pd.DataFrame, settings: AuditConfig, log: IssueLog) -> Tables:
    """Rename, merge and drop classes; an image whose class is dropped becomes unlabelled."""
    for name, target in settings.class_map.items():
        if target is None:
            in_boxes, in_images = boxes["label"] == name, (images["label"] == name).fillna(False)
            images.loc[in_images, "status"] = "unlabelled"
            boxes = boxes[~in_boxes]
            detail = f"Class '{name}' is dropped by class_map with {_count(in_boxes, in_images)}."
            log.add("dropped_class", "dropped", detail)
    return _relabel(boxes, settings.class_map), _relabel(images, settings.class_map)


def _count(in_boxes: pd.Series, in_images: pd.Series) -> str:
    return f"{int(in_boxes.sum()):,} boxes" if in_boxes.any() else f"{int(in_images.sum()):,} images"


def _drop_test_only(boxes: pd.DataFrame, images: pd.DataFrame, known: set[str | None], log: IssueLog) -> Tables:
    """Drop labels that only test images have; one issue a name."""
    names = (set(images["label"].dropna()) | set(boxes["label"].dropna())) - _trained_names(images, boxes) - known
    for name in sorted(names):
        in_images, in_boxes = (images["label"] == name).fillna(False), boxes["label"] == name
        count = _count(in_boxes, in_images)
        left = "the boxes are dropped" if in_boxes.any() else "they are test images without a label"
        detail = f"Class '{name}' is in the test set alone ({count}), so it can't be learned: it is no class; {left}."
        log.add("test_only_class", "dropped", detail)
        images.loc[in_images, "label"] = pd.NA
        boxes = boxes[~in_boxes]
    return boxes, images


def _drop_unknown(
    boxes: pd.DataFrame, images: pd.DataFrame, classes: list[str], negative: str | None, log: IssueLog
) -> Tables:
    """Drop labels that are neither a class nor the negative class; test images without them stay test images."""
    hint = f"is not one of {', '.join(classes)}; add it to audit.classes or class_map."
    known = boxes["label"].isin([*classes, *([negative] if negative else [])])
    log.add_boxes(boxes[~known], "unknown_class", "quarantined", lambda box: f"Class '{box.label}' {hint}")
    unknown = images["label"].notna() & ~images["label"].isin(classes)
    for image in images[unknown & (images["status"] == "ok")].itertuples():
        action = "dropped" if image.subset == "test" else "quarantined"
        log.add("unknown_class", action, f"Class '{image.label}' {hint}", image.image_id, image.path)
    images.loc[unknown & (images["subset"] != "test"), "status"] = "unlabelled"
    images.loc[unknown, "label"] = pd.NA
    return boxes[known], images


def _swap_corners(boxes: pd.DataFrame, log: IssueLog) -> pd.DataFrame:
    """Swap and log corners that are the wrong way round."""
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        wrong = boxes[low] > boxes[high]
        for box in boxes[wrong].itertuples():
            detail = f"{low} {getattr(box, low):g} is above {high} {getattr(box, high):g}; the two are swapped."
            log.add("swapped_box", "repaired", detail, box.image_id, box.file, box.row)
        boxes.loc[wrong, [low, high]] = boxes.loc[wrong, [high, low]].to_numpy()
    return boxes


def _drop_negatives(boxes: pd.DataFrame, negative: str | None, log: IssueLog) -> tuple[pd.DataFrame, set[str]]:
    """Remove boxes of the negative class and rows without a box; return also the images with any usable row."""
    is_negative = boxes["label"] == negative if negative else pd.Series(False, index=boxes.index)
    empty = boxes[BOX].isna().any(axis=1) & ~is_negative
    log.add_boxes(boxes[empty], "bad_row", "quarantined", lambda box: f"A row of class '{box.label}' without a box.")
    negatives, boxes = boxes[is_negative], boxes[~is_negative & ~empty]
    with_objects = negatives["image_id"].isin(boxes["image_id"])
    detail = f"The image is called {negative} and has boxes too; the boxes are kept."
    log.add_boxes(negatives[with_objects], "negative_with_objects", "dropped", lambda _: detail)
    with_box = ~with_objects & (negatives[BOX].fillna(0) != 0).any(axis=1)
    for box in negatives[with_box].itertuples():
        corners = f"{box.xmin:g},{box.ymin:g},{box.xmax:g},{box.ymax:g}"
        detail = f"{negative} with the box {corners}; it has none."
        log.add("negative_with_box", "repaired", detail, box.image_id, box.file, box.row)
    second = negatives[~with_objects & negatives["image_id"].duplicated()]
    log.add_boxes(second, "repeated_row", "dropped", lambda _: f"A second {negative} row.")
    return boxes, set(negatives["image_id"]) | set(boxes["image_id"])


def _first_issue(issues: pd.DataFrame) -> str:
    """Return the first issue of the label files as a sentence, if there is one."""
    if issues.empty:
        return ""
    first = issues.iloc[0]
    row = "" if pd.isna(first["row"]) else f", row {int(first['row'])}"
    where = first["image_id"] if pd.isna(first["file"]) else f"{first['file']}{row}"
    return f" The first of {len(issues):,} issues is in {where}: {first['detail']}"
