"""The base class of submission layouts, and what the layouts share."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from tropho.submission.label_names import LabelNames
from tropho.tables import parse_number

Issue = tuple[str, str]  # kind and detail, as in tables.ISSUES


class UnsupportedLayoutError(Exception):
    """The sample asks for what can't be written; the message says why."""


class Row(NamedTuple):
    """One image of a submission."""

    image: str  # as the submission names it
    image_id: str | None  # None = no test image
    cells: dict[str, str]  # the sample's row of this image, by column; {} = none


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """How predictions are written."""

    header: list[str]  # the columns in order
    delimiter: str = ","  # of the cells
    image: str = "image_id"  # the column of image ids
    # (kind, detail) of what the sample asks for and predictions don't have, or the other way round
    issues: list[Issue] = field(default_factory=list)
    problem: str | None = None  # why the sample is not followed; None = it is, or there is none

    @property
    def labels(self) -> list[str]:
        """Every label that may be written; empty = none is, or any."""
        return []

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What the columns will hold."""

    @abstractmethod
    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """Make the submission's table, with its own column names.

        Args:
            predictions: result of Task.submission, numbers rounded.
            rows: the images in order; one without predictions gets the least that the layout can say.
        """


def kept_columns(columns: list[str]) -> list[Issue]:
    """Return issues for columns that the predictions can't fill."""
    return [
        ("sample_column", f"Nothing is known for column '{name}'; it keeps the sample's cells.") for name in columns
    ]


def are_whole(cells: list[str]) -> bool:
    """Whether all cells are whole numbers; False if there are none."""
    return bool(cells) and all(cell.strip().isascii() and cell.strip().isdigit() for cell in cells)


def are_probabilities(cells: list[str]) -> bool:
    """Whether all cells are numbers from 0 to 1; False if there are none."""
    return bool(cells) and all(0 <= parse_number(cell) <= 1 for cell in cells)


def written_labels(cells: list[str], names: LabelNames, column: str) -> tuple[dict[str, str], list[Issue]]:
    """Return how each class is written in a column of labels, and the labels that are no class as issues.

    Args:
        cells: of the sample.
        names: the classes.
        column: of the sample, for messages.

    Raises:
        UnsupportedLayoutError: none of the labels is a class, so the column wants something else.
    """
    distinct = list(dict.fromkeys(cells))
    matched = names.match(distinct)
    classes = ", ".join(names.classes)
    unknown = [word for word in distinct if word not in matched]
    shown = ", ".join(f"'{word}'" for word in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
    if unknown and not matched:
        if all(not math.isnan(parse_number(word)) for word in unknown):
            raise UnsupportedLayoutError(
                f"column '{column}' holds numbers ({shown}) and the classes have names ({classes}): list these in "
                "audit.classes in the order of their numbers"
            )
        if len(unknown) > 1:
            raise UnsupportedLayoutError(
                f"column '{column}' holds {shown}, none of the classes {classes}; audit.class_map renames classes"
            )
    issues = [("sample_class", f"column '{column}' holds {shown}, which is no class ({classes}).")] if unknown else []
    write = names.writer(cells)
    return {name: write(name) for name in names.classes}, issues
