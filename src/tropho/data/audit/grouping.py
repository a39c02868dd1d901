"""Group images that belong together: one patient or slide by name, one picture or slide by content."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tropho.config.data_config import AuditConfig
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.audit.missing_labels import attributes
from tropho.data.audit.near_duplicates import find_near_duplicates
from tropho.data.audit.slides import Slides, cluster_slides
from tropho.data.formats.label_collector import IssueLog
from tropho.errors import UsageError

_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{16,}")
"""Names of augmented copies by Roboflow, such as person12_jpg.rf.0123456789abcdef0123456789abcdef."""
Links = list[tuple[str, str]]  # pairs of image ids


def group(
    images: pd.DataFrame, infos: dict[str, ImageInfo], settings: AuditConfig, log: IssueLog
) -> tuple[pd.DataFrame, Slides | None]:
    """Fill in the columns `duplicate` and `group` of tables.IMAGES, and list why images are grouped.

    Returns:
        The images, and the slides if settings.cluster_slides. `duplicate` is the first id of those that show the same
        picture, empty for unique images; `group` is never empty: an image alone is its own group.
    """
    ids = images["image_id"]
    readable = images[images["path"].isin([path for path, info in infos.items() if not info.fault])]
    pixels = readable["path"].map({path: info.pixels for path, info in infos.items()})
    exact = exact_duplicate_links(readable["image_id"], pixels)
    near = _near_duplicates(readable.loc[~pixels.duplicated()], infos)
    copies = exact + [(first, second) for first, second, _ in near]
    duplicate = ids.map(connected_ids(list(ids), copies)).astype("string")
    images = images.assign(duplicate=duplicate.where(duplicate.duplicated(keep=False)))
    _list_duplicates(images.set_index("image_id"), exact, near, log)
    keys = pattern_keys(ids, settings.group_pattern)
    links = exact_duplicate_links(ids, keys) + _augmented_copies(images, log)
    slides, slide_links = _slides(images, infos, log) if settings.cluster_slides else (None, [])
    groups = ids.map(connected_ids(list(ids), links + slide_links + copies))
    if settings.group_pattern:  # the name of a patient or slide says more than that of its first image
        groups = groups.map(keys.groupby(groups).min()).fillna(groups)
    return images.assign(group=groups.astype("string")), slides


def connected_ids(names: Sequence[str], links: Links) -> dict[str, str]:
    """Map each name to the first, in sorting order, of those that it is linked with, directly or not."""
    order = sorted(names)
    number = {name: idx for idx, name in enumerate(order)}
    ends = np.array([(number[a], number[b]) for a, b in links], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(order),) * 2)
    component = connected_components(graph, directed=False)[1]
    first = np.unique(component, return_index=True)[1]
    return {name: order[first[idx]] for name, idx in zip(order, component, strict=True)}


def exact_duplicate_links(names: pd.Series, keys: pd.Series) -> Links:
    """Link each name to the first of those with its key; empty keys link nothing."""
    named = pd.DataFrame({"name": names, "key": keys}).dropna().sort_values("name")
    first = named.groupby("key")["name"].transform("first")
    linked = named["name"] != first
    return list(zip(first[linked], named.loc[linked, "name"], strict=True))


def pattern_keys(image_ids: pd.Series, pattern: str | None) -> pd.Series:
    """Find the patient or slide that a regular expression names in each image id: (N,) string, empty without a match.

    It is the text of the first group that took part. A UsageError says that the expression is none, has no group or an
    empty one, or matches nothing.
    """
    if pattern is None:
        return pd.Series(pd.NA, index=image_ids.index, dtype="string")
    where = f"audit.group_pattern '{pattern}'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{where} is not a regular expression: {error}.") from None
    found = image_ids.map(compiled.search)
    keys = found.map(lambda match: match and next(filter(lambda text: text is not None, match.groups()), None))
    keys = keys.astype("string")
    if compiled.groups == 0 or compiled.search("") or (keys == "").any():
        raise UsageError(f"{where} needs a group in round brackets that never is empty, such as (person[0-9]+)_.")
    if len(image_ids) and not keys.notna().any():
        raise UsageError(f"{where} matches no image, such as '{image_ids.iloc[0]}'.")
    return keys


def matched_shares(images: pd.DataFrame, boxes: pd.DataFrame, pattern: str) -> dict[str, float]:
    """Compute which share (0..1) a pattern matches of the images of each class, of those without a class, and of all.

    Images without a label have the classes of their boxes.
    """
    matched = pattern_keys(images["image_id"], pattern).notna().set_axis(images["image_id"])
    pairs = pd.concat([images[["image_id", "label"]], boxes[["image_id", "label"]]]).dropna().drop_duplicates()
    pairs = pairs[pairs["image_id"].isin(matched.index)]
    by_class = pairs["image_id"].map(matched).astype(float).groupby(pairs["label"]).mean()
    shares = {str(name): float(share) for name, share in by_class.items()}
    rest = matched[~matched.index.isin(pairs["image_id"])]
    if len(rest):
        shares["no class"] = float(rest.mean())
    return {**shares, "all": float(matched.mean())}


def augmentation_sources(images: pd.DataFrame) -> pd.Series:
    """Name the picture that each image is an augmented copy of, by class and Roboflow's file name; else empty."""
    matches = images["image_id"].map(lambda image_id: _ROBOFLOW.match(PurePosixPath(image_id).name))
    keys = matches.map(lambda match: match[1] if match else None).astype("string")
    return images["label"].astype("string").fillna("") + "/" + keys


