"""The words of code, docs and messages: no word that was renamed, and no sentence too long to read once."""

import ast
import json
import re

import pytest
import yaml

from conftest import ROOT

WORDS = yaml.safe_load((ROOT / "tests" / "words.yaml").read_text(encoding="utf-8"))
CODE = sorted((ROOT / "src").rglob("*.py"))
TEXTS = sorted([*(ROOT / "src").rglob("*.yaml"), *(ROOT / "src").rglob("*.j2")])
PAGES = sorted([ROOT / "README.md", *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OLD_NAMES = {"retired.py", "style.md"}
"""Files that have to name what is gone."""
LONGEST = 30
"""Words of a sentence."""
STILL_LONG = {"docs": 0, "docstrings": 1}
"""Sentences that are longer yet; lower these numbers as they are mended, never raise them."""


def text_of(page):
    """The text of a page, or of a notebook's cells that are not code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def prose(page):
    """The sentences of a page, without code, tables and headings; an item of a list is a paragraph."""
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    lines = ["" if re.match(r"\s*(\||#)", line) else line for line in text.splitlines()]
    return sentences(re.sub(r"(?m)^\s*(?:[-*]|\d+\.) ", "\n", "\n".join(lines)))


def docstrings(path):
    """The sentences of a module's docstrings, without their lists of arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            yield from sentences(re.split(r"\n\s*(?:Args|Returns|Raises):", text)[0])


def sentences(text):
    for block in re.split(r"\n\s*\n", text):
        yield from (" ".join(each.split()) for each in re.split(r"(?<=[.:;?!])\s", block))


def too_long(found):
    return [sentence for sentence in found if len(re.findall(r"[\w'`]+(?:[-./][\w'`]+)*", sentence)) > LONGEST]


def count(word, text):
    return len(re.findall(rf"(?<![\w]){re.escape(word)}(?![\w])", text, re.I))


@pytest.mark.parametrize(
    "path", [*CODE, *TEXTS, *PAGES, *NOTEBOOKS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_renamed_word_is_gone(path):
    if path.name in OLD_NAMES:
        return
    text = path.read_text(encoding="utf-8")
    found = {word: new for word, new in WORDS["gone"].items() if count(word, text)}
    assert not found, f"{path.name}: say what stands on the right"


@pytest.mark.parametrize("word", WORDS["going"])
def test_a_word_on_its_way_out_is_used_no_more_than_before(word):
    instead, allowed = WORDS["going"][word]
    used = {path.name: count(word, path.read_text(encoding="utf-8")) for path in CODE if path.name not in OLD_NAMES}
    used = {name: number for name, number in used.items() if number}
    assert sum(used.values()) <= allowed, f"say {instead} instead: {used}"


def test_no_sentence_more_is_too_long_to_read_once():
    too_many = {
        "docs": [sentence for page in [*PAGES, *NOTEBOOKS] for sentence in too_long(prose(page))],
        "docstrings": [sentence for path in CODE for sentence in too_long(docstrings(path))],
    }
    assert all(len(too_many[place]) <= most for place, most in STILL_LONG.items()), too_many
