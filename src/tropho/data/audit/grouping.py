"""Which images belong together: the same patient or slide by name, the same picture or slide by content."""

import numpy as np
import pandas as pd

from tropho.config.data_config import AuditConfig
from tropho.data.audit.group_names import copied_pictures, pattern_keys
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.audit.linked_images import connected_ids, exact_duplicate_links
from tropho.data.audit.missing_labels import attributes
from tropho.data.audit.near_duplicates import find_near_duplicates
from tropho.data.audit.slides import Slides, cluster_slides
from tropho.data.formats.labels import IssueLog


def group(
    images: pd.DataFrame, looks: dict[str, ImageInfo], settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, Slides | None]:
    """Images with the columns `duplicate` and `group` filled in, and the slides found, if asked for.

    `duplicate` names the first of the images that show the same (equal bytes or pixels, or nearly equal
    pictures), and is empty for an image like no other. `group` joins these with the images that
    `group_pattern` puts together, with augmented copies of one picture and with those that look as if from one
    slide, and is never empty: alone, an image is its own group.

    Raises:
        UsageError: the pattern is no regular expression, or names no group.
    """
    seen = images[images["path"].isin([path for path, look in looks.items() if not look.fault])]
    pixels = seen["path"].map({path: look.pixels for path, look in looks.items()})
    equal = exact_duplicate_links(seen["image_id"], pixels)
    near = _near(seen.loc[~pixels.duplicated()], looks)
    same = connected_ids(list(images["image_id"]), equal + [(first, second) for first, second, _ in near])
    duplicate = images["image_id"].map(same).astype("string")
    images = images.assign(duplicate=duplicate.where(duplicate.duplicated(keep=False)))
    by_id = {image_id: looks[path] for image_id, path in zip(seen["image_id"], seen["path"], strict=True)}
    _list_duplicates(images.set_index("image_id"), by_id, equal, near, log)
    keys = pattern_keys(images["image_id"], settings.group_pattern)
    named = exact_duplicate_links(images["image_id"], keys)
    slides, alike = _slides(images, looks, log) if settings.cluster_slides else (None, [])
    links = named + _copies(images, log) + alike + equal + [(first, second) for first, second, _ in near]
    whole = connected_ids(list(images["image_id"]), links)
    group = images["image_id"].map(whole)
    if settings.group_pattern:  # a patient's or slide's name tells more than that of its first image
        group = group.map(keys.groupby(group).min()).fillna(group)
    return images.assign(group=group.astype("string")), slides


def _near(images: pd.DataFrame, looks: dict[str, ImageInfo]) -> list[tuple[str, str, float]]:
    """Near-duplicates among images of different pixels: (id, id, likeness)."""
    ordered = images.sort_values("image_id")
    thumbs = [thumb for path in ordered["path"] if (thumb := looks[path].thumb) is not None]
    if not thumbs:
        return []
    ids = list(ordered["image_id"])
    return [(ids[i], ids[j], likeness) for i, j, likeness in find_near_duplicates(np.stack(thumbs))]


def _copies(images: pd.DataFrame, log: IssueLog) -> list[tuple[str, str]]:
    """Links between the augmented copies of one picture, told by the log."""
    links = exact_duplicate_links(images["image_id"], copied_pictures(images))
    path = images.set_index("image_id")["path"].to_dict()
    for first, second in links:
        detail = f"By its name (.rf.) an augmented copy of the picture of {first}."
        log.add("augmented_copies", "grouped", detail, second, path[second])
    return links


def _slides(images: pd.DataFrame, looks: dict[str, ImageInfo], log: IssueLog) -> tuple[Slides, list[tuple[str, str]]]:
    """Slides among images that repeat no other, told by the log, and the links that they make."""
    first = images["duplicate"].isna() | (images["duplicate"] == images["image_id"])
    signed = [path for path, look in looks.items() if look.signature is not None]
    own = images[first & images["path"].isin(signed)].sort_values("image_id")
    found = [looks[path] for path in own["path"]]
    known = attributes(own)
    slides = cluster_slides(
        own["image_id"].tolist(),
        np.array([look.signature for look in found]),
        (known["size"] + " " + known["device"].fillna("")).to_numpy(dtype=str),
        np.array([look.taken for look in found]),
    )
    if slides.count:
        log.add("same_slide", "grouped", slides.sentence)
    keys = pd.Series(slides.groups, index=own.index)
    return slides, exact_duplicate_links(own["image_id"], keys)


def _list_duplicates(
    images: pd.DataFrame,
    looks: dict[str, ImageInfo],
    equal: list[tuple[str, str]],
    near: list[tuple[str, str, float]],
    log: IssueLog,
) -> None:
    """List each duplicate once, beside the image it repeats, and every disagreement of labels."""
    subset, label, path = (images[column].to_dict() for column in ("subset", "label", "path"))

    def where(first: str, second: str) -> str:
        across = subset[first] != subset[second]
        return f" ({subset[first]}), across the published split" if across else ""

    for first, second in equal:
        what = "Same bytes" if looks[first].sha256 == looks[second].sha256 else "Same pixels, stored otherwise,"
        detail = f"{what} as {first}{where(first, second)}."
        log.add("duplicate_image", "grouped", detail, second, path[second])
    listed = set()
    for first, second, likeness in near:
        if second not in listed:
            listed.add(second)
            detail = f"Looks like {first}{where(first, second)}; once aligned, the two correlate to {likeness:.2f}."
            log.add("near_duplicate", "grouped", detail, second, path[second])
    pairs = [(*pair, "is the same picture") for pair in equal] + [(a, b, "looks like it") for a, b, _ in near]
    for first, second, what in pairs:
        if pd.notna(label[first]) and pd.notna(label[second]) and label[first] != label[second]:
            detail = f"Labelled '{label[second]}', while {first}, which {what}, is labelled '{label[first]}'."
            log.add("label_conflict", "listed", detail, second, path[second])
