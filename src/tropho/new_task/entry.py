"""Write the entry of a new task into params.yaml, in the form that DVC writes, keeping every comment."""

import io
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from tropho.config.load import check_task_name, load_params
from tropho.config.task_config import SECTIONS
from tropho.errors import UsageError
from tropho.files import write_text
from tropho.paths import Paths


def check_name(name: str, params: dict[str, Any]) -> None:
    """Raise UsageError unless a new task may have this name."""
    check_task_name(name)
    if name in params["tasks"]:
        raise UsageError(f"params.yaml has a task '{name}' already; choose another name, or remove that entry first.")


def write_entry(path: Path, name: str, entry: dict[str, Any], comments: dict[str, str]) -> tuple[list[str], list[str]]:
    """Add a task to params.yaml and make it active beside the present ones.

    Demos stop being active if nothing else is active and none of them has begun to run.

    Args:
        path: of params.yaml.
        name: of the task.
        entry: kind, description, presets, then every section that is not empty.
        comments: by dotted key of a preset, or "" for the entry; why it is so.

    Returns: the active tasks, and those that are so no longer.

    Raises:
        UsageError: the file can't be read, or as `check_name`.
    """
    check_name(name, load_params(path))
    writer = YAML()
    writer.default_flow_style = False
    params = writer.load(path.read_text(encoding="utf-8"))
    present = [str(task) for task in params["active"]]
    dropped = present if all(_is_unused_demo(task, params, path.parent) for task in present) else []
    active = [*(task for task in present if task not in dropped), name]
    params["active"][:] = active
    params["tasks"][name] = _commented(entry, comments)
    params["tasks"].yaml_set_comment_before_after_key(name, before=f"\n{comments['']}", indent=2)
    stream = io.StringIO()
    writer.dump(params, stream)
    write_text(path, stream.getvalue())
    return active, dropped


def _is_unused_demo(task: str, params: dict[str, Any], root: Path) -> bool:
    """Whether a task's images are generated and none of its stages has begun to run."""
    paths = Paths(root, task)
    has_begun = any(path.exists() for path in (paths.fingerprint, paths.lock("fingerprint"), paths.raw, paths.models))
    return bool(params["tasks"][task]["download"].get("source") == "generator") and not has_begun


def _commented(entry: dict[str, Any], comments: dict[str, str]) -> CommentedMap:
    """Lay out an entry: sections in flow style on a line each, presets a key a line with their comments."""
    result = CommentedMap({key: entry[key] for key in ("kind", "description")})
    result["presets"] = CommentedMap()
    for preset, values in entry["presets"].items():
        result["presets"][preset] = CommentedMap(values)
        for key in values:
            if key in comments:
                result["presets"][preset].yaml_add_eol_comment(comments[key], key, column=41)
    for section in SECTIONS:
        result[section] = _flow(entry.get(section, {}))
    return result


def _flow(value: Any) -> Any:
    """Convert to mappings and lists that are written in flow style."""
    if isinstance(value, dict):
        mapping = CommentedMap({key: _flow(each) for key, each in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(map(_flow, value))
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and not is_plain(value):
        return DoubleQuotedScalarString(value)
    return value


def is_plain(text: str) -> bool:
    """Whether YAML 1.1, which Tropho reads, takes the text as text without quotes: not `no`, `7` or `null`."""
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return True  # with characters for which the writer adds quotes by itself
