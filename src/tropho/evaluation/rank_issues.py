"""Suspects of all kinds in one order, as lines that a table of corrections takes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tropho.boxes.box_ops import Floats
from tropho.tables import BOX, GIVEN, LABEL_ISSUES, SUGGESTED, conform

ACTIONS: Mapping[str, tuple[str, str, str]] = {  # by kind: the action, and whose label and whose box it names
    "spurious": ("drop", "given", "given"),
    "duplicate": ("drop", "given", "given"),
    "swap": ("relabel", "suggested", "given"),
    "badloc": ("move", "suggested", "suggested"),
    "overlooked": ("add", "suggested", "suggested"),
    "not_negative": ("add", "suggested", "suggested"),
}


def corrections_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Suspect boxes, columns kind, given_* and suggested_*, with action, label and box of the correction of each."""
    actions, labels, boxes = zip(*(ACTIONS[kind] for kind in rows["kind"]), strict=True) if len(rows) else ((),) * 3
    by_label, by_box = np.array(labels) == "given", np.array(boxes) == "given"
    box = np.where(by_box[:, None], rows[GIVEN].to_numpy(np.float64), rows[SUGGESTED].to_numpy(np.float64))
    named = rows["given_label"].where(by_label, rows["suggested_label"])
    return rows.assign(action=list(actions), label=named, **dict(zip(BOX, box.T, strict=True)))


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Suspects as tables.SUSPECTS, by falling score; of equals, those of more `certainty`, then by image and place.

    Args:
        rows: the columns of tables.SUSPECTS but rank (those that are absent are empty), and certainty.
    """
    rows = rows.reindex(columns=[*LABEL_ISSUES, "certainty"])
    rows["score"] = rows["score"].round(6)  # the last digits depend on the order in which numbers were added
    order = ["score", "certainty", "image_id", *BOX, "kind", "label"]
    rows = rows.sort_values(order, ascending=[False, False, *[True] * 7], kind="stable", ignore_index=True)
    return conform(rows.assign(rank=np.arange(1, len(rows) + 1)), LABEL_ISSUES)


def share_above(values: pd.Series, groups: pd.Series) -> Floats:
    """(N,) for each value the share of the values of its group that are higher."""
    ranks = values.groupby(groups).rank(method="max", ascending=True)
    count = values.groupby(groups).transform("size")
    return ((count - ranks) / count).to_numpy(np.float64)
