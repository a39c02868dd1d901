"""The page's chapters on data: what the audit found, and what augmentation does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.plots import format_numbers
from tropho.report.block_builders import facts_of, figures, frame_table, todo
from tropho.report.blocks import Block, Details, List, Section, Table, Text
from tropho.report.image_embedder import ImageEmbedder
from tropho.report.reader import Folders, Reader
from tropho.tables import split_regions

Counts = dict[str, float]

EXAMPLES = 3
# What the audit's summary says and the page shows in other words, or as tables.
TOLD = (
    "notes",
    "images",
    "usable",
    "missing",
    "status",
    "subsets",
    "boxes",
    "doubles",
    "issues",
    "test_labelled",
)


def data(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """Counts of the audit, its issues by kind with examples, and its figures."""
    section = Section("data", "Data")
    summary = reader.json(folders.audit / "summary.json")
    images = reader.table(folders.audit / "images.csv")
    if not summary and images is None:
        section.blocks.append(todo("audit", settings.name, "The data has not been audited"))
        return section
    boxes = reader.table(folders.audit / "boxes.csv")
    notes = summary.get("notes")
    if isinstance(notes, list) and notes:
        section.blocks.append(List([str(note) for note in notes]))
    elif missing := format_numbers.as_number(summary.get("missing")):
        section.blocks.append(Text(f"{missing:,.0f} images are named in the tables but are not there.", warn=True))
    section.blocks.append(_image_counts(images, boxes))
    section.blocks.extend(_issues(reader.table(folders.audit / "issues.csv")))
    section.blocks.extend(figures(reader.pictures(folders.audit / "figures"), album))
    if rest := {key: value for key, value in summary.items() if key not in TOLD and value not in (None, {}, [])}:
        section.blocks.append(Details("More about the images", facts_of(rest)))
    return section


def _image_counts(images: pd.DataFrame | None, boxes: pd.DataFrame | None) -> Block:
    """Images by subset: in all, fit for use, by label or with boxes by class."""
    if images is None or not {"image_id", "subset"} <= set(images):
        return Text("The table of images is missing.")
    status = images["status"] if "status" in images else pd.Series("ok", index=images.index)
    rows: dict[str, tuple[Counts, Counts]] = {}
    for subset, part in images.groupby("subset", sort=False):
        others = {f"{name} images": int((status[part.index] == name).sum()) for name in _others(status)}
        rows[str(subset)] = {"images": len(part), **others}, content(part, boxes)
    return counts_table("Images and labels", "subset", rows)


def counts_table(title: str, first: str, rows: Mapping[str, tuple[Counts, Counts]]) -> Table:
    """A row a part: counts every part has, then labels; dashes where a part carries no labels at all."""
    names = [dict.fromkeys(name for row in rows.values() for name in row[place]) for place in (0, 1)]
    cells = [
        [
            name,
            *(format_numbers.count(always.get(each, 0)) for each in names[0]),
            *(format_numbers.count(labels.get(each, 0)) if labels else "–" for each in names[1]),
        ]
        for name, (always, labels) in rows.items()
    ]
    return Table(title, [first, *names[0], *names[1]], cells)


def _others(status: pd.Series) -> list[str]:
    return sorted(str(name) for name in status.dropna().unique() if name != "ok")


def content(part: pd.DataFrame, boxes: pd.DataFrame | None) -> Counts:
    """How many labels of each class these images carry; nothing where they carry none at all."""
    if boxes is not None and len(boxes) and {"image_id", "label"} <= set(boxes):
        inside = boxes[boxes["image_id"].isin(part["image_id"])]
        if inside.empty:
            return {}
        objects, regions = split_regions(inside)
        counts = {f"{name} boxes": int(number) for name, number in objects["label"].value_counts().sort_index().items()}
        counts |= {"ignored regions": len(regions)} if len(regions) else {}
        return {**counts, "images without boxes": int((~part["image_id"].isin(inside["image_id"])).sum())}
    if "label" in part:
        return {str(name): int(number) for name, number in part["label"].value_counts().sort_index().items()}
    return {}


def _issues(issues: pd.DataFrame | None) -> list[Block]:
    if issues is None or "kind" not in issues:
        return [Text("The table of issues is missing.")]
    if issues.empty:
        return [Text("The audit found nothing wrong.")]
    rows, examples = [], []
    for kind, part in issues.groupby("kind"):
        action = ", ".join(sorted(part["action"].dropna().unique())) if "action" in part else ""
        rows.append([str(kind).replace("_", " "), action, format_numbers.count(len(part))])
        examples += [[str(kind).replace("_", " "), *_example(row)] for _, row in part.head(EXAMPLES).iterrows()]
    rows.sort(key=lambda row: -int(row[2].replace(",", "")))
    return [
        Table("Issues", ["kind", "what was done", "count"], rows, numbers_from=2),
        Details(
            f"Examples of issues (up to {EXAMPLES} of each kind; all are in issues.csv)",
            [Table("", ["kind", "image", "where", "what"], examples, numbers_from=9)],
        ),
    ]


def _example(row: pd.Series) -> list[str]:
    cells = {key: "" if pd.isna(row.get(key)) else str(row.get(key)) for key in ("image_id", "file", "detail")}
    line = format_numbers.as_number(row.get("row"))
    where = f"{cells['file']}, line {line:.0f}" if line is not None else cells["file"]
    return [cells["image_id"], where if where != cells["image_id"] else "", cells["detail"]]


def augmentation(settings: TaskConfig, folders: Folders, reader: Reader, album: ImageEmbedder) -> Section:
    """Pictures before and after the policy, and the policy itself."""
    section = Section("augmentation", "Augmentation")
    policy = reader.json(folders.augmented / "policy.json")
    pictures = figures(reader.pictures(folders.augmented), album)
    if not policy and not pictures:
        section.blocks.append(todo("augment", settings.name, "The images have not been packed"))
        return section
    built = policy.get("policy")
    built = built if isinstance(built, dict) else {}
    name, size = built.get("name", settings.augment.policy), built.get("size", settings.augment.image_size)
    section.blocks.append(Text(f"Images are packed at {size} pixels on the longer side; policy “{name}”."))
    section.blocks.extend(pictures)
    if steps := list(_steps(policy)):
        table = frame_table(pd.DataFrame(steps, columns=["step", "settings"]), "")
        section.blocks.append(Details("Steps of the policy", [table]))
    return section


def _steps(policy: Any) -> list[tuple[str, str]]:
    """The named transforms in a serialised policy, outermost containers left out."""
    found: list[tuple[str, str]] = []
    if isinstance(policy, list):
        for each in policy:
            found += _steps(each)
    elif isinstance(policy, dict):
        inner = [value for value in policy.values() if isinstance(value, (dict, list))]
        name = policy.get("__class_fullname__") or policy.get("name")
        nested = [step for value in inner for step in _steps(value)]
        if name and not nested:
            rest = {key: value for key, value in policy.items() if key not in {"__class_fullname__", "name"}}
            return [(str(name).rpartition(".")[2], format_numbers.format_value(rest))]
        found += nested
    return found
