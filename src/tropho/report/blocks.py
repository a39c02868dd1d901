"""What a report page is made of; report.html.j2 draws each block by its `kind`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A paragraph; `warn` makes it stand out."""

    text: str
    warn: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Heading:
    """A title within a chapter."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class List:
    """Sentences, one under the other."""

    items: Sequence[str]
    kind: ClassVar[str] = "list"


@dataclass(frozen=True)
class KeyValues:
    """Names and values, side by side."""

    items: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """Rows of text; the columns from `numbers_from` on are numbers and stand to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    note: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """An embedded image: a `data:` address, its size on the page, what it shows, and whether it is a chart."""

    src: str
    width: int
    height: int
    alt: str
    caption: str
    chart: bool


@dataclass(frozen=True)
class Pictures:
    """Images in a grid, wide ones over its whole width."""

    pictures: Sequence[Picture]
    kind: ClassVar[str] = "pictures"


@dataclass(frozen=True)
class Code:
    """Lines for a terminal."""

    lines: Sequence[str]
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Details:
    """Blocks that are closed until the reader opens them."""

    title: str
    blocks: "Sequence[Block]"
    kind: ClassVar[str] = "fold"


Block = Text | Heading | List | KeyValues | Table | Pictures | Code | Details


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `id` is its anchor."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Headline:
    """The one number the page is about; `value` is empty where nothing has been measured."""

    name: str
    value: str
    on: str
    beside: str = ""
    blocks: list[Block] = field(default_factory=list)
