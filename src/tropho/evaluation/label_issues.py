"""Find wrong labels of images by confident learning (Northcutt et al. 2021), and rank label issues of any kind."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tropho.boxes.box_ops import Floats
from tropho.tables import BOX, GIVEN, LABEL_ISSUES, SUGGESTED, conform, empty

ACTIONS: Mapping[str, tuple[str, str, str]] = {  # kind: action, side of the label and side of the box that it names
    "spurious": ("drop", "given", "given"),
    "duplicate": ("drop", "given", "given"),
    "swap": ("relabel", "suggested", "given"),
    "badloc": ("move", "suggested", "suggested"),
    "overlooked": ("add", "suggested", "suggested"),
    "not_negative": ("add", "suggested", "suggested"),
}


def find_label_issues(
    image_ids: Sequence[str], labels: NDArray[np.integer], probabilities: Floats, classes: Sequence[str]
) -> pd.DataFrame:
    """Find labels for which another class is confident and more probable.

    A class is confident where its probability is at least its mean over the images with that label. Probabilities (N,
    C) are post-processed, out of fold; labels (N,) are class indices.

    Returns: tables.LABEL_ISSUES of kind "swap"; the score is 1 - P(label).
    """
    if len(labels) == 0:
        return empty(LABEL_ISSUES)
    thresholds = np.array(
        [
            probabilities[labels == idx, idx].mean() if (labels == idx).any() else np.inf
            for idx in range(probabilities.shape[1])
        ]
    )  # (C,)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)  # (N, C)
    best, rows = confident.argmax(axis=1), np.arange(len(labels))
    own, other = probabilities[rows, labels], confident[rows, best]
    keep = np.flatnonzero((best != labels) & (other > own))
    names = np.asarray(classes, dtype=object)
    given, suggested = names[labels[keep]], names[best[keep]]
    reasons = zip(suggested, other[keep], given, own[keep], strict=True)
    return rank_issues(
        pd.DataFrame(
            {
                "image_id": np.asarray(image_ids, dtype=object)[keep],
                "action": "set label",
                "label": suggested,
                "reason": [f"P({new}) is {high:.2f}, P({old}) {low:.2f}" for new, high, old, low in reasons],
                "kind": "swap",
                "score": 1 - own[keep],
                "given_label": given,
                "suggested_label": suggested,
                "certainty": other[keep],
            }
        )
    )


def add_corrections(issues: pd.DataFrame) -> pd.DataFrame:
    """Add action, label and box of the correction to issues with kind, given_* and suggested_*."""
    actions, labels, boxes = zip(*(ACTIONS[kind] for kind in issues["kind"]), strict=True) if len(issues) else ((),) * 3
    by_label, by_box = np.array(labels) == "given", np.array(boxes) == "given"
    box = np.where(by_box[:, None], issues[GIVEN].to_numpy(np.float64), issues[SUGGESTED].to_numpy(np.float64))
    label = issues["given_label"].where(by_label, issues["suggested_label"])
    return issues.assign(action=list(actions), label=label, **dict(zip(BOX, box.T, strict=True)))


def rank_issues(issues: pd.DataFrame) -> pd.DataFrame:
    """Sort issues by descending score, then descending certainty, then image and place, to tables.LABEL_ISSUES.

    They have its columns except rank (missing ones are empty), and certainty.
    """
    issues = issues.reindex(columns=[*LABEL_ISSUES, "certainty"])
    issues["score"] = issues["score"].round(6)  # the last digits depend on the order of summation
    order = ["score", "certainty", "image_id", *BOX, "kind", "label"]
    issues = issues.sort_values(order, ascending=[False, False, *[True] * 7], kind="stable", ignore_index=True)
    return conform(issues.assign(rank=np.arange(1, len(issues) + 1)), LABEL_ISSUES)


def share_above(values: pd.Series, groups: pd.Series) -> Floats:
    """Compute for each value the share of higher values in its group, (N,)."""
    ranks = values.groupby(groups).rank(method="max", ascending=True)
    count = values.groupby(groups).transform("size")
    return ((count - ranks) / count).to_numpy(np.float64)