def _near_duplicates(images: pd.DataFrame, infos: dict[str, ImageInfo]) -> list[tuple[str, str, float]]:
    """Find near duplicates among images of different pixels: (id, id, correlation)."""
    ordered = images.sort_values("image_id")
    thumbs = [thumb for path in ordered["path"] if (thumb := infos[path].thumb) is not None]
    ids = list(ordered["image_id"])
    return [(ids[i], ids[j], corr) for i, j, corr in find_near_duplicates(np.stack(thumbs))] if thumbs else []


def _augmented_copies(images: pd.DataFrame, log: IssueLog) -> Links:
    links = exact_duplicate_links(images["image_id"], augmentation_sources(images))
    path = images.set_index("image_id")["path"].to_dict()
    for first, second in links:
        detail = f"By its name (.rf.) an augmented copy of the picture of {first}."
        log.add("augmented_copies", "grouped", detail, second, path[second])
    return links


def _slides(images: pd.DataFrame, infos: dict[str, ImageInfo], log: IssueLog) -> tuple[Slides, Links]:
    """Cluster the slides of images that repeat no other."""
    unique = images["duplicate"].isna() | (images["duplicate"] == images["image_id"])
    signed = [path for path, info in infos.items() if info.signature is not None]
    own = images[unique & images["path"].isin(signed)].sort_values("image_id")
    known = attributes(own)
    slides = cluster_slides(
        own["image_id"].tolist(),
        np.array([infos[path].signature for path in own["path"]]),
        (known["size"] + " " + known["device"].fillna("")).to_numpy(dtype=str),
    )
    if slides.count:
        log.add("same_slide", "grouped", slides.sentence)
    return slides, exact_duplicate_links(own["image_id"], pd.Series(slides.groups, index=own.index))


def _list_duplicates(images: pd.DataFrame, exact: Links, near: list[tuple[str, str, float]], log: IssueLog) -> None:
    """List each duplicate once, beside the image that it repeats, and every conflict of labels."""
    subset, label, path, hashes = (images[column].to_dict() for column in ("subset", "label", "path", "sha256"))

    def where(first: str, second: str) -> str:
        return f" ({subset[first]}), across the published split" if subset[first] != subset[second] else ""

    for first, second in exact:
        same = "Same bytes" if hashes[first] == hashes[second] else "Same pixels, stored otherwise,"
        log.add("duplicate_image", "grouped", f"{same} as {first}{where(first, second)}.", second, path[second])
    first_near = {second: (first, corr) for first, second, corr in reversed(near)}
    for second in dict.fromkeys(second for _, second, _ in near):
        first, corr = first_near[second]
        detail = f"Looks like {first}{where(first, second)}; aligned, the two have a correlation of {corr:.2f}."
        log.add("near_duplicate", "grouped", detail, second, path[second])
    pairs = [(*pair, "is the same picture") for pair in exact] + [(a, b, "looks like it") for a, b, _ in near]
    for first, second, relation in pairs:
        if pd.notna(label[first]) and pd.notna(label[second]) and label[first] != label[second]:
            detail = f"Labelled '{label[second]}', while {first}, which {relation}, is labelled '{label[first]}'."
            log.add("label_conflict", "listed", detail, second, path[second])
