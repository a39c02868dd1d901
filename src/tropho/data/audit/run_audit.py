"""What is wrong with the data: unreadable, missing, duplicated, mislabelled; and clean tables of the rest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.config.task_config import TaskConfig
from tropho.data.audit import audit_figures as plots
from tropho.data.audit import slide_figures as slide_plots
from tropho.data.audit.audit_summary import summarise
from tropho.data.audit.box_frames import resolve_box_frames
from tropho.data.audit.check_boxes import clip_boxes
from tropho.data.audit.corrections import Corrector
from tropho.data.audit.depth_notes import depth_notes
from tropho.data.audit.duplicate_boxes import resolve_duplicate_boxes
from tropho.data.audit.grouping import group
from tropho.data.audit.inspect_images import ImageInfo, inspect_images, value_range
from tropho.data.audit.missing_labels import Finding, find_missing_labels, ignored, list_findings
from tropho.data.audit.sample_submission import check_sample, task_sample, with_sample_images
from tropho.data.audit.slides import Slides
from tropho.data.audit.unused_files import list_classes_without_images, list_other_files
from tropho.data.formats import readers
from tropho.data.formats.image_files import ImageFiles
from tropho.data.formats.image_sizes import read_sizes
from tropho.data.formats.labels import LABELLED_IMAGES, SUBSETS, IssueLog, Labels, table_of
from tropho.images.decode import DECODING, Decoding, ImageReader
from tropho.images.fonts import naming
from tropho.tables import BOXES, IMAGES, conform, nfc

DUPLICATE_BOX_IOU = 0.5
"""Same-class boxes of an image that overlap this much are duplicates."""
MISSING_LABELS_SIGNIFICANCE = 0.01
"""Probability of finding a class that annotators left out where none was left out."""


@dataclass(frozen=True)
class AuditResult:
    """The clean tables (tables.IMAGES, BOXES, ISSUES) and a summary that JSON can hold."""

    images: pd.DataFrame
    boxes: pd.DataFrame
    issues: pd.DataFrame
    summary: dict[str, Any]
    slides: Slides | None = None
    """What was found where audit.cluster_slides asks for it."""
    decoding: Decoding = DECODING
    """How the files become pixels."""


def audit(settings: TaskConfig, raw: Path, root: Path = Path()) -> AuditResult:
    """Read the labels and decode every image in `raw` once; repair, quarantine and list what is wrong.

    Training images come first, in the order of the label files, then validation and test images. Paths in the
    settings are relative to `root`.

    Raises:
        UsageError: a setting names a class, a file or a group that isn't there.
        DataError: no label can be read, or the sample submission asks for none of the test images.
    """
    labels = readers.read(settings, raw)
    log, sample = IssueLog(), task_sample(settings, raw)
    labelled = with_sample_images(labels.images, sample, raw)
    asked, asked_notes = check_sample(sample, settings, labels, labelled, log, raw)
    stated = _with_sizes(labelled, settings.audit.image_sizes_csv, root)
    images, looks, decoding = _seen_images(stated, raw, settings.audit, log)
    images, boxes, frame = resolve_box_frames(images, labels.boxes, looks, log, _in_shares(labels, settings.audit))
    labels = replace(labels, boxes=boxes)
    images, boxes = _corrected(images, labels, settings, root, log)
    boxes = boxes[boxes["image_id"].isin(_ids(images, "ok", "missing"))]
    before = set(boxes["image_id"])
    boxes = clip_boxes(boxes, images.set_index("image_id"), log)
    emptied = images["image_id"].isin(before - set(boxes["image_id"])) & (images["status"] == "ok")
    images.loc[emptied, "status"] = "unlabelled"  # to call it an image without objects would be a guess
    for image_id in images.loc[emptied, "image_id"]:
        log.add("unlabelled", "quarantined", "All its boxes were dropped, so its labels are unknown.", image_id)
    boxes, doubles = resolve_duplicate_boxes(boxes, DUPLICATE_BOX_IOU, settings.audit.merge_duplicate_boxes, log)
    images, slides = group(images, looks, settings.audit, log)
    boxes = conform(boxes, BOXES).reset_index(drop=True)
    left_out = _left_out(images, boxes[~boxes["ignore"]], labels.classes, settings.audit, log)
    images["ignored"] = ignored(images, left_out if settings.audit.missing_labels == "detect" else [])
    other_files = list_other_files(raw, ImageFiles(raw).left_aside, log)
    list_classes_without_images(images, boxes, labels.classes, log)
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    summary = summarise(images, boxes, issues, labels.classes, looks, doubles, left_out, settings.audit)
    summary |= {"columns": labels.columns, "other_files": other_files, "sample": asked}
    summary |= {"box_frame": frame, **decoding.record()}
    summary["notes"] += [*labels.notes, *asked_notes, *depth_notes(images, looks, decoding)]
    if slides:
        summary["same_slide"] = slides.facts
        summary["notes"].append(slides.sentence)
    return AuditResult(conform(images, IMAGES), boxes, issues, summary, slides, decoding)


def figures(result: AuditResult, raw: Path, to: Path) -> None:
    """Write PNGs of class counts, sizes, issues and duplicates, where there are any, into the folder `to`."""
    with naming(result.summary["classes"]):
        _draw(result, raw, to)


def _draw(result: AuditResult, raw: Path, to: Path) -> None:
    reader = ImageReader(raw, result.decoding)
    plots.class_counts(result.summary, to / "class_counts.png")
    if result.images["width"].notna().any():
        plots.image_sizes(result.images, to / "image_sizes.png")
    objects = result.boxes[~result.boxes["ignore"]]
    if len(objects):
        plots.box_sizes(objects, result.summary["classes"], to / "box_sizes.png")
        plots.objects_per_image(result.images, objects, to / "objects_per_image.png")
    if len(result.issues):
        plots.issue_counts(result.issues, to / "issues.png")
    if result.images["duplicate"].notna().any():
        plots.duplicate_pairs(result.images, reader, to / "duplicates.png")
    if result.slides and result.slides.count:
        slide_plots.distances(result.slides, to / "same_slide_distances.png")
        slide_plots.contact_sheet(result.slides, result.images, reader, to / "same_slide_groups.png")


def _seen_images(
    labelled: pd.DataFrame, raw: Path, settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, dict[str, ImageInfo], Decoding]:
    """The labelled images and those on disk that no label speaks of, what their files hold and how they are read."""
    on_disk = ImageFiles(raw)
    strange = sorted(set(on_disk.paths) - set(labelled["path"]))
    taken = set(labelled["image_id"])
    ids = {path: f"{path} (unlabelled)" if path in taken else path for path in strange}
    for path, image_id in ids.items():
        log.add("unlabelled", "listed", "No label is surely this file's; it is not used.", image_id, path)
    rows = ({"image_id": ids[path], "path": path, "subset": "train", "status": "unlabelled"} for path in strange)
    images = pd.concat([labelled, table_of(rows, LABELLED_IMAGES)], ignore_index=True)
    order = {name: -place for place, name in enumerate(SUBSETS)}
    images = images.sort_values("subset", key=lambda column: column.map(order), kind="stable", ignore_index=True)
    paths = [path for path in dict.fromkeys(images["path"]) if path in on_disk]
    decoding = _decoding(images, raw, paths, settings)
    looks = inspect_images(raw, paths, settings.cluster_slides, decoding)
    for image in images.itertuples():
        _list_faults(image, looks.get(str(image.path)), log)
    missing = ~images["path"].isin(looks)
    unreadable = images["path"].isin([path for path, look in looks.items() if look.fault])
    images.loc[missing, "status"] = "missing"
    images.loc[unreadable, "status"] = "unreadable"
    good = {path: look for path, look in looks.items() if not look.fault}
    return (
        images.assign(
            width=images["path"].map({path: look.width for path, look in good.items()}).astype("Int64"),
            height=images["path"].map({path: look.height for path, look in good.items()}).astype("Int64"),
            device=images["path"].map({path: look.device or None for path, look in good.items()}).astype("string"),
            sha256=images["path"].map({path: look.sha256 for path, look in looks.items()}).astype("string"),
        ),
        looks,
        decoding,
    )


def _decoding(images: pd.DataFrame, raw: Path, paths: list[str], settings: AuditConfig) -> Decoding:
    """Images of more than 8 bits are scaled by what training images hold, or any images where no such one is deep."""
    training = set(images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "path"])
    limit = settings.max_megapixels
    known = value_range(raw, [path for path in paths if path in training], limit)
    return Decoding(limit, known or value_range(raw, [path for path in paths if path not in training], limit))


def _in_shares(labels: Labels, settings: AuditConfig) -> set[str]:
    """Images whose boxes are shares of a picture that the labels give no size of: readers take that of the file."""
    tables = [name for name, facts in labels.columns.items() if facts.get("unit") == "shares"]
    shares = labels.boxes["file"].isin(tables) | (settings.format == "yolo")
    unsized = labels.images.loc[labels.images["stated_width"].isna(), "image_id"]
    return set(labels.boxes.loc[shares, "image_id"]) & set(unsized)


def _with_sizes(labelled: pd.DataFrame, path: str | None, root: Path) -> pd.DataFrame:
    """Labelled images with the sizes that a table gives, where the label files state none."""
    if path is None:
        return labelled
    given = read_sizes(root / path)
    given = given.set_index(given["image_id"].fillna("").map(nfc)).drop(columns="image_id")
    given = given[~given.index.duplicated()].reindex(labelled["image_id"].map(nfc))
    return labelled.assign(
        **{
            f"stated_{side}": labelled[f"stated_{side}"].fillna(given[side].astype("Int64").set_axis(labelled.index))
            for side in ("width", "height")
        }
    )


def _corrected(
    images: pd.DataFrame, labels: Labels, settings: TaskConfig, root: Path, log: IssueLog
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images and boxes with the corrections that the settings name, if they name any."""
    path = settings.audit.corrections
    if path is None:
        return images, labels.boxes
    boxed = settings.kind == "detection"
    double_iou = DUPLICATE_BOX_IOU if settings.audit.merge_duplicate_boxes else None
    corrector = Corrector(images, labels.boxes, labels.classes, settings.audit.negative, boxed, path, log, double_iou)
    return corrector.apply(root / path)


def _left_out(
    images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], settings: AuditConfig, log: IssueLog
) -> list[Finding]:
    """Classes that annotators left out of some images, listed; none where the settings don't ask."""
    if settings.missing_labels == "none":
        return []
    findings = find_missing_labels(images, boxes, classes, MISSING_LABELS_SIGNIFICANCE)
    list_findings(findings, settings.missing_labels == "detect", log)
    return findings


def _list_faults(image: Any, look: ImageInfo | None, log: IssueLog) -> None:
    """List what is wrong with one image's file."""
    if look is None:
        log.add("missing", "quarantined", "There is no such file.", image.image_id, image.path)
        return
    if look.fault:
        log.add("unreadable", "quarantined", look.fault, image.image_id, image.path)
        return
    if look.frames > 1:
        detail = f"The file holds {look.frames:,} pictures (an animation or a stack); the first alone is read."
        log.add("further_frames", "listed", detail, image.image_id, image.path)
    if look.mistyped:
        detail = f"The file holds {look.format}, not what its ending says; it is read all the same."
        log.add("mistyped", "listed", detail, image.image_id, image.path)


def _ids(images: pd.DataFrame, *statuses: str) -> pd.Series:
    return images.loc[images["status"].isin(statuses), "image_id"]
