"""List what the labels and files of a new task hold that is not read as it stands."""

from pathlib import Path

import pandas as pd

from tropho.data.audit.unused_data import list_other_files
from tropho.data.formats.image_files import ImageFiles
from tropho.data.formats.labels import IssueLog, Labels
from tropho.new_task.recipe import Reason

MAX_KINDS = 6
"""Kinds of problem that are listed, the most frequent first."""


def list_problems(labels: Labels, raw: Path) -> list[Reason]:
    """Count the issues of the labels and the files that are neither images nor labels, each kind with its first."""
    log = IssueLog()
    list_other_files(raw, ImageFiles(raw).left_aside, log)
    issues = pd.concat([labels.issues, log.table()], ignore_index=True)
    reasons = []
    for kind, count in issues["kind"].value_counts().head(MAX_KINDS).items():
        first = issues[issues["kind"] == kind].iloc[0]
        place = "" if pd.isna(first["file"]) or kind == "other_files" else f"{first['file']}"
        place += "" if pd.isna(first["row"]) else f", row {first['row']}"
        reasons.append(
            Reason("not read as it is", f"{count:,} {kind}", f"{place}{': ' * bool(place)}{first['detail']}")
        )
    return reasons
