"""Write the pages that are made from the code: `python tools/reference_pages.py` (`make pages`).

docs/settings.md has every setting with the type and limits of its configuration class, and the default and comment of
params.yaml. docs/messages.md has the messages of all errors, as they stand in the code.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tropho import errors
from tropho.config.task_config import SECTIONS, TaskConfig

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tropho"
SETTINGS_HEAD = """# Settings

<!-- Written by `make pages` from params.yaml and src/tropho/config; don't edit it. -->

Every setting of [params.yaml](../params.yaml). Values are looked up in this order: the task's own section, the task's
preset, the preset of its kind, and `defaults`. A wrong key, type or value stops the command before any work.
A key without a value is `null`. `tropho status` shows the tasks, [Pipeline](pipeline.md) the stages.

| key at the top | meaning |
|---|---|
| `active` | list of the tasks that `dvc repro` works on |
| `preset` | which preset the tasks take, `laptop` or `gpu` |
| `presets` | by kind of task and preset: settings that differ from `defaults` |
| `defaults` | the values below |
| `tasks` | by name: `kind` (classification or detection), `description`, `presets`, and every section |
"""
MESSAGES_HEAD = """# Messages

<!-- Written by `make pages` from the code; don't edit it. -->

Every error message of the program, by the part that it comes from. Each says what is wrong, where, and what to do.
Words in *italics* stand for names and numbers. The last column is the [exit code](commands.md#exit-codes).
[Troubleshooting](troubleshooting.md) has problems that show no message.
"""
GROUPS = {
    "Settings": ("config/",),
    "Download": ("data/sources/", "stages/download", "hub"),
    "Labels and audit": ("data/formats/", "data/audit/", "stages/audit"),
    "Folds": ("data/",),
    "Images": ("images/", "stages/augment"),
    "Search": ("tuning/", "stages/tune"),
    "Models and training": ("models/", "training/", "stages/train", "commands/check"),
    "Evaluation": ("evaluation/", "metrics/", "tasks/", "inference/", "stages/evaluate"),
    "Submission": ("submission/", "stages/submit", "commands/submissions"),
    "New task": ("new_task/", "commands/new_task"),
    "Prediction, app and export": ("commands/", "app/", "export/"),
    "Report and tracking": ("report/", "plots/", "tracking/"),
    "Files and tables": ("",),
}
"""Headings by the modules below src/tropho whose messages they hold; the first that fits counts."""

LOWER = {"exclusiveMinimum": "above", "minimum": "from"}
UPPER = {"maximum": "up to", "exclusiveMaximum": "below"}


def escape(text: str) -> str:
    """Escape what Markdown would read as markup inside a table."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("<", "&lt;").replace("\n", " ")


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in [heads, *rows]]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def number_words(schema: dict[str, Any]) -> str:
    """Describe a number and its limits."""
    lower = [f"{word} {schema[key]:,.10g}" for key, word in LOWER.items() if key in schema]
    upper = [f"{word} {schema[key]:,.10g}" for key, word in UPPER.items() if key in schema]
    if {"minimum", "maximum"} <= schema.keys():
        lower, upper = [f"{lower[0]} {upper[0].removeprefix('up ')}"], []
    step = [f"in steps of {schema['multipleOf']}"] if "multipleOf" in schema else []
    kind = "whole number" if schema["type"] == "integer" else "number"
    return ", ".join([" ".join([kind, *lower]), *upper, *step])


def value_words(schema: dict[str, Any]) -> str:
    """Describe which values a JSON schema of pydantic allows."""
    if "anyOf" in schema:
        each = [value_words(choice) for choice in schema["anyOf"] if "$ref" not in choice]
        words = " or ".join(one for one in each if one != "null")
        return f"{words}; or null" if "null" in each else words
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return number_words(schema)
    if kind == "array":
        count = f" of {schema['minItems']}" if schema.get("minItems") == schema.get("maxItems", "any") else ""
        return f"list{count}, each value: {value_words(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping, each value: {value_words(schema['additionalProperties'])}"
    return {"boolean": "true or false", "string": "text", "null": "null"}.get(str(kind), "mapping")


def comments(text: str) -> dict[tuple[str, str], str]:
    """Return the comment of each setting under `defaults`, by section and key; its further lines are joined."""
    found: dict[tuple[str, str], str] = {}
    section, key = "", None
    block = text.split("\ndefaults:\n", 1)[1].split("\ntasks:\n", 1)[0]
    for line in block.splitlines():
        if head := re.match(r"  (\w+):", line):
            section, key = head[1], None
        elif setting := re.match(r"    (\w+):.*?(?:\s#\s*(.*))?$", line):
            key = section, setting[1]
            found[key] = setting[2] or ""
        elif key and (more := re.match(r"\s*#\s*(.*)", line)):
            found[key] += f" {more[1]}"
    return found


