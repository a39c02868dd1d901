"""Fonts for the texts of figures, and replacements for class names that no font can draw.

DejaVu Sans draws Latin, Greek and Cyrillic, the machine's fonts other scripts. Scripts with joined letters or from
right to left are never drawn.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

BUNDLED = Path(mpl.get_data_path())
DEFAULT = BUNDLED / "fonts" / "ttf" / "DejaVuSans.ttf"
_UNFIT = re.compile(r"emoji|last.?resort|blank|symbol|dingbat", re.IGNORECASE)
_STAND_INS: ContextVar[dict[str, str] | None] = ContextVar("stand_ins", default=None)
_used: set[Path] = set()  # fonts other than the default that this process has used


def font_for(text: str) -> Path | None:
    """Find one font that draws every letter of a text; None without one."""
    letters = frozenset(map(ord, text))
    if any(_needs_shaping(letter) for letter in text):
        return None
    if _letters(DEFAULT).issuperset(letters):
        return DEFAULT
    font = next((path for path in _machine_fonts() if _letters(path).issuperset(letters)), None)
    _used.update([font] if font else [])
    return font


def drawn(text: object) -> str:
    """Convert text to one line that figures can draw.

    Class names become their replacements (see `naming`), other letters that no font draws their Unicode names.
    """
    line = _line(str(text))
    if font_for(line):
        return line
    for name, stand_in in (_STAND_INS.get() or {}).items():
        line = line.replace(_line(name), stand_in)
    return line if font_for(line) else "".join(_spelled(*run) for run in groupby(line, _is_plain))


def plain(text: object, length: int = 28) -> str:
    r"""Convert text to a chart label: drawable, shortened in the middle, no TeX, no leading "_" (legends drop it)."""
    line = drawn(text)
    if len(line) > length:
        line = f"{line[: length // 2]}…{line[-(length // 2 - 1) :]}"
    line = line.replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def stand_ins(classes: Sequence[str]) -> dict[str, str]:
    """Map the classes that no font can draw to their number in the list: {"日本": "class 2"}."""
    word = next(
        candidate
        for candidate in ("class", "label", "class no.")
        if not any(f"{candidate} " in name for name in classes)
    )
    labels = {name: f"{word} {place}" for place, name in enumerate(classes, start=1) if not font_for(_line(name))}
    return dict(sorted(labels.items(), key=lambda pair: -len(pair[0])))


@contextmanager
def naming(classes: Sequence[str]) -> Iterator[None]:
    """Replace class names that no font can draw in the figures of this context."""
    token = _STAND_INS.set(stand_ins(classes))
    try:
        yield
    finally:
        _STAND_INS.reset(token)


def save_png(figure: Figure, to: Any, **options: Any) -> None:
    """Write a figure as PNG to a path or stream, with the fonts that its texts need."""
    families = ["DejaVu Sans", *sorted(FT2Font(str(path)).family_name for path in _used)]
    with mpl.rc_context({"font.family": families} if _used else {}):
        for text in figure.findobj(Text) if _used else []:
            text.set_fontfamily(families)
        figure.savefig(to, format="png", **options)


@cache
def _letters(path: Path) -> frozenset[int]:
    """Return the code points of a font file's glyphs; none if it can't be read."""
    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _machine_fonts() -> list[Path]:
    """Return the machine's upright text fonts by file name."""
    fonts = {Path(font.fname) for font in fontManager.ttflist if font.style == "normal"}
    fit = [path for path in fonts if BUNDLED not in path.parents and not _UNFIT.search(path.name)]
    return sorted(fit, key=lambda path: (path.name, path))


def _line(text: str) -> str:
    """Normalize the text (NFC), with a space for each unprintable character."""
    return "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", text))


def _needs_shaping(letter: str) -> bool:
    return unicodedata.category(letter) in {"Mn", "Mc", "Me"} or unicodedata.bidirectional(letter) in {"R", "AL", "AN"}


def _is_plain(letter: str) -> bool:
    return ord(letter) in _letters(DEFAULT) and not _needs_shaping(letter)


def _spelled(is_plain: bool, letters: Iterator[str]) -> str:
    """Return a run of plain letters as it is, or the names of other ones in brackets."""
    if is_plain:
        return "".join(letters)
    names = (
        re.sub(r".*(LETTER|SYLLABLE|SIGN|IDEOGRAPH)[ -](SMALL )?", "", unicodedata.name(letter, ""))
        for letter in letters
    )
    return f"({' '.join(filter(None, names)).lower() or '?'})"
