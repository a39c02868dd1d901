"""Rewrite retired settings in a params.yaml, or in an entry of one, keeping every comment."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from tropho.config.retired import RETIRED, as_yaml, dotted_key, is_retired, section_of
from tropho.errors import UsageError
from tropho.files import write_text, yaml_fault


class Setting(NamedTuple):
    """A pair of a YAML mapping."""

    place: str  # such as "tasks.malaria.train.ema"
    dotted: str  # section and key
    is_dotted: bool  # whether its key holds both, as in presets
    mapping: yaml.MappingNode
    number: int  # among the pairs of the mapping


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
    """Rewrite the retired settings of YAML text, one after the other; returns the new text and a line for each."""
    changes: list[str] = []
    while setting := next(_retired_settings(yaml.compose(text, yaml.SafeLoader), "", None), None):
        retired = RETIRED[setting.dotted]
        if retired.key is None:
            text = _without(setting, text)
            changes.append(f"{setting.place}: removed, since it {retired.because.removesuffix('; remove it')}")
        else:
            text, change = _renamed(setting, text)
            changes.append(f"{setting.place} -> {change}")
    return text, changes


def _retired_settings(node: yaml.Node | None, where: str, section: str | None) -> Iterator[Setting]:
    for number, (key, value) in enumerate(node.value if isinstance(node, yaml.MappingNode) else ()):
        dotted = dotted_key(section, key.value)
        if is_retired(dotted, value.value):
            assert isinstance(node, yaml.MappingNode)
            yield Setting(f"{where}{key.value}", dotted, section is None, node, number)
        yield from _retired_settings(value, f"{where}{key.value}.", section_of(key.value))


def _renamed(setting: Setting, text: str) -> tuple[str, str]:
    """Rename a key, and its values; returns the text, and the new key with the new value if that changed."""
    key, value = setting.mapping.value[setting.number]
    retired, section = RETIRED[setting.dotted], setting.dotted.partition(".")[0]
    new = change = f"{section}.{retired.key}" if setting.is_dotted else str(retired.key)
    if new != key.value and new in [other.value for other, _ in setting.mapping.value]:
        line = key.start_mark.line + 1
        raise UsageError(f"Line {line}: '{key.value}' is now '{new}', which stands there too; remove one of them.")
    written = text[key.end_mark.index : value.end_mark.index]
    for scalar in reversed(list(_scalars(value))):
        for old, put in retired.values.items():
            if scalar.value.lower() == str(old).lower():
                start, end = (mark.index - key.end_mark.index for mark in (scalar.start_mark, scalar.end_mark))
                written = written[:start] + as_yaml(put) + written[end:]
                change = change if change != new else f"{new}: {as_yaml(put)}"
    rest, growth = text[value.end_mark.index :], len(new) + len(written) - value.end_mark.index + key.start_mark.index
    if gap := re.match(r" {2,}(?=#)", rest):  # the comment stays in its column, if two spaces remain
        rest = " " * max(2, len(gap[0]) - growth) + rest[gap.end() :]
    return text[: key.start_mark.index] + new + written + rest, change


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _scalars(item[1] if isinstance(node, yaml.MappingNode) else item)


def _without(setting: Setting, text: str) -> str:
    """Remove a pair from its mapping, with its comment if it has lines of its own."""
    mapping, number = setting.mapping, setting.number
    pairs = mapping.value
    start, end = pairs[number][0].start_mark.index, pairs[number][1].end_mark.index
    if len(pairs) == 1 and mapping.flow_style:
        return f"{text[: mapping.start_mark.index]}{{}}{text[mapping.end_mark.index :]}"
    if len(pairs) == 1:  # the section's key ends the line before, with a colon and maybe a comment
        return f"{text[: text.rindex(':', 0, start) + 1]} {{}}{text[_line_end(text, end) :]}"
    if not mapping.flow_style:
        return text[: text.rfind("\n", 0, start) + 1] + text[_line_end(text, end) + 1 :]
    if number == len(pairs) - 1:  # with the comma before
        return text[: pairs[number - 1][1].end_mark.index] + text[end:]
    return text[:start] + text[pairs[number + 1][0].start_mark.index :]


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end
