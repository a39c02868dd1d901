"""The pages made from the code are up to date, and say what the code says."""

import ast

import pytest
import reference_pages
from reference_pages import comments, message, messages_page, pages, settings_page, value_words

from conftest import ROOT
from tropho.config.load import load_params


def test_pages_are_up_to_date():
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, "run `make pages`"


def test_every_setting_has_a_row_with_its_comment():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for section, settings in load_params(ROOT / "params.yaml")["defaults"].items():
        rows = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
        for key in settings:
            assert f"\n| `{key}` | " in rows, f"{section}.{key}"
    assert "| `lr` | number above 0, up to 100 | `0.001` | learning rate at its peak |" in page


def test_comments_over_several_lines_are_joined():
    section = "a:\n    one: 1   # first\n             # second\n    two:\n    - 3\n"
    text = f"\ndefaults:\n  {section}\ntasks:\n    one: 2  # no\n"
    assert comments(text) == {("a", "one"): "first second", ("a", "two"): ""}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 10_000}, "whole number from 1 to 10,000"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "number above 0, below 1"),
        ({"anyOf": [{"type": "integer", "multipleOf": 32}, {"type": "null"}]}, "whole number, in steps of 32; or null"),
        ({"enum": ["a", "b"]}, "`a`, `b`"),
        ({"anyOf": [{"type": "boolean"}, {"const": "auto"}]}, "true or false or `auto`"),
        ({"type": "array", "items": {"type": "string"}}, "list, each value: text"),
        (
            {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}},
            "list of 2, each value: number",
        ),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "mapping, each value: text"),
        ({"type": "object", "additionalProperties": True}, "mapping"),
    ],
)
def test_values_are_described_in_words(schema, words):
    assert value_words(schema) == words


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("'write a_b, not *'", r"write a\_b, not \*"),
        ("f'{path} holds {len(names)} files'", "*path* holds *number* files"),
        ("f'{self.image_id!r} is in {rows.iloc[0]}'", "*image id* is in *rows*"),
        ("f'at most {MAX} photos{suggestion(a, b)}.'", "at most 200 photos *(suggestion)*."),
        ("f'{a}{b}'", "*a* *b*"),
        ("_sentence(error)", None),
    ],
)
def test_messages_are_made_ready_for_a_table(code, text):
    assert message(ast.parse(code, mode="eval").body, {"MAX": "200"}) == text


def test_messages_are_grouped_by_the_part_that_they_come_from(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.py").write_text(
        "raise ValueError('lr is wrong')\nraise KeyError('not shown')\nyield 'no seed'"
    )
    (tmp_path / "hub.py").write_text("raise ExternalError('the Hub is away')\nraise ValueError('not shown')")
    page = messages_page(tmp_path)
    settings = page.split("## Settings\n")[1].split("##")[0]
    assert "| lr is wrong | 2 |\n| no seed | 2 |" in settings
    assert "| the Hub is away | 3 |" in page.split("## Download\n")[1].split("##")[0]
    assert "not shown" not in page


def test_a_changed_default_changes_the_page():
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert params.count("    epochs: 12 ") == 1
    page = settings_page(params.replace("    epochs: 12 ", "    epochs: 13 "))
    assert "| `epochs` | whole number from 1 to 10,000 | `13` | passes over the training images |" in page
    assert reference_pages.SETTINGS_HEAD in page
