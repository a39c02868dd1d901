"""Summarise the audit in numbers and sentences."""

from difflib import SequenceMatcher
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.audit.grouping import matched_shares, pattern_keys
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.audit.missing_labels import Finding, sentence
from tropho.images.decode import Decoding

MAX_SIZES = 20  # that are counted apart
RARE, SIMILAR = 0.02, 0.8  # share of the other class's count, similarity of the names: of a class that may be misspelt
QUOTED = (
    *("ambiguous_name", "test_only_class", "empty_class", "other_file", "other_files", "further_frames"),
    *("sample_id", "not_in_sample", "sample_class", "sample_column"),
)
"""Kinds of issue whose first is quoted in the notes."""
_UINT16_MAX = 65_535


def summarise(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    issues: pd.DataFrame,
    classes: list[str],
    infos: dict[str, ImageInfo],
    duplicate_boxes: tuple[int, int],
    findings: list[Finding],
    settings: AuditConfig,
) -> dict[str, Any]:
    """Summarise the audited tables (tables.IMAGES, BOXES and ISSUES).

    Ignored regions count apart. `duplicate_boxes` counts (pairs, images); `findings` are those of find_missing_labels.

    Returns:
        JSON-safe counts by subset, class, status and kind of issue; sizes, colour modes, groups; `notes` in words.
    """
    counts, status = (column.value_counts().sort_index().to_dict() for column in (issues["kind"], images["status"]))
    regions, tests = boxes["ignore"], images[images["subset"] == "test"]
    test_labelled = tests["label"].notna().any() or (boxes["image_id"].isin(tests["image_id"]) & ~regions).any()
    summary: dict[str, Any] = {
        "notes": [],
        "images": len(images),
        "usable": status.get("ok", 0),
        "missing": status.get("missing", 0),
        "classes": classes,
        "negative": settings.negative,
        "test_labelled": bool(test_labelled),
        "status": status,
        "subsets": {name: _subset(part, boxes, classes) for name, part in images.groupby("subset", sort=False)},
        "boxes": int((~regions).sum()),
        "ignored_regions": int(regions.sum()),
        "doubles": dict(zip(("pairs", "images"), duplicate_boxes, strict=True)),
        "missing_labels": findings,
        "corrections": {"applied": counts.get("correction", 0), "quarantined": counts.get("bad_correction", 0)},
        "issues": counts,
        "sizes": _sizes(images),
        **_colour_modes(images, infos),
        "duplicates": _duplicates(images, issues),
        "groups": _groups(images, boxes, settings),
    }
    summary["notes"] = _notes(summary) + _quotes(issues)
    return summary


def depth_notes(images: pd.DataFrame, infos: dict[str, ImageInfo], decoding: Decoding) -> list[str]:
    """Say by which range images of more than 8 bits are scaled, if any is, and how many grey levels are left."""
    deep = {path: info for path, info in infos.items() if info.depth}
    if decoding.value_range is None or not deep:
        return []
    low, high = decoding.value_range
    is_uint16 = low >= 0 and high <= _UINT16_MAX and all(info.depth == "integer" for info in deep.values())
    share = f", {100 * (high - low) / _UINT16_MAX:.1f} % of 16 bits" if is_uint16 else ""
    training = set(images.loc[(images["status"] == "ok") & (images["subset"] != "test"), "path"])
    shades = [info.shades for path, info in deep.items() if path in training and info.shades is not None]
    levels = int(np.any(shades, axis=0).sum()) if shades else 0
    rest = sum(not info.fault for info in infos.values()) - len(deep)
    others = f"; {rest:,} of 8 bits are not scaled" if rest else ""
    return [
        f"{len(deep):,} images of more than 8 bits are scaled by their range ({low:g} to {high:g}{share}); this leaves "
        f"the training images {levels} distinct grey levels{others}."
    ]