def settings_page(params: str) -> str:
    """Make the page of settings from the text of params.yaml and the configuration classes."""
    said, defaults = comments(params), yaml.safe_load(params)["defaults"]
    parts = [SETTINGS_HEAD]
    for section in SECTIONS:
        config: Any = TaskConfig.model_fields[section].annotation
        parts.append(f"## {section}\n\n{(config.__doc__ or '').strip()}\n")
        rows = []
        for key, schema in config.model_json_schema()["properties"].items():
            default = yaml.safe_dump(defaults[section][key], default_flow_style=True, width=1000)
            shown = default.removesuffix("\n").removesuffix("\n...")
            rows.append([f"`{key}`", value_words(schema), f"`{shown}`", escape(said[section, key])])
        parts.append(f"{table(['key', 'values', 'default', 'meaning'], rows)}\n" if rows else "It has no settings.\n")
    return "\n".join(parts)


def constants(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Return the constants of modules that are texts or numbers, but for names with several values."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for tree in trees:
        for node in tree.body:
            for name in node.targets if isinstance(node, ast.Assign) else []:
                if isinstance(name, ast.Name) and name.id.isupper():
                    found[name.id].append(node.value)
    known = {
        name: nodes[0].value for name, nodes in found.items() if len(nodes) == 1 and isinstance(nodes[0], ast.Constant)
    }
    return {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in known.items()}


def name_of(node: ast.expr) -> str:
    """Name the value of an expression in a message: by its variable, or by the function that makes it."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").replace("_", " ").lower()
    if isinstance(node, ast.Attribute):
        return name_of(ast.Name(node.attr)) if node.attr not in {"iloc", "loc"} else name_of(node.value)
    if isinstance(node, ast.Subscript):
        return name_of(node.value)
    if isinstance(node, ast.Call):
        name = name_of(node.func) if isinstance(node.func, ast.Name) else "…"
        return {"len": "number", "str": "…", "sorted": "…"}.get(name, name)
    return "…"


def message(node: ast.expr, known: dict[str, str]) -> str | None:
    """Return the text of a literal message, ready for a table; None for any other expression.

    Args:
        node: first argument of an error.
        known: constants, by name.
    """
    if isinstance(node, ast.Constant):
        return escape(str(node.value))
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            value = part.value
            is_known = isinstance(value, ast.Name) and value.id in known
            parts.append(escape(known[value.id]) if is_known else f"*{name_of(value)}*")
        elif isinstance(part, ast.Constant):
            parts.append(escape(str(part.value)))
    return "".join(parts).replace("**", "* *").replace("*suggestion*", " *(suggestion)*")


def messages(source: Path) -> Iterator[tuple[str, str, int]]:
    """Yield module, text and exit code of each literal error message below a folder."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(source.rglob("*.py"))}
    literals = constants(trees.values())
    codes = {name: getattr(errors, name).exit_code for name in ("DataError", "UsageError", "ExternalError")}
    for path, tree in trees.items():
        module = path.relative_to(source).with_suffix("").as_posix()
        is_config = module.startswith("config/")
        known = codes | ({"ValueError": codes["UsageError"]} if is_config else {})
        for node in ast.walk(tree):
            # config's sections yield their faults
            if isinstance(node, ast.Yield) and is_config and node.value and (text := message(node.value, literals)):
                yield module, text, codes["UsageError"]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known and node.args:
                text = message(node.args[0], literals)
                if text and " " in text:
                    yield module, text, known[node.func.id]


def messages_page(source: Path) -> str:
    """Make the page of messages; within a group they stand in alphabetical order."""
    groups: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for module, text, code in messages(source):
        heading = next(name for name, places in GROUPS.items() if module.startswith(places))
        groups[heading].add((text, code))
    parts = [MESSAGES_HEAD]
    for heading in GROUPS:
        rows = sorted(groups[heading], key=lambda row: re.sub(r"[^\w ]", "", row[0]).lower())
        parts.append(f"## {heading}\n\n{table(['message', 'code'], [[text, str(code)] for text, code in rows])}\n")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Return what the pages should hold, by file."""
    return {
        ROOT / "docs" / "settings.md": settings_page((ROOT / "params.yaml").read_text(encoding="utf-8")),
        ROOT / "docs" / "messages.md": messages_page(SOURCE),
    }


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
