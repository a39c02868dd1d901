"""Chapters on data: what there is, and how it is prepared."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tropho.data.split.folds import sizes_of
from tropho.plots.format_numbers import count, format_value, humanize
from tropho.report.blocks import (
    Block,
    Details,
    Heading,
    KeyValues,
    Table,
    Text,
    bullets,
    figures,
    missing_stage,
    text_tables,
)
from tropho.report.reader import Reader, texts
from tropho.tables import ISSUES, split_regions

Counts = dict[str, float]

MAX_EXAMPLES = 3
NORMALIZED = " The network subtracts the mean and divides by the standard deviation of ImageNet."
"""Of all networks but those of transformers, which bring their own."""


def data(reader: Reader) -> list[Block]:
    """Show the audit: counts, issues with examples, figures."""
    summary, images = reader.summary, reader.images
    if not summary and images is None:
        return [missing_stage("audit", reader.task.name, "The data has not been audited")]
    blocks = bullets(summary.get("notes"))
    if images is None:
        blocks.append(Text("The table of images is missing."))
    else:
        blocks.extend(_image_counts(images, reader.boxes))
    blocks.extend(_issues(reader.table(reader.paths.audit / "issues.csv", ISSUES)))
    blocks.extend(figures(reader.pictures(reader.paths.audit / "figures")))
    facts = [(title, _in_words(key, summary.get(key))) for key, title in texts("summary").items()]
    if more := [(title, text) for title, text in facts if text]:
        blocks.append(Details("More about the images", [KeyValues(more)]))
    return blocks


def _in_words(key: str, value: Any) -> str:
    """Put a part of summary.json into words; empty values and counts of 0 are left out."""
    if not value:
        return ""
    if key == "colour_modes":
        modes = {name: ", ".join(f"{mode} {share:.0%}" for mode, share in by.items()) for name, by in value.items()}
        return "; ".join(f"{name}: {text}" for name, text in modes.items())
    if isinstance(value, dict):
        words = texts("summary_parts")
        parts = {words.get(name, name): inner for name, inner in value.items() if inner and not isinstance(inner, dict)}
        return ", ".join(f"{name}: {format_value(inner)}" for name, inner in parts.items())
    return format_value(value)


def _image_counts(images: pd.DataFrame, boxes: pd.DataFrame | None) -> list[Block]:
    """Count the images of each subset: all, those with a fault, and labels by class."""
    faults = sorted(str(name) for name in images["status"].dropna().unique() if name != "ok")
    rows: dict[str, tuple[Counts, Counts]] = {}
    for subset, part in images.groupby("subset", sort=False):
        faulty = {f"{name} images": int((part["status"] == name).sum()) for name in faults}
        rows[str(subset)] = {"images": len(part), **faulty}, _label_counts(part, boxes)
    return _counts_table("Images and labels", "subset", rows)


def _counts_table(title: str, first: str, parts: Mapping[str, tuple[Counts, Counts]]) -> list[Block]:
    """One row a part, from its image counts and its label counts; dashes if a part has no labels at all."""
    columns: dict[str, dict[str, str]] = {}
    for i in (0, 1):
        for name in dict.fromkeys(name for counts in parts.values() for name in counts[i]):
            columns[f"{name} (class)" if name in columns else name] = {
                part: count(counts[i].get(name, 0)) if counts[i] else "–" for part, counts in parts.items()
            }
    return text_tables(title, first, columns, len(columns) or 1)


def _label_counts(part: pd.DataFrame, boxes: pd.DataFrame | None) -> Counts:
    """Count the labels of these images by class; empty if they have none at all."""
    if boxes is not None and len(boxes):
        inside = boxes[boxes["image_id"].isin(part["image_id"])]
        if inside.empty:
            return {}
        objects, regions = split_regions(inside)
        counts: Counts = {f"{name} boxes": int(n) for name, n in objects["label"].value_counts().sort_index().items()}
        counts |= {"ignored regions": len(regions)} if len(regions) else {}
        return {**counts, "images without boxes": int((~part["image_id"].isin(inside["image_id"])).sum())}
    if "label" in part:
        return {str(name): int(n) for name, n in part["label"].value_counts().sort_index().items()}
    return {}


def _issues(issues: pd.DataFrame | None) -> list[Block]:
    if issues is None:
        return [Text("The table of issues is missing.")]
    if issues.empty:
        return [Text("The audit found no issues.")]
    rows, examples = [], []
    for kind, part in issues.groupby("kind"):
        action = ", ".join(sorted(part["action"].dropna().unique()))
        rows.append((-len(part), [humanize(kind), action, count(len(part))]))
        examples += [[humanize(kind), *_example(row)] for _, row in part.head(MAX_EXAMPLES).iterrows()]
    counts = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    title = f"Examples of issues (up to {MAX_EXAMPLES} of each kind; issues.csv lists all)"
    return [
        Table("Issues", ["kind", "what was done", "count"], counts, numbers_from=2),
        Details(title, [Table("", ["kind", "image", "where", "what"], examples, numbers_from=4)]),
    ]


def _example(row: pd.Series) -> list[str]:
    image, file, detail = row[["image_id", "file", "detail"]].fillna("")
    where = file if pd.isna(row["row"]) else f"{file}, line {row['row']}"
    return [image, "" if where == image else where, detail]


def preprocessing(reader: Reader) -> list[Block]:
    """Show how images are prepared: resizing, augmentation, and the split into folds and test."""
    return [*_augmentation(reader), *_split(reader)]


def _split(reader: Reader) -> list[Block]:
    """Show what each fold holds, and which training images are left out."""
    title = Heading("Split into folds and test")
    splits, images = reader.splits, reader.images
    if splits is None:
        return [title, missing_stage("split", reader.task.name, "The images have not been split")]
    if images is not None:
        splits = splits.merge(images[["image_id", "label", "width", "height"]], on="image_id", how="left")
        splits["size"] = sizes_of(splits[["width", "height"]])
    notes = bullets(reader.json(reader.paths.splits.with_suffix(".json")).get("notes"))
    folds = _folds(splits, reader.boxes)
    return [title, *notes, *folds, *_left_out(reader.task.train.empty_fraction)]


def _left_out(share: float) -> list[Block]:
    """Say how many of the images without boxes a detector trains on, unless it is all of them."""
    if share == 1.0:
        return []
    some = f"on {share:.0%} of a fold's training images without boxes, drawn at random" if share else "on none without"
    return [Text(f"Detectors train on all images with boxes and {some}; validation and test have all images.")]


def _folds(splits: pd.DataFrame, boxes: pd.DataFrame | None) -> list[Block]:
    """Count images, groups, sizes (if there are several) and labels of each fold and of what is in no fold."""
    folds = splits[splits["subset"] == "train"].groupby("fold", sort=True)
    parts = [(f"fold {fold}", part) for fold, part in folds]
    parts += [(subset, splits[splits["subset"] == subset]) for subset in ("test", "excluded")]
    sizes = list(splits["size"].value_counts().index) if "size" in splits else []
    rows = {}
    for name, part in parts:
        if part.empty:
            continue
        images: Counts = {"images": len(part), "groups": int(part["group"].nunique())}
        if len(sizes) > 1:
            images |= {str(size): int((part["size"] == size).sum()) for size in sizes}
        labels = _label_counts(part, boxes)
        if boxes is not None and "images without boxes" in labels:
            per_image = part["image_id"].map(split_regions(boxes)[0]["image_id"].value_counts()).fillna(0)
            labels["boxes per image (median)"] = float(per_image.median())
        rows[name] = images, labels
    return _counts_table("Folds", "part", rows)


def _augmentation(reader: Reader) -> list[Block]:
    """Show images before and after augmentation, and the steps of the policy."""
    title, name = Heading("Resizing and augmentation"), reader.task.name
    record = reader.json(reader.paths.augmented / "policy.json")
    previews = figures(reader.pictures(reader.paths.augmented))
    if not record and not previews:
        return [title, missing_stage("augment", name, "The images have not been resized")]
    policy = record.get("policy", {})
    augment = reader.task.augment
    how = f"Images are resized to {policy.get('size', augment.image_size)} pixels on the longer side"
    colour = "; colours are dropped" if augment.grayscale else ""
    steps = list(_steps(record))
    named = f"In training, each image is changed at random (policy {policy.get('name', augment.policy)})."
    return [
        title,
        Text(f"{how}{colour}.{'' if 'detr' in reader.task.model.name else NORMALIZED}"),
        Text(named if steps else "Nothing is changed at random in training."),
        *previews,
        *([Details("Steps of the policy", [Table("", ["step", "settings"], steps, 2)], printed=True)] if steps else []),
    ]


def _steps(node: Any) -> Iterator[list[str]]:
    """Name and settings of the innermost transforms in a serialised policy."""
    if isinstance(node, list):
        for inner in node:
            yield from _steps(inner)
    elif isinstance(node, dict):
        nested = [step for value in node.values() for step in _steps(value)]
        name = node.get("__class_fullname__") or node.get("name")
        yield from nested
        if name and not nested:
            rest = {key: value for key, value in node.items() if key not in {"__class_fullname__", "name"}}
            yield [str(name).rpartition(".")[2], format_value(rest)]
