"""Audit a data set: read labels, inspect images, list and repair what is wrong, group and summarise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.config.task_config import TaskConfig
from tropho.data.audit import audit_figures as plots
from tropho.data.audit.audit_summary import depth_notes, summarise
from tropho.data.audit.box_repairs import clip_boxes, resolve_box_frames, resolve_duplicate_boxes
from tropho.data.audit.corrections import Corrector
from tropho.data.audit.grouping import group
from tropho.data.audit.inspect_images import ImageInfo, inspect_images, value_range
from tropho.data.audit.missing_labels import find_missing_labels, ignored, list_findings
from tropho.data.audit.sample_submission import check_sample, with_sample_images
from tropho.data.audit.slides import Slides
from tropho.data.audit.unused_data import list_classes_without_images, list_other_files
from tropho.data.formats import readers
from tropho.data.formats.image_files import ImageFiles
from tropho.data.formats.label_collector import LABELLED_IMAGES, SUBSETS, IssueLog, Labels, read_sizes, table_of
from tropho.images.decode import DECODING, Decoding, ImageReader
from tropho.images.fonts import naming
from tropho.submission.sample_file import find_sample, read_sample
from tropho.tables import BOXES, IMAGES, conform, nfc

DUPLICATE_BOX_IOU = 0.5  # same-class boxes of an image that overlap this much are duplicates
MISSING_LABELS_SIGNIFICANCE = 0.01  # probability of finding a class that annotators left out where none was left out


@dataclass(frozen=True)
class AuditResult:
    """The audited data."""

    images: pd.DataFrame  # tables.IMAGES; training images in the order of the label files, then validation, then test
    boxes: pd.DataFrame  # tables.BOXES
    issues: pd.DataFrame  # tables.ISSUES
    summary: dict[str, Any]  # JSON-safe; see audit_summary.summarise
    slides: Slides | None = None  # those found where audit.cluster_slides asks for it
    decoding: Decoding = DECODING  # how files become pixels


def audit(settings: TaskConfig, raw: Path, root: Path = Path()) -> AuditResult:
    """Read the labels and decode every image in `raw` once; repair, quarantine and list what is wrong.

    Paths in the settings are relative to `root`.

    Raises:
        UsageError: a setting names a class, a file or a group that isn't there.
        DataError: no label can be read, or the sample submission asks for none of the test images.
    """
    config, log = settings.audit, IssueLog()
    labels, on_disk = readers.read(settings, raw), ImageFiles(raw)
    sample_file = find_sample(raw, config.sample)
    sample = read_sample(sample_file) if sample_file else None
    labelled = with_sample_images(labels.images, sample, on_disk.paths)
    sample_facts, sample_notes = check_sample(sample, settings, labels, labelled, log, raw)
    images = _add_unlabelled(_add_sizes(labelled, config.image_sizes_csv, root), on_disk.paths, log)
    images, infos, decoding = _inspect(images, raw, on_disk, config, log)
    images, boxes, frame = resolve_box_frames(images, labels.boxes, infos, log, _relative_boxes(labels, config))
    images, boxes = _clip(images, boxes, log)
    boxes, duplicate_boxes = resolve_duplicate_boxes(boxes, DUPLICATE_BOX_IOU, config.merge_duplicate_boxes, log)
    if config.corrections is not None:
        is_detection = settings.kind == "detection"
        corrector = Corrector(images, boxes, labels.classes, config.negative, is_detection, config.corrections, log)
        images, boxes = _clip(*corrector.apply(root / config.corrections), log)
    images, slides = group(images, infos, config, log)
    boxes = conform(boxes, BOXES).reset_index(drop=True)
    findings, ignore = [], config.missing_labels == "detect"
    if config.missing_labels != "none":
        findings = find_missing_labels(images, boxes[~boxes["ignore"]], labels.classes, MISSING_LABELS_SIGNIFICANCE)
        list_findings(findings, ignore, log)
    images["ignore_classes"] = ignored(images, findings if ignore else [])
    other_files = list_other_files(raw, on_disk.left_aside, log)
    list_classes_without_images(images, boxes, labels.classes, log)
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    summary = summarise(images, boxes, issues, labels.classes, infos, duplicate_boxes, findings, config)
    summary |= {"columns": labels.columns, "other_files": other_files, "sample": sample_facts}
    summary |= {"box_frame": frame, **decoding.record()}
    summary["notes"] += [*labels.notes, *sample_notes, *depth_notes(images, infos, decoding)]
    if slides:
        summary["notes"].append(slides.sentence)
    return AuditResult(conform(images, IMAGES), boxes, issues, summary, slides, decoding)


def figures(result: AuditResult, raw: Path, to: Path) -> None:
    """Write PNGs of class counts, sizes, issues, duplicates and slides, where there are any, into the folder `to`."""
    images, slides, reader = result.images, result.slides, ImageReader(raw, result.decoding)
    objects = result.boxes[~result.boxes["ignore"]]
    with naming(result.summary["classes"]):
        plots.class_counts(result.summary, to / "class_counts.png")
        if images["width"].notna().any():
            plots.image_sizes(images, to / "image_sizes.png")
        if len(objects):
            plots.box_sizes(objects, result.summary["classes"], to / "box_sizes.png")
            plots.objects_per_image(images, objects, to / "objects_per_image.png")
        if len(result.issues):
            plots.issue_counts(result.issues, to / "issues.png")
        if images["duplicate"].notna().any():
            plots.duplicate_pairs(images, reader, to / "duplicates.png")
        if slides and slides.count:
            plots.slide_distances(slides, to / "same_slide_distances.png")
            plots.slide_groups(slides, images, reader, to / "same_slide_groups.png")


def _add_sizes(labelled: pd.DataFrame, path: str | None, root: Path) -> pd.DataFrame:
    """Fill in stated sizes from a table, where the label files state none."""
    if path is None:
        return labelled
    sizes = read_sizes(root / path)
    sizes = sizes.set_index(sizes["image_id"].fillna("").map(nfc)).drop(columns="image_id")
    sizes = sizes[~sizes.index.duplicated()].reindex(labelled["image_id"].map(nfc)).set_axis(labelled.index)
    return labelled.fillna({f"stated_{side}": sizes[side].astype("Int64") for side in ("width", "height")})


def _add_unlabelled(labelled: pd.DataFrame, on_disk: list[str], log: IssueLog) -> pd.DataFrame:
    """Add the images on disk that no label names, and list them; sort by subset."""
    known = set(labelled["image_id"])
    unlabelled = sorted(set(on_disk) - set(labelled["path"]))
    ids = {path: f"{path} (unlabelled)" if path in known else path for path in unlabelled}
    for path, image_id in ids.items():
        log.add("unlabelled", "listed", "No label is surely this file's; it is not used.", image_id, path)
    rows = ({"image_id": ids[path], "path": path, "subset": "train", "status": "unlabelled"} for path in unlabelled)
    images = pd.concat([labelled, table_of(rows, LABELLED_IMAGES)], ignore_index=True)
    order = {name: -place for place, name in enumerate(SUBSETS)}
    return images.sort_values("subset", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _inspect(
    images: pd.DataFrame, raw: Path, on_disk: ImageFiles, config: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, dict[str, ImageInfo], Decoding]:
    """Decode the images; return them with what their files hold, the infos by path, and how files are decoded."""
    paths = [path for path in dict.fromkeys(images["path"]) if path in on_disk]
    decoding = _decoding(images, raw, paths, config.max_megapixels)
    infos = inspect_images(raw, paths, config.cluster_slides, decoding)
    readable = {path: info for path, info in infos.items() if not info.fault}
    path = images["path"]
    for image in images.itertuples():
        _list_file_issues(image, infos.get(str(image.path)), log)
    status = images["status"].where(path.isin(readable), "unreadable").where(path.isin(infos), "missing")
    images = images.assign(status=status, sha256=path.map({name: info.sha256 for name, info in infos.items()}))
    for fact in ("width", "height", "device"):
        images[fact] = path.map({name: getattr(info, fact) or None for name, info in readable.items()})
    kinds = {"width": "Int64", "height": "Int64", "device": "string", "sha256": "string"}
    return images.astype(kinds), infos, decoding


def _decoding(images: pd.DataFrame, raw: Path, paths: list[str], limit: float) -> Decoding:
    """Scale images of more than 8 bits by the range of the training images, or of all where none of those is deep."""
    training = set(images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "path"])
    known = value_range(raw, [path for path in paths if path in training], limit)
    return Decoding(limit, known or value_range(raw, [path for path in paths if path not in training], limit))


def _list_file_issues(image: Any, info: ImageInfo | None, log: IssueLog) -> None:
    """List what is wrong with one image's file."""
    place = image.image_id, image.path
    if info is None or info.fault:
        kind, detail = ("unreadable", info.fault) if info else ("missing", "There is no such file.")
        log.add(kind, "quarantined", detail, *place)
        return
    if info.frames > 1:
        detail = f"The file holds {info.frames:,} pictures (an animation or a stack); the first alone is read."
        log.add("further_frames", "listed", detail, *place)
    if info.mistyped:
        detail = f"The file holds {info.format}, not what its ending says; it is read all the same."
        log.add("mistyped", "listed", detail, *place)


def _relative_boxes(labels: Labels, config: AuditConfig) -> set[str]:
    """Find the images whose boxes are shares of a picture that the labels give no size of."""
    tables = [name for name, facts in labels.columns.items() if facts.get("unit") == "shares"]
    relative = labels.boxes["file"].isin(tables) | (config.format == "yolo")
    unsized = labels.images.loc[labels.images["stated_width"].isna(), "image_id"]
    return set(labels.boxes.loc[relative, "image_id"]) & set(unsized)


def _clip(images: pd.DataFrame, boxes: pd.DataFrame, log: IssueLog) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clip the boxes of images that are used or missing; an image that loses all is unlabelled, not negative."""
    boxes = boxes[boxes["image_id"].isin(images.loc[images["status"].isin(["ok", "missing"]), "image_id"])]
    before = set(boxes["image_id"])
    boxes = clip_boxes(boxes, images.set_index("image_id"), log)
    emptied = images["image_id"].isin(before - set(boxes["image_id"])) & (images["status"] == "ok")
    log.mark_unlabelled(images, emptied, "All its boxes were dropped, so its labels are unknown.")
    return images, boxes
