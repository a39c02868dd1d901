"""What must hold of any audited and split data set, whatever its source."""

from typing import Any

import pandas as pd

from tropho.tables import BOX, BOXES, IMAGES, ISSUES, SPLITS, split_names

ACTIONS = {"quarantined", "dropped", "clipped", "repaired", "merged", "grouped", "ignored", "corrected", "listed"}


def broken(images: pd.DataFrame, boxes: pd.DataFrame, issues: pd.DataFrame, summary: dict[str, Any]) -> list[str]:
    """Names of the expectations on the audit's tables that do not hold."""
    usable = images[images["status"] == "ok"]
    seen = images["status"].isin(["ok", "unlabelled"]) & images["width"].notna()
    size = images.drop_duplicates("image_id").set_index("image_id")[["width", "height"]].reindex(boxes["image_id"])
    known = size["width"].notna().to_numpy()
    inside = boxes[known]
    limits = size[known].to_numpy(dtype="float64")
    ignored = images["ignore_classes"].dropna().map(split_names).explode().dropna()
    labels = set(images["label"].dropna()) | set(boxes["label"])
    expectations = {
        "columns": [list(images), list(boxes), list(issues)] == [list(IMAGES), list(BOXES), list(ISSUES)],
        "ids are unique": images["image_id"].is_unique and images["image_id"].notna().all(),
        "subsets": set(images["subset"]) <= {"train", "validation", "test"},
        "statuses": set(images["status"]) <= {"ok", "missing", "unreadable", "mistyped", "unlabelled", "excluded"},
        "ignored are classes": set(ignored) <= set(summary["classes"]),
        "usable images have a size": (usable[["width", "height"]] > 0).all(axis=None),
        "usable images have hashes": usable["sha256"].str.fullmatch("[0-9a-f]{64}").all(),
        "every image has a group": images["group"].notna().all(),
        "equal bytes, equal group": images[seen].groupby("sha256")["group"].nunique().le(1).all(),
        "duplicates share a group": images.groupby("duplicate")["group"].nunique().le(1).all(),
        "labels are classes": labels <= set(summary["classes"]),
        "negative is no class": summary["negative"] not in summary["classes"],
        "boxes have images": set(boxes["image_id"]) <= set(images["image_id"]),
        "boxes have area": ((boxes["xmax"] > boxes["xmin"]) & (boxes["ymax"] > boxes["ymin"])).all(),
        "boxes are finite": boxes[BOX].notna().all(axis=None) and boxes[BOX].abs().lt(1e6).all(axis=None),
        "boxes lie inside": (inside[["xmin", "ymin"]] >= 0).all(axis=None)
        and (inside[["xmax", "ymax"]].to_numpy() <= limits).all(),
        "actions": set(issues["action"]) <= ACTIONS,
        "issues say why": issues["detail"].str.len().gt(10).all(),
        "what is left out is listed": set(images.loc[images["status"] != "ok", "image_id"])
        <= set(issues["image_id"].dropna()),
        "counts": summary["images"] == len(images) and summary["usable"] == len(usable),
    }
    return [name for name, holds in expectations.items() if not holds]


def broken_split(images: pd.DataFrame, splits: pd.DataFrame, folds: int) -> list[str]:
    """Names of the expectations on a grouped split that do not hold."""
    usable = images[images["status"] == "ok"]
    by_id = images.set_index("image_id").loc[splits["image_id"]]
    train = splits["subset"] == "train"
    side = splits["subset"] + splits["fold"].astype(str)
    published = bool((usable["subset"] == "test").any())
    in_test = set(by_id["duplicate"].to_numpy()[(splits["subset"] == "test").to_numpy()]) - {pd.NA}
    in_train = set(by_id["duplicate"].to_numpy()[train.to_numpy()]) - {pd.NA}
    expectations = {
        "columns": list(splits) == list(SPLITS),
        "usable images once": sorted(splits["image_id"]) == sorted(usable["image_id"]),
        "all folds": set(splits.loc[train, "fold"]) == set(range(folds)),
        "only training has folds": (splits.loc[~train, "fold"] == -1).all(),
        "groups on one side": side[train].groupby(splits["group"]).nunique().le(1).all(),
        "no test picture in training": not in_test & in_train,
        "published test kept": not published
        or ((splits["subset"] == "test").to_numpy() == (by_id["subset"] == "test").to_numpy()).all(),
    }
    return [name for name, holds in expectations.items() if not holds]
