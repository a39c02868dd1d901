"""Find classes that annotators left out of images of some size, or from some device.

Such images teach a detector that what they show is not there; docs/design.md (Classes left out) has the reasons.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tropho.data.audit.inspect_images import device_of
from tropho.data.formats.label_collector import IssueLog
from tropho.tables import join_names

MAX_RELATIVE_SHARE = 0.1  # a class is left out only where its share is at most this part of its share elsewhere
LARGE_GROUPS = 1 / 3  # no more images of a group count than this share of the groups elsewhere have
_DIGITS = 9  # to which sums of fractions are right

Finding = dict[str, Any]
"""class, attribute ("size" | "device"), value; images and labelled of that value, images_elsewhere and
labelled_elsewhere (images in which another class is labelled, and those of them with the class); p, adjusted."""


def attributes(images: pd.DataFrame) -> pd.DataFrame:
    """Return size ("4160x3120", long side first) and device of each image, as text; empty where unknown.

    Columns stated_width and stated_height, if there, stand in for missing sizes.
    """
    width, height = (
        images[side].fillna(images[f"stated_{side}"]) if f"stated_{side}" in images else images[side]
        for side in ("width", "height")
    )
    long, short = width.where(width >= height, height), height.where(width >= height, width)
    size = long.astype("string") + "x" + short.astype("string")
    return pd.DataFrame({"size": size, "device": images["device"].replace("", pd.NA)}, index=images.index)


def find_missing_labels(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], level: float) -> list[Finding]:
    """Find classes that are hardly ever labelled in images of some size or device, though they are elsewhere.

    Only training images (tables.IMAGES) in which another class is labelled count. P-values are adjusted by Holm over
    the classes and values that could come out significant at all (Tarone). `level` is the probability of any finding
    where nothing was left out.
    """
    train = images[images["subset"] != "test"]
    tests = [test for name in classes for test in _tests(train, boxes, name) if test.pop("least_p") <= level]
    tests.sort(key=lambda test: test["p"])
    adjusted = 0.0
    findings = []
    for rank, test in enumerate(tests):
        adjusted = max(adjusted, min(1.0, test["p"] * (len(tests) - rank)))
        here = test["labelled"] / test["images"]
        elsewhere = test["labelled_elsewhere"] / max(1, test["images_elsewhere"])
        if adjusted <= level and here <= MAX_RELATIVE_SHARE * elsewhere:
            findings.append({**test, "p": float(f"{adjusted:.3g}")})
    return findings


def ignored(images: pd.DataFrame, findings: Iterable[Finding]) -> pd.Series:
    """Return the column `ignored` of tables.IMAGES: the classes left out of each image (tables.join_names)."""
    known = attributes(images)
    names: dict[Any, list[str]] = {}
    for finding in findings:
        for row in images.index[(known[finding["attribute"]] == finding["value"]).fillna(False).astype(bool)]:
            names.setdefault(row, []).append(finding["class"])
    return pd.Series({row: join_names(each) for row, each in names.items()}, index=images.index, dtype="string")


def ignored_in(files: Mapping[str, Path], findings: Iterable[Finding]) -> pd.Series | None:
    """Return the column `ignored` of new images (files by image_id) that can be opened; None without findings."""
    if not (findings := list(findings)):
        return None
    rows = {}
    for name, file in files.items():
        with suppress(OSError), Image.open(file) as header:
            rows[name] = (*header.size, device_of(header))
    return ignored(pd.DataFrame.from_dict(rows, orient="index", columns=["width", "height", "device"]), findings)


def sentence(finding: Finding) -> str:
    """Return a finding in words."""
    return (
        f"{finding['class']} is labelled in {finding['labelled']:,} of {finding['images']:,} images of "
        f"{finding['attribute']} {finding['value']} that show another class, against "
        f"{finding['labelled_elsewhere']:,} of {finding['images_elsewhere']:,} elsewhere (p = {finding['p']:.2g})"
    )


def list_findings(findings: Iterable[Finding], ignore: bool, log: IssueLog) -> None:
    """List each finding and what is done about it."""
    remedy = (
        "it is neither learned nor predicted there" if ignore else "set audit.missing_labels to detect to ignore it"
    )
    for finding in findings:
        log.add("left_out_class", "ignored" if ignore else "listed", f"{sentence(finding)}; {remedy}.")


def group_size_exact_test(
    sizes: np.ndarray, labelled: np.ndarray, sizes_elsewhere: np.ndarray, labelled_elsewhere: np.ndarray
) -> tuple[float, float]:
    """Test one-sidedly whether fewer groups of a value show a class than chance would give.

    Each group is held against those elsewhere of at least as many images, of which as many are looked at, drawn
    without replacement. With groups of one image this is Fisher's exact test. Arguments are (groups,) int: images of
    each group, from 1, and how many of them show the class.

    Returns:
        (p, least p that such counts could give); both are 1 without groups elsewhere.
    """
    if not len(sizes_elsewhere):
        return 1.0, 1.0
    max_size = np.sort(sizes_elsewhere)[-int(np.ceil(LARGE_GROUPS * len(sizes_elsewhere)))]
    counted = np.minimum(sizes, max_size)
    probs = np.zeros(len(sizes) + 1)  # of each number of groups without the class among those drawn
    probs[0] = 1.0
    numbers = np.arange(len(probs))
    n_drawn, observed = 0, 0.0
    for size in np.unique(counted)[::-1]:
        large = sizes_elsewhere >= size
        pool = len(sizes) + int(large.sum())
        without = _prob_without(sizes, labelled, np.minimum(counted, size)).sum()
        without += _prob_without(sizes_elsewhere[large], labelled_elsewhere[large], size).sum()
        without = round(without, _DIGITS)
        for _ in range(int((counted == size).sum())):
            chance = np.clip((without - numbers) / (pool - n_drawn), 0, 1)
            probs[1:] = probs[1:] * (1 - chance[1:]) + probs[:-1] * chance[:-1]
            probs[0] *= 1 - chance[0]
            n_drawn += 1
        observed += _prob_without(sizes[counted == size], labelled[counted == size], size).sum()
    tail = probs[int(round(observed, _DIGITS)) :].sum()  # a part of a group counts as none, the safe side
    return float(min(1.0, tail)), float(probs[probs > 0][-1])


def _prob_without(sizes: np.ndarray, labelled: np.ndarray, drawn: np.ndarray | int) -> np.ndarray:
    """Compute the probability that none of `drawn` images of each group shows the class, (n,) float64."""
    drawn = np.broadcast_to(drawn, sizes.shape)
    prob = np.ones(len(sizes))
    for n in range(int(drawn.max(initial=0))):
        left = np.maximum(0, sizes - labelled - n) / np.maximum(1, sizes - n)
        prob *= np.where(n < drawn, left, 1.0)
    return prob


def _tests(train: pd.DataFrame, boxes: pd.DataFrame, name: str) -> Iterator[Finding]:
    """Test a class for each value of each attribute, in images that show another class."""
    is_class = boxes["label"] == name
    showing = train[train["image_id"].isin(set(boxes.loc[~is_class, "image_id"]))]
    labelled = showing["image_id"].isin(set(boxes.loc[is_class, "image_id"]))
    known = attributes(showing).assign(group=showing["group"], labelled=labelled)
    for attribute in ("size", "device"):
        value_of = known[attribute].fillna("")  # unknown ones are elsewhere
        groups = known.groupby([value_of, "group"])["labelled"].agg(["size", "sum"])
        value_of_group = groups.index.get_level_values(0)
        for value in value_of_group.unique()[value_of_group.unique() != ""]:
            here, elsewhere = groups[value_of_group == value], groups[value_of_group != value]
            p, least_p = group_size_exact_test(*here.to_numpy(int).T, *elsewhere.to_numpy(int).T)
            yield {
                "class": name,
                "attribute": attribute,
                "value": str(value),
                "images": int(here["size"].sum()),
                "labelled": int(here["sum"].sum()),
                "images_elsewhere": int(elsewhere["size"].sum()),
                "labelled_elsewhere": int(elsewhere["sum"].sum()),
                "p": p,
                "least_p": least_p,
            }
