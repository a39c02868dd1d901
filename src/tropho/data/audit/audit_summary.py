"""The audit in numbers and sentences."""

from typing import Any

import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.audit.group_names import matched_shares, pattern_keys
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.audit.missing_labels import Finding, sentence

MANY_SIZES = 20
PASSED_OVER = ("ambiguous_name", "test_only_class", "empty_class", "other_file", "other_files", "further_frames")
"""Kinds of issue whose first is told in full."""


def summarise(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    issues: pd.DataFrame,
    classes: list[str],
    looks: dict[str, ImageInfo],
    doubles: tuple[int, int],
    left_out: list[Finding],
    settings: AuditConfig,
) -> dict[str, Any]:
    """Counts by subset, class, status and kind of issue; sizes, colour modes, groups; `notes` in words.

    Ignored regions count apart, and an image that holds them alone is not one without boxes.
    """
    summary: dict[str, Any] = {
        "notes": [],
        "images": len(images),
        "usable": int((images["status"] == "ok").sum()),
        "missing": int((images["status"] == "missing").sum()),
        "classes": classes,
        "negative": settings.negative,
        "test_labelled": _test_labelled(images, boxes),
        "status": _counts(images["status"]),
        "subsets": {name: _subset(part, boxes, classes) for name, part in images.groupby("subset", sort=False)},
        "boxes": int((~boxes["ignore"]).sum()),
        "ignored_regions": int(boxes["ignore"].sum()),
        "doubles": {"pairs": doubles[0], "images": doubles[1]},
        "missing_labels": left_out,
        "corrections": {
            "applied": int(issues["kind"].eq("correction").sum()),
            "quarantined": int(issues["kind"].eq("bad_correction").sum()),
        },
        "issues": _counts(issues["kind"]),
        "sizes": _sizes(images),
        "colour_modes": _colour_modes(images, looks),
        "duplicates": _duplicates(images, issues),
        "groups": _groups(images, boxes, settings),
    }
    modes = _colour_mode_tells(images, looks)
    if modes:
        summary["colour_mode_tells"] = modes
    summary["notes"] = _notes(summary) + _passed_over(issues)
    return summary


def _subset(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    regions = boxes[boxes["image_id"].isin(images["image_id"])]
    inside = regions[~regions["ignore"]]
    by_class: dict[str, dict[str, int]] = {}
    for name in classes:
        of_class = inside[inside["label"] == name]
        labelled = int((images["label"] == name).sum())
        by_class[name] = {"images": labelled or int(of_class["image_id"].nunique()), "boxes": len(of_class)}
    without = int((~images["image_id"].isin(regions["image_id"])).sum())
    counts = {"images": len(images), "usable": int((images["status"] == "ok").sum())}
    return {**counts, "boxes": len(inside), "without_boxes": without, "classes": by_class}


def _test_labelled(images: pd.DataFrame, boxes: pd.DataFrame) -> bool:
    test = images[images["subset"] == "test"]
    return bool(test["label"].notna().any() or (boxes["image_id"].isin(test["image_id"]) & ~boxes["ignore"]).any())


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(name): int(number) for name, number in values.value_counts().sort_index().items()}


def _sizes(images: pd.DataFrame) -> dict[str, int]:
    """Images by size, the commonest first; the many rare sizes in one number."""
    known = images.dropna(subset=["width", "height"])
    counts = (known["width"].astype(str) + "x" + known["height"].astype(str)).value_counts()
    sizes = {str(size): int(number) for size, number in counts.head(MANY_SIZES).items()}
    rest = int(counts.iloc[MANY_SIZES:].sum())
    return {**sizes, f"{len(counts) - MANY_SIZES} other sizes": rest} if rest else sizes


def _modes(images: pd.DataFrame, looks: dict[str, ImageInfo]) -> pd.Series:
    """The colour mode of each image; empty where it can't be read."""
    return images["path"].map({path: look.mode for path, look in looks.items() if not look.fault})


