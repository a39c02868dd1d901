"""Annotation protocol: classes that annotators left out of images of some size, or from some device.

Such images teach a detector that what they show is not there. The competition's case: no white cell is labelled
in any 4160x3120 photo, though white cells are in them.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from tropho.data.audit.group_test import group_size_exact_test
from tropho.data.audit.inspect_images import device_of
from tropho.data.formats.labels import IssueLog
from tropho.tables import join_names

RARE = 0.1
"""A class is left out only where its share is below this part of its share elsewhere: annotators who leave a class
out leave (nearly) all of it out, while slides with half as many white cells are just other slides."""

Finding = dict[str, Any]
"""class, attribute ("size" | "device"), value; images and labelled of that value, images_elsewhere and
labelled_elsewhere (images in which another class is labelled, and those of them with the class); p, adjusted."""


def attributes(images: pd.DataFrame) -> pd.DataFrame:
    """What annotators may have told images apart by, one row an image: size (long side first) and device, as text.

    Sizes that the label files state stand in for those of files that are not there.
    """
    width, height = (
        images[side].fillna(images[f"stated_{side}"]) if f"stated_{side}" in images else images[side]
        for side in ("width", "height")
    )
    long, short = width.where(width >= height, height), height.where(width >= height, width)
    size = long.astype("string") + "x" + short.astype("string")
    return pd.DataFrame({"size": size, "device": images["device"].replace("", pd.NA)}, index=images.index)


def find_missing_labels(images: pd.DataFrame, boxes: pd.DataFrame, classes: list[str], level: float) -> list[Finding]:
    """Classes that are never, or hardly ever, labelled in images of some size or device where they should be.

    Images are looked at in which another class is labelled, so that neither empty fields nor a value's own classes
    decide. A test asks whether fewer groups with the value show the class than chance would give, held against
    groups elsewhere of at least as many images (sized_groups.py). The p-values are adjusted by Holm over every class
    and value that could come out significant at all (Tarone); one of very few groups can not.

    Args:
        images: tables.IMAGES, `group` filled in; images of unknown size count as of another size.
        boxes: tables.BOXES.
        classes: names to test.
        level: probability that anything is found where nothing was left out.

    Returns:
        Findings by p-value.
    """
    train = images[images["subset"] != "test"]
    tests = [
        test for name in classes for test in _tests(_showing(train, boxes, name), name) if test.pop("least_p") <= level
    ]
    tests.sort(key=lambda test: test["p"])
    adjusted = 0.0
    found = []
    for rank, test in enumerate(tests):
        adjusted = max(adjusted, min(1.0, test["p"] * (len(tests) - rank)))
        here = test["labelled"] / test["images"]
        elsewhere = test["labelled_elsewhere"] / max(1, test["images_elsewhere"])
        if adjusted <= level and here <= RARE * elsewhere:
            found.append({**test, "p": float(f"{adjusted:.3g}")})
    return found


def ignored(images: pd.DataFrame, findings: Iterable[Finding]) -> pd.Series:
    """The column `ignored` of tables.IMAGES: the classes left out of each image, see tables.join_names."""
    known = attributes(images)
    names: dict[Any, list[str]] = {}
    for finding in findings:
        for row in images.index[(known[finding["attribute"]] == finding["value"]).fillna(False).astype(bool)]:
            names.setdefault(row, []).append(finding["class"])
    joined = {row: join_names(each) for row, each in names.items()}
    return pd.Series(joined, index=images.index, dtype="string")


def ignored_in(files: Mapping[str, Path], findings: Iterable[Finding]) -> pd.Series | None:
    """List the classes that annotators leave out of images like these; None where there are no findings.

    Args:
        files: image files by image_id; what can't be opened is left out.
        findings: those that say so.

    Returns:
        The column `ignored` of tables.IMAGES, by image_id.
    """
    if not (findings := list(findings)):
        return None
    rows = {}
    for name, file in files.items():
        with suppress(OSError), Image.open(file) as header:
            rows[name] = (*header.size, device_of(header))
    return ignored(pd.DataFrame.from_dict(rows, orient="index", columns=["width", "height", "device"]), findings)


def sentence(finding: Finding) -> str:
    """A finding in words."""
    return (
        f"{finding['class']} is labelled in {finding['labelled']:,} of {finding['images']:,} images of "
        f"{finding['attribute']} {finding['value']} that show another class, against "
        f"{finding['labelled_elsewhere']:,} of {finding['images_elsewhere']:,} elsewhere (p = {finding['p']:.2g})"
    )


def list_findings(findings: Iterable[Finding], ignore: bool, log: IssueLog) -> None:
    """List each finding, and what was done about it."""
    for finding in findings:
        action = "ignored" if ignore else "listed"
        remedy = (
            "it is neither learned nor predicted there" if ignore else "set audit.missing_labels to detect to ignore it"
        )
        log.add("left_out_class", action, f"{sentence(finding)}; {remedy}.")


def _showing(train: pd.DataFrame, boxes: pd.DataFrame, name: str) -> pd.DataFrame:
    """Images in which another class is labelled: group, attributes, and whether the class is labelled too."""
    is_class = boxes["label"] == name
    others, own = set(boxes.loc[~is_class, "image_id"]), set(boxes.loc[is_class, "image_id"])
    part = train[train["image_id"].isin(others)]
    return attributes(part).assign(group=part["group"], labelled=part["image_id"].isin(own))


def _tests(showing: pd.DataFrame, name: str) -> Iterator[Finding]:
    """One test a value of each attribute; `least_p` is the smallest p-value that its counts could give."""
    for attribute in ("size", "device"):
        known = showing.assign(value=showing[attribute].fillna(""))  # unknown ones are elsewhere
        units = known.groupby(["value", "group"])["labelled"].agg(["size", "sum"])
        of_unit = units.index.get_level_values("value")
        for value in of_unit.unique():
            if value == "":
                continue
            here, elsewhere = units[of_unit == value], units[of_unit != value]
            p, least_p = group_size_exact_test(*here.to_numpy(int).T, *elsewhere.to_numpy(int).T)
            own = known.loc[known["value"] == value, "labelled"]
            yield {
                "class": name,
                "attribute": attribute,
                "value": str(value),
                "images": len(own),
                "labelled": int(own.sum()),
                "images_elsewhere": len(known) - len(own),
                "labelled_elsewhere": int(known["labelled"].sum() - own.sum()),
                "p": p,
                "least_p": least_p,
            }