def _subset(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    own = boxes[boxes["image_id"].isin(images["image_id"])]
    objects = own[~own["ignore"]]
    by_class: dict[str, dict[str, int]] = {}
    for name in classes:
        of_class = objects[objects["label"] == name]
        labelled = int((images["label"] == name).sum())
        by_class[name] = {"images": labelled or int(of_class["image_id"].nunique()), "boxes": len(of_class)}
    without = int((~images["image_id"].isin(own["image_id"])).sum())
    counts = {"images": len(images), "usable": int((images["status"] == "ok").sum())}
    return {**counts, "boxes": len(objects), "without_boxes": without, "classes": by_class}


def _sizes(images: pd.DataFrame) -> dict[str, int]:
    """Count images by size, the commonest first; rarer sizes together."""
    known = images.dropna(subset=["width", "height"])
    counts = (known["width"].astype(str) + "x" + known["height"].astype(str)).value_counts()
    sizes = {str(size): int(number) for size, number in counts.head(MAX_SIZES).items()}
    rest = int(counts.iloc[MAX_SIZES:].sum())
    return {**sizes, f"{len(counts) - MAX_SIZES} other sizes": rest} if rest else sizes


def _colour_modes(images: pd.DataFrame, infos: dict[str, ImageInfo]) -> dict[str, Any]:
    """Return shares of colour modes by class ("all" in detection), and how well they predict the class."""
    modes = images["path"].map({path: info.mode for path, info in infos.items() if not info.fault})
    labels = images["label"].astype("object").where(images["label"].notna(), "unlabelled")
    if images["label"].isna().all():
        labels = pd.Series("all", index=images.index)
    shares = {str(name): part.value_counts(normalize=True).round(4) for name, part in modes.dropna().groupby(labels)}
    summary: dict[str, Any] = {"colour_modes": {name: part.to_dict() for name, part in shares.items()}}
    table = pd.crosstab(modes, images["label"])
    if len(table) > 1 and not table.empty:
        total = float(table.to_numpy().sum())
        summary["colour_mode_tells"] = {
            "accuracy_from_mode": round(float(table.max(axis=1).sum()) / total, 4),
            "accuracy_from_nothing": round(float(table.sum(axis=0).max()) / total, 4),
        }
    return summary


def _duplicates(images: pd.DataFrame, issues: pd.DataFrame) -> dict[str, int]:
    known = images[images["duplicate"].notna()]
    train, validation, test = (known["subset"] == name for name in ("train", "validation", "test"))
    sizes = known["duplicate"].value_counts()
    in_test = known["duplicate"].isin(known.loc[test, "duplicate"])
    in_validation = known["duplicate"].isin(known.loc[validation, "duplicate"])
    return {
        "exact": int((issues["kind"] == "duplicate_image").sum()),
        "near": int((issues["kind"] == "near_duplicate").sum()),
        "label_conflicts": int(((issues["kind"] == "label_conflict") & (issues["action"] == "listed")).sum()),
        "sets": len(sizes),
        "biggest_set": int(sizes.max()) if len(sizes) else 0,
        "train_images_in_test": int((~test & in_test).sum()),
        "train_images_in_validation": int((train & in_validation).sum()),
    }


def _groups(images: pd.DataFrame, boxes: pd.DataFrame, settings: AuditConfig) -> dict[str, Any]:
    sizes = images["group"].value_counts()
    if sizes.empty:
        return {"count": 0}
    facts: dict[str, Any] = {"count": len(sizes), "biggest": int(sizes.iloc[0]), "biggest_name": str(sizes.index[0])}
    if settings.group_pattern:
        rest = images.loc[pattern_keys(images["image_id"], settings.group_pattern).isna(), "image_id"]
        facts |= {"not_matched": len(rest), "not_matched_example": str(rest.iloc[0]) if len(rest) else None}
        shares = matched_shares(images, boxes, settings.group_pattern)
        facts["matched"] = {name: round(share, 4) for name, share in shares.items()}
    return facts


def _notes(summary: dict[str, Any]) -> list[str]:
    """Say what a person should know first."""
    total, issues, status = summary["images"], summary["issues"], summary["status"]
    boxes, copies = summary["doubles"], summary["duplicates"]
    dropped = sum(issues.get(kind, 0) for kind in ("zero_area", "outside", "too_small"))
    rows = sum(issues.get(kind, 0) for kind in ("bad_row", "bad_annotation", "unknown_class"))
    turn = "Photos that EXIF rotates, and whose boxes may be drawn before or after that"
    counted = {
        "Images that can't be read": status.get("unreadable"),
        "Images without a usable label": status.get("unlabelled"),
        "Rows of labels that can't be used": rows,
        "Photos whose boxes were rotated with them": issues.get("turned_boxes"),
        "Images whose boxes were scaled to them": issues.get("scaled_boxes"),
        turn: issues.get("unknown_frame"),
        "Boxes dropped, since they have no area inside their image": dropped,
        f"Pairs of boxes that may be one object drawn twice, in {boxes['images']:,} images": boxes["pairs"],
        "Exact copies of another image": copies["exact"],
        "Near copies of another image": copies["near"],
        "Augmented copies of a picture, by their names (.rf.), grouped": issues.get("augmented_copies"),
        "Training images that are also in the published test set": copies["train_images_in_test"],
        "Training images that are also in the published validation set": copies["train_images_in_validation"],
        "Copies whose label differs from the first one's": copies["label_conflicts"],
    }
    notes = [f"{summary['usable']:,} of {total:,} images can be used."] if total else []
    notes += [f"{summary['missing']:,} of {total:,} images are missing."] if summary["missing"] else []
    notes += [f"{what}: {count:,}." for what, count in counted.items() if count]
    notes += [f"Probably left out by annotators: {sentence(finding)}." for finding in summary["missing_labels"]]
    return notes + _misspelt(summary) + _warnings(summary)


def _misspelt(summary: dict[str, Any]) -> list[str]:
    """Point to rare classes whose name is nearly that of a frequent one, or has the same letters."""
    unit = "boxes" if summary["boxes"] else "images"
    subsets = summary["subsets"].values()
    counts = {name: sum(subset["classes"][name][unit] for subset in subsets) for name in summary["classes"]}
    notes = []
    for rare, other in permutations(counts, 2):
        names = rare.casefold(), other.casefold()
        is_similar = sorted(names[0]) == sorted(names[1]) or SequenceMatcher(None, *names).ratio() >= SIMILAR
        if is_similar and 0 < counts[rare] <= RARE * counts[other]:
            notes.append(
                f"Perhaps a spelling mistake: the class '{rare}' has {counts[rare]:,} of the {unit}, '{other}' "
                f"{counts[other]:,}. If so, set audit.class_map: {{{rare}: {other}}}."
            )
    return notes


def _quotes(issues: pd.DataFrame) -> list[str]:
    """Quote the first issue of each kind that says what was not read as it was labelled."""
    notes = []
    for kind in QUOTED:
        details = issues.loc[issues["kind"] == kind, "detail"]
        if len(details):
            more = f" (the first of {len(details):,})" if len(details) > 1 else ""
            notes.append(f"{kind.replace('_', ' ').capitalize()}{more}: {details.iloc[0]}")
    return notes


def _percent(share: float) -> str:
    """Write a share so that only all is 100 % and only nothing is 0 %."""
    return f"{share:.0%}" if share in (0, 1) else f"{min(max(share, 0.001), 0.999):.1%}"


def _warnings(summary: dict[str, Any]) -> list[str]:
    """Warn of what makes scores look better than they are, or groups useless."""
    warnings = []
    groups = summary["groups"]
    if groups["count"] and groups["biggest"] > max(20, 0.2 * summary["images"]):
        warnings.append(f"The biggest group, {groups['biggest_name']}, has {groups['biggest']:,} images: check it.")
    if groups.get("not_matched"):
        shares = [f"{_percent(share)} of {name}" for name, share in groups["matched"].items() if name != "all"]
        share = ", ".join(shares[:-1]) + " and " + shares[-1] if shares[1:] else _percent(groups["matched"]["all"])
        warnings.append(
            f"audit.group_pattern matches {share} images. {groups['not_matched']:,} have no group, such as "
            f"'{groups['not_matched_example']}'; images of one patient or slide may then be in training and in "
            "validation. Add an alternative for their names, such as (first[0-9]+)_|(second[0-9]+)_."
        )
    tells = summary.get("colour_mode_tells")
    if tells and tells["accuracy_from_mode"] > tells["accuracy_from_nothing"] + 0.05:
        warnings.append(
            f"The colour mode of a file alone tells the class of {tells['accuracy_from_mode']:.0%} of images "
            f"(guessing: {tells['accuracy_from_nothing']:.0%}). With augment.grayscale: true, colours are "
            "dropped, so that a model can't learn this in place of what the images show."
        )
    return warnings