def _colour_modes(images: pd.DataFrame, looks: dict[str, ImageInfo]) -> dict[str, dict[str, float]]:
    """Share of each colour mode among the images of a class (of all, for detection)."""
    modes = _modes(images, looks)
    names = images["label"].astype("object").where(images["label"].notna(), "unlabelled")
    if images["label"].isna().all():
        names = pd.Series("all", index=images.index)
    shares = {
        str(name): {
            str(mode): round(float(share), 4) for mode, share in modes[part.index].value_counts(normalize=True).items()
        }
        for name, part in names.groupby(names)
    }
    return {name: share for name, share in shares.items() if share}


def _colour_mode_tells(images: pd.DataFrame, looks: dict[str, ImageInfo]) -> dict[str, float] | None:
    """How often a guess of the class from the colour mode alone is right, beside a guess from nothing."""
    table = pd.crosstab(_modes(images, looks), images["label"])
    if table.empty or len(table) < 2:
        return None
    total = float(table.to_numpy().sum())
    return {
        "accuracy_from_mode": round(float(table.max(axis=1).sum()) / total, 4),
        "accuracy_from_nothing": round(float(table.sum(axis=0).max()) / total, 4),
    }


def _duplicates(images: pd.DataFrame, issues: pd.DataFrame) -> dict[str, int]:
    known = images[images["duplicate"].notna()]
    in_test = known.loc[known["subset"] == "test", "duplicate"]
    in_validation = known.loc[known["subset"] == "validation", "duplicate"]
    train = known[known["subset"] == "train"]
    sizes = known["duplicate"].value_counts()
    kinds = issues["kind"].value_counts()
    return {
        "exact": int(kinds.get("duplicate_image", 0)),
        "near": int(kinds.get("near_duplicate", 0)),
        "label_conflicts": int((issues["kind"].eq("label_conflict") & issues["action"].eq("listed")).sum()),
        "sets": len(sizes),
        "biggest_set": int(sizes.max()) if len(sizes) else 0,
        "train_images_in_test": int(known.loc[known["subset"] != "test", "duplicate"].isin(in_test).sum()),
        "train_images_in_validation": int(train["duplicate"].isin(in_validation).sum()),
    }


def _groups(images: pd.DataFrame, boxes: pd.DataFrame, settings: AuditConfig) -> dict[str, Any]:
    sizes = images["group"].value_counts()
    if sizes.empty:
        return {"count": 0}
    found: dict[str, Any] = {
        "count": len(sizes),
        "biggest": int(sizes.iloc[0]),
        "biggest_name": str(sizes.index[0]),
    }
    if settings.group_pattern:
        rest = images.loc[pattern_keys(images["image_id"], settings.group_pattern).isna(), "image_id"]
        found["not_matched"] = len(rest)
        found["not_matched_example"] = str(rest.iloc[0]) if len(rest) else None
        shares = matched_shares(images, boxes, settings.group_pattern)
        found["matched"] = {name: round(share, 4) for name, share in shares.items()}
    return found


