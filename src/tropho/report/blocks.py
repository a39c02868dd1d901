"""Blocks that a report page is built from; report.html.j2 draws each by the name of its class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from tropho.plots import style
from tropho.plots.format_numbers import format_value, humanize
from tropho.report.embed_image import Picture, caption, embed_image
from tropho.report.reader import texts


class Block:
    """Base of all blocks."""

    @property
    def kind(self) -> str:
        """Name of the class, which selects the markup."""
        return type(self).__name__


@dataclass(frozen=True)
class Text(Block):
    """Paragraph; `warn` highlights it."""

    text: str
    warn: bool = False


@dataclass(frozen=True)
class Heading(Block):
    """Heading within a chapter."""

    text: str


@dataclass(frozen=True)
class List(Block):
    """Bullet list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class KeyValues(Block):
    """Names with their values."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table(Block):
    """Table of text; the columns from `numbers_from` on hold numbers and are aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    note: str = ""


@dataclass(frozen=True)
class Pictures(Block):
    """Embedded images in a grid."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Code(Block):
    """Commands for a terminal."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are hidden until the reader opens them; on paper they are shown only if `printed`."""

    title: str
    blocks: Sequence[Block]
    printed: bool = False


@dataclass(frozen=True)
class OwnWords(Block):
    """What the report's author wrote.

    Attributes:
        html: pictures are embedded, headings lie below the chapter's.
        markdown: the same as a part of report.md.
        files: pictures by their address in `markdown`.
    """

    html: Markup
    markdown: str
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Hint(Block):
    """Sentence for the page's author, which is neither printed nor exported."""

    text: str


@dataclass
class Layer:
    """A layer of a network: name, kind in words, output shapes in order without repetition, number of parameters."""

    name: str
    kind: str
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    parameters: int = 0

    @property
    def output(self) -> str:
        """Its first three shapes, and how many more there are."""
        texts = [" × ".join(f"{number:,}" for number in shape) for shape in self.shapes[:3]]
        more = len(self.shapes) - 3
        return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")

    @property
    def size(self) -> tuple[int, int]:
        """Height and depth of its drawing, pixels; they grow with the side of its output and with the channels."""
        shape = self.shapes[0] if self.shapes else (1,)
        channels, side = (shape[0], max(shape[1:])) if len(shape) == 3 else (math.prod(shape), 1)
        return round(4 + 5 * math.log2(max(1, side))), round(4 + 3.5 * math.log2(max(1, channels)))


@dataclass(frozen=True)
class Network(Block):
    """Drawing of a network, layer by layer, from the input to the output."""

    layers: Sequence[Layer]


@dataclass(frozen=True)
class Mark:
    """A box on a photo, in pixels of the photo.

    Attributes:
        kind: hit | false | missed; an annotated box is missed above the score of the detection that finds it.
        score: of the detection; of an annotated box, of the one that finds it, or 0.
        label: class.
        index: of the class.
        visible: at the chosen thresholds.
    """

    kind: str
    score: float
    label: str
    index: int
    box: tuple[float, float, float, float]
    visible: bool


@dataclass(frozen=True)
class Photo:
    """A photo as the model sees it, and the boxes on it."""

    picture: Picture
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Photos(Block):
    """Photos with boxes; with counts, a slider of the confidence redraws boxes and numbers.

    Attributes:
        photos: at least one.
        classes: names, by index.
        thresholds: chosen ones, by index.
        counts: at each of 101 thresholds (0.00 to 1.00) by class [hits, false alarms]; empty = no slider.
        truths: annotated objects by class.
        chosen: hits and false alarms at the chosen thresholds, by class.
        note: what the numbers are of.
    """

    photos: Sequence[Photo]
    classes: Sequence[str]
    thresholds: Sequence[float]
    counts: Sequence[Sequence[Sequence[int]]] = ()
    truths: Sequence[int] = ()
    chosen: Sequence[Sequence[int]] = ()
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Chapter of the page; `id` is its anchor."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)


def missing_stage(stage: str, task: str, sentence: str) -> Text:
    """Say what is missing and which command makes it."""
    return Text(f"{sentence} yet; run `tropho {stage} {task}`, or `dvc repro`.")


def bullets(sentences: Sequence[str] | None, title: str = "") -> list[Block]:
    """List sentences below a title; no block if there are none."""
    return [*([Text(title)] if title else []), List(sentences)] if sentences else []


def key_values(values: Mapping[str, Any]) -> KeyValues:
    """Format named values of any type."""
    return KeyValues([(humanize(name), format_value(value)) for name, value in values.items()])


def text_tables(
    title: str, corner: str, columns: Mapping[str, Mapping[str, str]], per_table: int, note: str = ""
) -> list[Block]:
    """Make tables of a few columns each.

    Args:
        title: of the first table.
        corner: heading of the row names.
        columns: column name -> row name -> cell; a missing cell is a dash.
        per_table: columns of a table at most.
        note: below each table.
    """
    rows = list(dict.fromkeys(row for cells in columns.values() for row in cells))
    tables: list[Block] = []
    for start in range(0, len(columns), per_table):
        names = list(columns)[start : start + per_table]
        cells = [[row, *(columns[name].get(row, "–") for name in names)] for row in rows]
        tables.append(Table("" if start else title, [corner, *names], cells, note=note))
    return tables


def figures(paths: Sequence[Path]) -> list[Block]:
    """Embed image files with their captions, charts before photos; no block if none can be read."""
    order = {name: place for place, name in enumerate(texts("captions"))}
    ordered = sorted(paths, key=lambda path: order.get(path.stem, len(order)))
    pictures = [embed_image(path, *caption(path)) for path in ordered]
    known = sorted(filter(None, pictures), key=lambda picture: not picture.chart)
    return [Pictures(known)] if known else []


def chart(figure: Figure | None, name: str) -> list[Block]:
    """Embed one chart with the caption of this name; no block without a chart."""
    picture = embed_image(style.png_bytes(figure), *caption(Path(name))) if figure else None
    return [Pictures([picture])] if picture else []
