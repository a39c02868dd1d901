"""What every layout of a submission is made of."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from tropho.submission.label_names import LabelNames

Issue = tuple[str, str]
"""Kind and detail, as in tables.ISSUES."""


class UnsupportedLayoutError(Exception):
    """The sample asks for what can't be written; the message says why."""


class Row(NamedTuple):
    """One image of a submission."""

    image: str  # as the submission names it
    image_id: str | None  # None = no test image
    cells: dict[str, str]  # the sample's row of this image, by column; {} = none


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """How predictions are written.

    Attributes:
        header: the columns in order.
        delimiter: what parts the cells.
        image: the column of image ids.
        issues: (kind, detail) of what the sample asks for and predictions don't have, or the other way round.
        problem: why the sample is not followed; None = it is, or there is none.
    """

    header: list[str]
    delimiter: str = ","
    image: str = "image_id"
    issues: list[Issue] = field(default_factory=list)
    problem: str | None = None

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
        """The submission's table, with its own column names.

        Args:
            predictions: what Task.submission gave; numbers are rounded already.
            rows: the images in order. An image without predictions gets what says least.
        """


def kept_columns(columns: list[str]) -> list[Issue]:
    """Issues for columns that nothing is known for."""
    return [
        ("sample_column", f"Nothing is known for column '{name}'; it keeps the sample's cells.") for name in columns
    ]


def number(text: str) -> float:
    """The cell's value; NaN where it is no number (float() would take 1_000)."""
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan


def are_whole(cells: list[str]) -> bool:
    """Whether all cells are whole numbers; False if there are none."""
    return bool(cells) and all(cell.strip().isascii() and cell.strip().isdigit() for cell in cells)


def are_probabilities(cells: list[str]) -> bool:
    """Whether all cells are numbers from 0 to 1; False if there are none."""
    return bool(cells) and all(0 <= number(cell) <= 1 for cell in cells)


def written_labels(shown: list[str], names: LabelNames, where: str) -> tuple[dict[str, str], list[Issue]]:
    """How each class is written where a sample shows these labels, and what is to be listed.

    Raises:
        UnsupportedLayoutError: none of the labels is a class, and so the classes' names can't be what is wanted.
    """
    distinct = list(dict.fromkeys(shown))
    matched = names.match(distinct)
    known = ", ".join(names.classes)
    strange = [word for word in distinct if word not in matched]
    told = ", ".join(f"'{word}'" for word in strange[:5]) + (", ..." if len(strange) > 5 else "")
    if strange and not matched:
        if all(not math.isnan(number(word)) for word in strange):
            raise UnsupportedLayoutError(
                f"{where} holds numbers ({told}) and the classes have names ({known}): list these in audit.classes "
                "in the order of their numbers"
            )
        if len(strange) > 1:
            raise UnsupportedLayoutError(
                f"{where} holds {told}, none of the classes {known}; audit.class_map renames classes"
            )
    issues = [("sample_class", f"{where} holds {told}, which is no class ({known}).")] if strange else []
    namer = names.namer(shown)
    return {name: namer(name) for name in names.classes}, issues
