"""Chapters on data: audit, split, augmentation."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tropho.data.split.folds import sizes_of
from tropho.plots.format_numbers import as_number, count, format_value, humanize
from tropho.report.blocks import (
    Block,
    Details,
    Section,
    Table,
    Text,
    bullets,
    figures,
    key_values,
    missing_stage,
    text_tables,
)
from tropho.report.reader import Reader
from tropho.tables import SPLITS, split_regions

Counts = dict[str, float]

MAX_EXAMPLES = 3
SHOWN_ELSEWHERE = {
    *("notes", "images", "usable", "missing", "status", "subsets", "boxes", "doubles", "issues", "test_labelled"),
}
"""Keys of summary.json that the chapter shows as tables or sentences."""
TITLES = {
    "negative": "negative class",
    "sizes": "images by size in pixels",
    "colour_modes": "share of images by colour mode",
    "colour_mode_tells": "accuracy of guessing the class from the colour mode",
    "duplicates": "repeated images",
    "missing_labels": "labels that are missing",
    "columns": "columns of the tables",
    "sample": "sample submission",
    "box_frame": "frame of the boxes",
    "max_megapixels": "largest image accepted, in megapixels",
    "value_range": "range of pixel values",
}


def data(reader: Reader) -> Section:
    """Show the audit: counts, issues with examples, figures."""
    blocks: list[Block] = []
    folder = reader.paths.audit
    summary, images = reader.json(folder / "summary.json"), reader.table(folder / "images.csv")
    if not summary and images is None:
        return Section("data", "Data", [missing_stage("audit", reader.task.name, "The data has not been audited")])
    blocks.extend(bullets(summary.get("notes")))
    blocks.extend(_image_counts(images, reader.table(folder / "boxes.csv")))
    blocks.extend(_issues(reader.table(folder / "issues.csv")))
    blocks.extend(figures(reader.pictures(folder / "figures")))
    if more := _more(summary):
        blocks.append(Details("More about the images", [key_values(more)]))
    return Section("data", "Data", blocks)


def _more(summary: dict[str, Any]) -> dict[str, Any]:
    """Collect the rest of the summary under readable titles; empty values and counts of 0 are left out."""
    classes = summary.get("classes")
    names = set(map(str, classes)) if isinstance(classes, list) else set()

    def readable(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key if key in names else humanize(key): readable(inner) for key, inner in value.items() if inner}

    rest = {TITLES.get(key, key): readable(value) for key, value in summary.items() if key not in SHOWN_ELSEWHERE}
    return {title: value for title, value in rest.items() if value}


def _image_counts(images: pd.DataFrame | None, boxes: pd.DataFrame | None) -> list[Block]:
    """Count the images of each subset: all, those with a fault, and labels by class."""
    if images is None or not {"image_id", "subset"} <= set(images):
        return [Text("The table of images is missing.")]
    status = images["status"] if "status" in images else pd.Series("ok", index=images.index)
    faults = sorted(str(name) for name in status.dropna().unique() if name != "ok")
    rows: dict[str, tuple[Counts, Counts]] = {}
    for subset, part in images.groupby("subset", sort=False):
        faulty = {f"{name} images": int((status[part.index] == name).sum()) for name in faults}
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
    if boxes is not None and len(boxes) and {"image_id", "label"} <= set(boxes):
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
    if issues is None or "kind" not in issues:
        return [Text("The table of issues is missing.")]
    if issues.empty:
        return [Text("The audit found no issues.")]
    rows, examples = [], []
    for kind, part in issues.groupby("kind"):
        action = ", ".join(sorted(part["action"].dropna().unique())) if "action" in part else ""
        rows.append((-len(part), [humanize(kind), action, count(len(part))]))
        examples += [[humanize(kind), *_example(row)] for _, row in part.head(MAX_EXAMPLES).iterrows()]
    counts = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    title = f"Examples of issues (up to {MAX_EXAMPLES} of each kind; issues.csv lists all)"
    return [
        Table("Issues", ["kind", "what was done", "count"], counts, numbers_from=2),
        Details(title, [Table("", ["kind", "image", "where", "what"], examples, numbers_from=4)]),
    ]


def _example(row: pd.Series) -> list[str]:
    image, file, detail = ("" if pd.isna(row.get(key)) else str(row[key]) for key in ("image_id", "file", "detail"))
    line = as_number(row.get("row"))
    where = f"{file}, line {line:.0f}" if line is not None else file
    return [image, "" if where == image else where, detail]


def split(reader: Reader) -> Section:
    """Show what each fold holds, and which training images are left out."""
    splits = reader.table(reader.paths.splits)
    if splits is None or not set(SPLITS) <= set(splits):
        return Section("split", "Split", [missing_stage("split", reader.task.name, "The images have not been split")])
    images = reader.table(reader.paths.audit / "images.csv")
    if images is not None and {"image_id", "label", "width", "height"} <= set(images):
        splits = splits.merge(images[["image_id", "label", "width", "height"]], on="image_id", how="left")
        splits["size"] = sizes_of(splits[["width", "height"]].apply(pd.to_numeric, errors="coerce").astype("Int64"))
    notes = bullets(reader.json(reader.paths.splits.with_suffix(".json")).get("notes"))
    return Section("split", "Split", [*notes, *_folds(splits, reader.table(reader.paths.audit / "boxes.csv"))])


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


def augmentation(reader: Reader) -> Section:
    """Show images before and after augmentation, and the steps of the policy."""
    blocks: list[Block] = []
    record = reader.json(reader.paths.augmented / "policy.json")
    previews = figures(reader.pictures(reader.paths.augmented))
    if not record and not previews:
        return Section(
            "augmentation",
            "Augmentation",
            [missing_stage("augment", reader.task.name, "The images have not been resized")],
        )
    policy = record.get("policy")
    policy = policy if isinstance(policy, dict) else {}
    name = policy.get("name", reader.task.augment.policy)
    size = policy.get("size", reader.task.augment.image_size)
    blocks.append(Text(f"Images are resized to {size} pixels on the longer side. Policy: {name}."))
    blocks.extend(previews)
    if steps := list(_steps(record)):
        blocks.append(Details("Steps of the policy", [Table("", ["step", "settings"], steps, numbers_from=2)]))
    return Section("augmentation", "Augmentation", blocks)


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
