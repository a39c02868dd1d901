"""Presets of params.yaml: values by the machine, for all tasks of a kind and for single tasks."""

import difflib
from typing import Any

from tropho.errors import UsageError

SET_BY_PRESETS = ("augment", "model", "train", "tune", "predict")
NO_PRESETS = "none"
"""In the place of a task's presets: not even those of its kind."""


def chosen_preset(entry: dict[str, Any], params: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Take the values of the chosen preset: those of the task's kind, and over them the task's own.

    Returns: section -> key -> value; empty for a task whose presets are `none`.
    """
    if entry.get("presets") == NO_PRESETS:
        return {}
    kind = entry.get("kind")
    shared, own = params.get("presets", {}).get(kind, {}), entry.get("presets")
    chosen = params.get("preset")
    known = [f"{section}.{key}" for section in SET_BY_PRESETS for key in params["defaults"].get(section) or {}]
    for presets, place in ((shared, f"presets.{kind}"), (own, f"{where}.presets")):
        if not isinstance(presets, dict) or not all(isinstance(each, dict) for each in presets.values()):
            raise UsageError(
                f"{place} must hold sections by name; write `presets: {{}}` to take those of the task's kind, or "
                f"`presets: {NO_PRESETS}`."
            )
        for name, changes in presets.items():
            check_keys(changes, known, f"{place}.{name}: ")
    assert isinstance(own, dict)
    names = {*shared, *own}
    if names and chosen not in names:
        raise UsageError(f"preset is '{chosen}', which {where}.presets has not{nearest(str(chosen), names)}.")
    values: dict[str, dict[str, Any]] = {}
    for key, value in {**shared.get(chosen, {}), **own.get(chosen, {})}.items():
        section, _, field = key.partition(".")
        values.setdefault(section, {})[field] = value
    return values


def check_keys(section: dict[str, Any], known: Any, where: str) -> None:
    """Raise UsageError at a key of a section that is not known; `where` is the section's place and a full stop."""
    for key in section:
        if key not in known:
            raise UsageError(f"{where}{key} is not a known key{nearest(str(key), known)}.")


def nearest(name: str, known: Any) -> str:
    """Name the known word most like a wrong one, or list them all."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'" if close else f"; known are {', '.join(sorted(known))}"
