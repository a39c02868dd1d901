"""Submissions of classification: a row an image, with a label, a probability a class, or one probability."""

from dataclasses import dataclass, field, replace

import pandas as pd

from tropho.submission.label_names import LabelNames
from tropho.submission.layout_types import (
    Issue,
    Layout,
    Row,
    UnsupportedLayoutError,
    are_probabilities,
    are_whole,
    kept_columns,
    written_labels,
)
from tropho.submission.sample_file import LABEL_NAMES, SCORE_NAMES, Sample, fold

SPELLED_OUT = 10  # columns that a sentence names


@dataclass(frozen=True, kw_only=True)
class ClassColumns(Layout):
    """A layout in which columns that nothing fills keep the sample's cells."""

    classes: list[str]
    label: str | None = None
    written: dict[str, str] = field(default_factory=dict)  # class -> label as it is written
    probabilities: dict[str, str] = field(default_factory=dict)  # column -> class
    zeros: list[str] = field(default_factory=list)  # columns of what no training image shows
    best: str | None = None  # column of the label's own probability

    @property
    def labels(self) -> list[str]:
        """Every label that may be written."""
        return list(self.written.values()) if self.label else []

    @property
    def sentence(self) -> str:
        """What the columns will hold."""
        parts = [f"'{self.image}' the image"]
        if self.label:
            parts.append(f"'{self.label}' the class ({', '.join(self.labels)})")
        if len(self.probabilities) <= SPELLED_OUT:
            parts += [f"'{column}' the probability of {name}" for column, name in self.probabilities.items()]
        else:
            parts.append(f"{len(self.probabilities)} columns the probability of a class each")
        if self.best:
            parts.append(f"'{self.best}' its probability")
        return ", ".join(parts)

    def fill(self, predictions: pd.DataFrame, rows: list[Row]) -> pd.DataFrame:
        """See Layout; predictions have image_id, label, p_*. Without them all classes are equally probable."""
        known = predictions.set_index("image_id").reindex([row.image_id for row in rows])
        shares = known[[f"p_{name}" for name in self.classes]].fillna(1 / len(self.classes))
        labels = known["label"].astype(object).where(known["label"].notna(), self.classes[0])
        table = {name: [row.cells.get(name, "") for row in rows] for name in self.header}
        table[self.image] = [row.image for row in rows]
        if self.label:
            table[self.label] = [self.written[name] for name in labels]
        if self.best:
            table[self.best] = shares.max(axis=1).tolist()
        for column, name in self.probabilities.items():
            table[column] = shares[f"p_{name}"].tolist()
        return pd.DataFrame({**table, **{column: [0.0] * len(rows) for column in self.zeros}})


def class_layout(sample: Sample, names: LabelNames) -> ClassColumns:
    """The layout that a sample of a classification asks for.

    Raises:
        UnsupportedLayoutError: it asks for something else than a label or probabilities, one row an image.
    """
    ids, rows = len(sample.ids), len(sample.rows) - len(sample.nameless)
    if ids < rows:
        raise UnsupportedLayoutError(f"it has {rows} rows for {ids} images, and supported is one row an image")
    image = sample.columns.image
    rest = [name for name in sample.header if name != image]
    usual = LABEL_NAMES | SCORE_NAMES
    candidates = [name for name in rest if name in names.classes or fold(name) not in usual]
    matched = names.match_once(candidates)
    columns = {name: matched[name] for name in rest if name in matched and _numeric(sample.cells(name))}
    left = [name for name in rest if name not in columns]
    if not columns:
        return _single(sample, names, left)
    label = next((name for name in left if fold(name) in LABEL_NAMES and not are_fractions(sample.cells(name))), None)
    left = [name for name in left if name != label]
    zeros = [name for name in left if are_probabilities(sample.cells(name))]
    issues: list[Issue] = [("sample_class", f"Column '{name}' is none of the classes; it holds 0.") for name in zeros]
    issues += kept_columns([name for name in left if name not in zeros])
    if len(columns) > 1 or len(rest) > 1:
        absent = [name for name in names.classes if name not in columns.values()]
        issues += [("sample_class", f"There is no column for class '{name}'; it is left out.") for name in absent]
    written: dict[str, str] = {}
    if label:
        written, more = written_labels(sample.cells(label), names, f"column '{label}'")
        issues += more
    base = _bare(sample, names)
    return replace(base, label=label, written=written, probabilities=columns, zeros=zeros, issues=issues)


def _bare(sample: Sample, names: LabelNames) -> ClassColumns:
    """The sample's columns with nothing to fill them yet."""
    return ClassColumns(
        header=sample.header, delimiter=sample.delimiter, image=sample.columns.image, classes=names.classes
    )


def _single(sample: Sample, names: LabelNames, left: list[str]) -> ClassColumns:
    """The layout where no column is named for a class: a label, or the probability of one of two classes."""
    value = next((name for name in left if fold(name) in LABEL_NAMES), None)
    score = next((name for name in left if fold(name) in SCORE_NAMES), None)
    value = value or (left[0] if len(left) == 1 else None)
    if value is None:
        told = ", ".join(f"'{name}'" for name in left)
        raise UnsupportedLayoutError(
            f"its columns {told} name none of the classes {', '.join(names.classes)}" if left else "it has one column"
        )
    cells, base = sample.cells(value), _bare(sample, names)
    known = {*names.classes, *names.originals}
    many_labels = len(names.classes) > 2 and set(names.match(cells)) == set(cells)
    if value == score or (are_fractions(cells) and not many_labels and not set(cells) <= known):
        if len(names.classes) != 2:
            raise UnsupportedLayoutError(
                f"column '{value}' holds one probability, and there are {len(names.classes)} classes"
            )
        kept = kept_columns([name for name in left if name != value])
        return replace(base, probabilities={value: names.positive(value)}, issues=kept)
    written, issues = written_labels(cells, names, f"column '{value}'")
    issues += kept_columns([name for name in left if name not in {value, score}])
    return replace(base, label=value, written=written, best=score, issues=issues)


def are_fractions(cells: list[str]) -> bool:
    """Whether the cells are probabilities, written with a decimal point or an exponent."""
    return are_probabilities(cells) and not are_whole(cells)


def _numeric(cells: list[str]) -> bool:
    return not cells or are_probabilities(cells)