def _notes(summary: dict[str, Any]) -> list[str]:
    """What a person should know first, in sentences."""
    total, issues, status = summary["images"], summary["issues"], summary["status"]
    doubles, duplicates = summary["doubles"], summary["duplicates"]
    dropped = sum(issues.get(kind, 0) for kind in ("zero_area", "outside", "too_small"))
    rows = sum(issues.get(kind, 0) for kind in ("bad_row", "bad_annotation", "unknown_class"))
    pairs, copies = duplicates["train_images_in_test"], duplicates["exact"] + duplicates["near"]
    held = duplicates["train_images_in_validation"]
    notes = [
        (total, f"{summary['usable']:,} of {total:,} images can be used."),
        (summary["missing"], f"{summary['missing']:,} of {total:,} images are missing."),
        (status.get("unreadable"), f"Images that can't be read: {status.get('unreadable', 0):,}."),
        (status.get("unlabelled"), f"Images without a usable label: {status.get('unlabelled', 0):,}."),
        (rows, f"Rows of labels that can't be used: {rows:,}."),
        (issues.get("turned_boxes"), f"Photos whose boxes were turned with them: {issues.get('turned_boxes', 0):,}."),
        (issues.get("scaled_boxes"), f"Images whose boxes were scaled to them: {issues.get('scaled_boxes', 0):,}."),
        (
            issues.get("unknown_frame"),
            "Photos that EXIF turns, though nothing tells whether their boxes were drawn before or after the turn: "
            f"{issues.get('unknown_frame', 0):,}.",
        ),
        (dropped, f"Boxes dropped for want of area inside their image: {dropped:,}."),
        (
            doubles["pairs"],
            f"Same-class boxes drawn twice: {doubles['pairs']:,} pairs in {doubles['images']:,} images.",
        ),
        (
            copies,
            f"Repeated images: {duplicates['exact']:,} exactly, {duplicates['near']:,} nearly.",
        ),
        (
            issues.get("augmented_copies"),
            f"Augmented copies of a picture, by their names (.rf.), grouped: {issues.get('augmented_copies', 0):,}.",
        ),
        (pairs, f"Training images that are also in the published test set, exactly or nearly: {pairs:,}."),
        (held, f"Training images that are also in the published validation set, exactly or nearly: {held:,}."),
        (
            duplicates["label_conflicts"],
            f"Duplicates labelled otherwise than the image they repeat: {duplicates['label_conflicts']:,}.",
        ),
    ]
    left_out = [f"Left out by annotators: {sentence(finding)}." for finding in summary["missing_labels"]]
    return [text for number, text in notes if number] + left_out + _warnings(summary)


def _passed_over(issues: pd.DataFrame) -> list[str]:
    """What was not read, or not as it was labelled: the first of each kind, in its own words."""
    notes = []
    for kind in PASSED_OVER:
        details = issues.loc[issues["kind"] == kind, "detail"]
        if len(details):
            more = f" (the first of {len(details):,})" if len(details) > 1 else ""
            notes.append(f"{kind.replace('_', ' ').capitalize()}{more}: {details.iloc[0]}")
    return notes


def _percent(share: float) -> str:
    """Write a share so that only all is 100 % and only nothing is 0 %."""
    return f"{share:.0%}" if share in (0, 1) else f"{min(max(share, 0.001), 0.999):.1%}"


def _warnings(summary: dict[str, Any]) -> list[str]:
    """What makes scores look better than they are, or groups useless."""
    warnings = []
    groups = summary["groups"]
    if groups["count"] and groups["biggest"] > max(20, 0.2 * summary["images"]):
        warnings.append(f"The biggest group, {groups['biggest_name']}, has {groups['biggest']:,} images: check it.")
    if groups.get("not_matched"):
        shares = [f"{_percent(share)} of {name}" for name, share in groups["matched"].items() if name != "all"]
        told = ", ".join(shares[:-1]) + " and " + shares[-1] if shares[1:] else _percent(groups["matched"]["all"])
        warnings.append(
            f"audit.group_pattern matches {told} images; it leaves {groups['not_matched']:,} alone, such as "
            f"'{groups['not_matched_example']}', so those of one patient or slide may lie on both sides of the split. "
            "Add an alternative for their names, such as (first[0-9]+)_|(second[0-9]+)_."
        )
    tells = summary.get("colour_mode_tells")
    if tells and tells["accuracy_from_mode"] > tells["accuracy_from_nothing"] + 0.05:
        warnings.append(
            f"The colour mode of a file alone tells the class of {tells['accuracy_from_mode']:.0%} of images "
            f"(guessing: {tells['accuracy_from_nothing']:.0%}); all are read as RGB."
        )
    return warnings
