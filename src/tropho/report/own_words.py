"""The author's own words: Markdown files of reports/TASK/text/, which no stage writes or removes."""

import os
import re
from pathlib import Path, PurePath
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from tropho.errors import suggestion
from tropho.report.blocks import Block, Hint, OwnWords
from tropho.report.embed_image import embed_image
from tropho.report.reader import Reader, texts

HEADING_SHIFT = 2  # "#" of a text is a heading below its chapter's
WRITTEN = {".md", ".markdown", ".txt", ".docx", ".odt", ""}
"""Endings of files that are meant as text."""
ATX = re.compile(r"^( {0,3})(#{1,6})(?=\s|$)")


def own_words(reader: Reader, chapter: str) -> Block:
    """Return the author's text of a chapter, or a hint on where to write it."""
    place = f"reports/{reader.task.name}/text/{chapter}.md"
    return read_words(reader, chapter) or Hint(
        f"{texts('own_words')[chapter]} Write it in {place}, and it appears here."
    )


def read_words(reader: Reader, name: str) -> OwnWords | None:
    """Read a text of the author's by its name, without ".md"; None if it is absent or empty."""
    path = reader.paths.own_text / f"{name}.md"
    text = reader.text(path)
    return render_words(text, path, reader.faults) if text.strip() else None


def read_title(reader: Reader) -> tuple[str, OwnWords | None]:
    """Read title.md: the title from its first line, and the rest, such as authors, course and date.

    Returns: the title, or the task's name if there is none; the rest, or None.
    """
    path = reader.paths.own_text / "title.md"
    first, _, rest = reader.text(path).strip().partition("\n")
    title = re.sub(r"^#+\s*|\s*#*$", "", first)
    if not title:
        return reader.task.name, None
    return title, render_words(rest.strip(), path, reader.faults) if rest.strip() else None


def unknown_texts(reader: Reader) -> list[str]:
    """Say which files of the folder of texts belong to no chapter."""
    known = ["title", "summary", *texts("own_words")]
    return [
        f"reports/{reader.task.name}/text/{path.name} belongs to no chapter{suggestion(path.stem, known)}."
        for path in sorted(reader.paths.own_text.glob("*"))
        if path.name not in {f"{name}.md" for name in known}
        and path.is_file()
        and path.suffix.lower() in WRITTEN
        and path.name[0] != "."
    ]


def render_words(text: str, path: Path, faults: list[str]) -> OwnWords:
    """Convert Markdown to HTML in which raw HTML is text and pictures are embedded, and to a part of report.md.

    Args:
        text: Markdown.
        path: of its file; pictures are read from the same folder.
        faults: takes a sentence on each picture that can't be read.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    lines = text.splitlines()
    files: dict[str, Path] = {}
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            level = min(6, int(token.tag[1]) + HEADING_SHIFT)
            token.tag = f"h{level}"
            if token.map and token.level == 0:
                _shift(lines, token, level)
        images = [child for child in token.children or [] if child.type == "image"]
        wrong = filter(None, [_embed(image, path.parent, files) for image in images])
        faults.extend(f"{path.name}: {fault}" for fault in wrong)
    html = Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - escaped by markdown-it
    return OwnWords(html, "\n".join(lines), files)


def _shift(lines: list[str], token: Token, level: int) -> None:
    """Give a heading its level in the lines of its text; an underlined one becomes one line."""
    assert token.map is not None
    start, end = token.map
    if token.markup.startswith("#"):
        lines[start] = ATX.sub("#" * level, lines[start])
        return
    title = " ".join(line.strip() for line in lines[start : end - 1])
    lines[start:end] = [f"{'#' * level} {title}", *[""] * (end - start - 1)]


def _embed(token: Token, folder: Path, files: dict[str, Path]) -> str:
    """Put a picture's content in place of its address, and add its file by its address.

    Returns: what is wrong with a picture that can't be read, which stands in its place; else an empty text.
    """
    name = unquote(str(token.attrGet("src")))
    address, path = PurePath(os.path.normpath(name)).as_posix(), (folder / name).resolve()
    inside = path.is_relative_to(folder.resolve()) and not address.startswith("..")
    picture = embed_image(path, "", token.content) if inside and path.is_file() else None
    if picture is not None:
        token.attrSet("src", picture.src)
        files[address] = path
        return ""
    known = [each.name for each in sorted(folder.glob("*")) if each.suffix.lower() not in WRITTEN]
    fault = f"{name} can't be read beside this text{suggestion(name, known)}."
    token.type, token.content, token.tag = "text", f"[{fault}]", ""
    return fault
