"""Rewrite retired settings in a params.yaml, or in an entry of one, keeping every comment."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from tropho.config.retired import RETIRED, Retired, as_yaml, dotted_key, is_retired, section_of
from tropho.errors import UsageError
from tropho.files import write_text, yaml_fault


class Edit(NamedTuple):
    """Replacement of the characters from `start` to `end` by `text`."""

    start: int
    end: int
    text: str


def rewrite_file(path: Path) -> list[str]:
    """Rewrite the retired settings of a file in place.

    Returns: a line for each changed setting; empty if the file stays as it is.

    Raises:
        UsageError: the file is missing or no YAML, or holds a setting under both names.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is not here; name a params.yaml, or a file with an entry of one.") from None
    try:
        new, changes = rewrite(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {yaml_fault(error)}; correct it there.") from None
    if changes:
        write_text(path, new)
    return changes


def rewrite(text: str) -> tuple[str, list[str]]:
    """Rewrite the retired settings of YAML text; returns the new text and a line for each change."""
    root = yaml.compose(text, yaml.SafeLoader)
    edits: list[Edit] = []
    changes: list[str] = []
    if isinstance(root, yaml.MappingNode):
        _visit(root, "", None, text, edits, changes)
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, changes


def _visit(
    node: yaml.MappingNode, where: str, section: str | None, text: str, edits: list[Edit], changes: list[str]
) -> None:
    removed = []
    names = [key.value for key, _ in node.value]
    for number, (key, value) in enumerate(node.value):
        place = f"{where}{key.value}"
        dotted = dotted_key(section, key.value)
        if is_retired(dotted, value.value):
            retired = RETIRED[dotted]
            if retired.key is None:
                removed.append(number)
                changes.append(f"{place}: removed, since it {retired.because.removesuffix('; remove it')}")
                continue
            changes.append(f"{place} -> {_rename(key, value, retired, section is None, names, text, edits)}")
        if isinstance(value, yaml.MappingNode):
            _visit(value, f"{place}.", section_of(key.value), text, edits, changes)
    edits += _removals(node, removed, text)


def _rename(
    key: yaml.ScalarNode,
    value: yaml.Node,
    retired: Retired,
    is_dotted: bool,
    names: list[str],
    text: str,
    edits: list[Edit],
) -> str:
    """Add the edits that rename a key and its values; returns the new key, and the new value if it changed."""
    section = key.value.partition(".")[0]
    new = f"{section}.{retired.key}" if is_dotted else str(retired.key)
    if new in names and new != key.value:
        line = key.start_mark.line + 1
        raise UsageError(f"Line {line}: '{key.value}' is now '{new}', which stands there too; remove one of them.")
    edits.append(Edit(key.start_mark.index, key.end_mark.index, new))
    change, growth = new, len(new) - (key.end_mark.index - key.start_mark.index)
    for scalar in _scalars(value):
        for old, put in retired.values.items():
            if scalar.value.lower() == str(old).lower():
                edits.append(Edit(scalar.start_mark.index, scalar.end_mark.index, as_yaml(put)))
                change = f"{new}: {as_yaml(put)}"
                growth += len(as_yaml(put)) - len(scalar.value)
    edits += _align_comment(text, value.end_mark.index, growth)
    return change


def _align_comment(text: str, end: int, growth: int) -> Iterator[Edit]:
    """Keep the comment of an edited line in its column, if two spaces remain."""
    gap = re.compile(r" {2,}(?=#)").match(text, end)
    if gap:
        yield Edit(gap.start(), gap.end(), " " * max(2, len(gap[0]) - growth))


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _scalars(item[1] if isinstance(node, yaml.MappingNode) else item)


def _removals(node: yaml.MappingNode, removed: list[int], text: str) -> Iterator[Edit]:
    """Yield the edits that remove pairs from a mapping, with their comments if they have lines of their own."""
    pairs = node.value
    if removed and len(removed) == len(pairs):
        end = pairs[-1][1].end_mark.index
        if node.flow_style:
            yield Edit(node.start_mark.index, node.end_mark.index, "{}")
        else:  # the section's key ends the line before, with a colon and maybe a comment
            yield Edit(text.rindex(":", 0, node.start_mark.index) + 1, _line_end(text, end) - 1, " {}")
        return
    for number in removed:
        key, value = pairs[number]
        if not node.flow_style:
            start = text.rfind("\n", 0, key.start_mark.index) + 1
            yield Edit(start, _line_end(text, value.end_mark.index), "")
        elif set(range(number, len(pairs))) <= set(removed):  # the last ones: with the comma before
            yield Edit(pairs[number - 1][1].end_mark.index, value.end_mark.index, "")
        else:
            yield Edit(key.start_mark.index, pairs[number + 1][0].start_mark.index, "")


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) + 1 if end < 0 else end + 1
