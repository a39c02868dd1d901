"""What every layout of a submission is made of."""

import math
from typing import NamedTuple, Protocol

import pandas as pd

from tropho.formats.label_names import LabelNames


class UnsupportedLayoutError(Exception):
    """The sample asks for what can't be written; the message says why."""


class Row(NamedTuple):
    """One image of a submission."""

    image: str  # as the submission names it
    image_id: str | None  # None = no test image
    cells: dict[str, str]  # the sample's row of this image, by column; {} = none


class Layout(Protocol):
    """How predictions are written."""

    header: list[str]
    delimiter: str
    sentence: str
    """What the columns will hold."""
    issues: list[tuple[str, str]]
    """(kind, detail) of what the sample asks for and predictions don't have, or the other way round."""
    labels: list[str]
    """Every label that may be written; empty = none is, or any."""
    problem: str | None
    """Why the sample is not followed; None = it is, or there is none."""

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """The submission's table, with its own column names.

        Args:
            predictions: what Task.submission gave; numbers are rounded already.
            rows: the images in order. An image without predictions gets what says least.
        """


def number(text: str) -> float:
    """The cell's value; NaN where it is no number (float() would take 1_000)."""
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan


def are_probabilities(cells: list[str]) -> bool:
    """Whether all cells are numbers from 0 to 1; False if there are none."""
    return bool(cells) and all(0 <= number(cell) <= 1 for cell in cells)


def written_labels(shown: list[str], names: LabelNames, where: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
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
