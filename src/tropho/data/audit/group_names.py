"""Which images belong together by their names: one patient's or slide's, or copies of one picture."""

import re
from pathlib import PurePosixPath

import pandas as pd

from tropho.errors import UsageError

_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{16,}")
"""How Roboflow names the copies that its augmentation makes: person12_jpg.rf.0123456789abcdef0123456789abcdef."""


def pattern_keys(image_ids: pd.Series, pattern: str | None) -> pd.Series:
    """Find the patient or slide that a pattern names in each id.

    Args:
        image_ids: (N,) strings.
        pattern: regular expression with one group or more; None finds nothing.

    Returns:
        (N,) what the first group that took part in the match has matched; empty where none did.

    Raises:
        UsageError: the pattern is no regular expression, has no group, matches nothing, or finds an empty name.
    """
    if pattern is None:
        return pd.Series(pd.NA, index=image_ids.index, dtype="string")
    where = f"audit.group_pattern '{pattern}'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{where} is not a regular expression: {error}.") from None
    if compiled.groups == 0:
        raise UsageError(f"{where} needs a group in round brackets that names the group.")
    if compiled.search(""):
        raise UsageError(f"{where} matches the empty string, so it names nothing; require at least a character (+).")
    keys = image_ids.map(lambda image_id: _first_group(compiled.search(image_id))).astype("string")
    empty = image_ids[keys == ""]
    if len(empty):
        raise UsageError(f"{where} finds an empty name in '{empty.iloc[0]}'; require at least a character (+).")
    if len(image_ids) and not keys.notna().any():
        raise UsageError(f"{where} matches no image, such as '{image_ids.iloc[0]}'.")
    return keys


def matched_shares(images: pd.DataFrame, boxes: pd.DataFrame, pattern: str) -> dict[str, float]:
    """Count which share of the images of each class a pattern matches.

    Args:
        images: columns image_id and label.
        boxes: columns image_id and label; where images have no labels, they have the classes of their boxes.
        pattern: as in `pattern_keys`.

    Returns:
        share (0..1) by class, then of the images without a class ("no class") and of all ("all").
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


def copied_pictures(images: pd.DataFrame) -> pd.Series:
    """Name the picture that each image is an augmented copy of, by the names that Roboflow gives; else empty.

    Copies of one class and name are one picture's, whatever folders they lie in.
    """
    stems = images["image_id"].map(lambda image_id: _ROBOFLOW.match(PurePosixPath(image_id).name))
    keys = stems.map(lambda match: match[1] if match else None).astype("string")
    return images["label"].astype("string").fillna("") + "/" + keys


def _first_group(match: re.Match[str] | None) -> str | None:
    return next((text for text in match.groups() if text is not None), None) if match else None
