"""The author's own words: Markdown files of reports/TASK/text/, which no stage writes or removes."""

from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from tropho.report.blocks import Block, Hint, OwnWords
from tropho.report.embed_image import embed_image
from tropho.report.reader import Reader

HEADING_SHIFT = 2  # "#" of a text is a heading below its chapter's


def own_words(reader: Reader, chapter: str, what: str) -> list[Block]:
    """Return the author's text of a chapter, or a hint on where to write it.

    Args:
        reader: of the task.
        chapter: name of the file in reports/TASK/text/, without ".md".
        what: the text should say, for the hint.
    """
    path = reader.paths.own_text / f"{chapter}.md"
    text = reader.text(path)
    if text.strip():
        return [OwnWords(to_html(text, path.parent), text)]
    return [Hint(f"{what} Write it in reports/{reader.task.name}/text/{chapter}.md, and it appears here.")]


def to_html(text: str, folder: Path) -> Markup:
    """Convert Markdown to HTML in which raw HTML is text, and pictures of the folder are embedded."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + HEADING_SHIFT)}"
        for child in token.children or []:
            if child.type == "image":
                _embed(child, folder)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - escaped by markdown-it


def _embed(token: Token, folder: Path) -> None:
    """Put a picture's content in place of its address; a picture that can't be read becomes a sentence."""
    name = unquote(str(token.attrGet("src")))
    path = (folder / name).resolve()
    inside = path.is_relative_to(folder.resolve())
    picture = embed_image(path, "", token.content) if inside and path.is_file() else None
    if picture is None:
        token.type, token.content, token.tag = "text", f"[{name} can't be read; keep it beside this text.]", ""
    else:
        token.attrSet("src", picture.src)
