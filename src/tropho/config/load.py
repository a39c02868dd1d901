"""Read params.yaml into frozen, validated settings; whatever is wrong is refused before any work."""

import datetime
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tropho.config.augment_config import DISABLED
from tropho.config.model_config import NEGATIVE_CLASSIFIER
from tropho.config.retired import is_retired, refuse_retired, sentence
from tropho.config.task_config import BASE, SECTIONS, Kind, TaskConfig
from tropho.errors import UsageError, suggestion
from tropho.files import yaml_fault
from tropho.tables import nfc, parse_number

PARAMS = Path("params.yaml")
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SET_BY_PRESETS = ("augment", "model", "train", "tune", "predict")
NO_PRESETS = "none"  # as a task's presets: not even those of its kind
SET_BY_MEMBERS = ("model", "train", "augment")
SHARED_BY_MEMBERS = {
    *("train.ensemble", "train.n_folds", "train.precision"),
    *("augment.cache_format", "augment.grayscale"),
}
ALL_WHOLE_IMAGES = {
    **{f"augment.{key}": DISABLED[key] for key in ("crop_size", "mosaic_prob", "zoom_range")},
    "train.empty_fraction": 1.0,
}
"""Settings that show parts of images or leave some out, at the values that show all of them whole."""
UNWANTED = "correct or remove it in params.yaml, into which `dvc exp run -S` writes, too"


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Check the keys as they are written, then build the mapping."""
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name, line = nfc(key.value), key.start_mark.line + 1
            if name in lines:
                raise UsageError(f"params.yaml, lines {lines[name]} and {line}: '{name}' stands twice; remove one.")
            lines[name] = line
        return super().construct_mapping(node, deep)


def load_params(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml and check its outline; raise UsageError that names the wrong key."""
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise UsageError(f"{path} is not here; run tropho in the folder that holds it.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {yaml_fault(error)}; correct it there.") from None
    if not isinstance(params, dict):
        raise UsageError(f"{path} must hold the keys active, preset, presets, defaults and tasks.")
    params.setdefault("presets", {})
    check_keys(params, ["active", "preset", "presets", "defaults", "tasks"], "")
    for key in ("presets", "defaults", "tasks"):
        if not isinstance(params.get(key), dict):
            raise UsageError(f"{path} needs a section '{key}'.")
    check_keys(params["presets"], get_args(Kind), "presets.")
    check_keys(params["defaults"], SECTIONS, "defaults.")
    for section, values in params["defaults"].items():
        if not isinstance(values, dict):
            raise UsageError(f"defaults.{section} must be a section of settings.")
    for task in params["tasks"]:
        check_task_name(task, "tasks: ")
    _check_choices(params, params["tasks"])
    return params


def _check_choices(params: dict[str, Any], tasks: dict[str, Any]) -> None:
    """Raise UsageError at a wrong choice of tasks or preset, and at a task that only a misspelt name can have made."""
    active, preset = params.get("active"), params.get("preset")
    if not isinstance(active, list) or not all(isinstance(task, str) for task in active):
        raise UsageError(f"active must be a list of names of tasks, such as [smear_demo], not {active!r}.")
    if not isinstance(preset, str | None):
        raise UsageError(f"preset must be the name of one preset, such as laptop, not {preset!r}.")
    for task in active:
        check_task_name(task, "active: ")
        if task not in tasks:
            raise UsageError(f"active: there is no task '{task}'{suggestion(task, tasks)}.")
    for name, entry in tasks.items():
        if isinstance(entry, dict) and "kind" not in entry:
            others = [task for task in tasks if task != name]
            raise UsageError(f"tasks.{name} has no key 'kind'{suggestion(name, others)}; {UNWANTED}.")


def check_keys(section: dict[str, Any], known: Iterable[str], where: str) -> None:
    """Raise UsageError at an unknown key of a section; `where` is the section's place with its full stop."""
    for key in section:
        if key not in known:
            raise UsageError(f"{where}{key} is not a known key{suggestion(str(key), known)}.")


def check_task_name(name: Any, where: str = "") -> None:
    """Raise UsageError unless a task may have this name."""
    if not isinstance(name, str) or not TASK_NAME.fullmatch(name):
        raise UsageError(
            f"{where}{name!r} can't be the name of a task, since files and folders are called by it; use letters, "
            "digits, _ and -, a letter or digit first (in quotes, if YAML reads it as something else)."
        )


def load_task(task: str, path: Path = PARAMS, with_active: bool = False) -> TaskConfig:
    """Read one task's settings, defaults filled in, and check all active ones; UsageError names the wrong key."""
    params = load_params(path)
    for other in params["active"] if with_active else ():
        task_settings(other, params)
    return task_settings(task, params)


def task_settings(task: str, params: dict[str, Any]) -> TaskConfig:
    """Validate the settings of a task in an already read params.yaml.

    The task's own sections override its presets, those override the presets of its kind, and those `defaults`.
    """
    if task not in params["tasks"]:
        raise UsageError(f"There is no task '{task}' in params.yaml{suggestion(task, params['tasks'])}.")
    entry, where = params["tasks"][task], f"tasks.{task}"
    keys = ["kind", "description", "presets", *SECTIONS]
    if not isinstance(entry, dict):
        raise UsageError(f"{where} must be a section with the keys {', '.join(keys)}.")
    check_keys(entry, keys, f"{where}.")
    for tree, place in ((params["defaults"], "defaults"), (params.get("presets"), "presets"), (entry, where)):
        refuse_retired(tree, place)
    preset = _preset_of(entry, params, where)
    merged: dict[str, Any] = {"name": task, "kind": entry.get("kind"), "description": entry.get("description", "")}
    for section in SECTIONS:
        own = entry.get(section)
        if not isinstance(own, dict):
            raise UsageError(f"{where}.{section} must be a section; write `{section}: {{}}` if nothing differs.")
        chosen = {key.partition(".")[2]: value for key, value in preset.items() if key.partition(".")[0] == section}
        merged[section] = {**(params["defaults"].get(section) or {}), **chosen, **own}
    settings = _validated(merged, where)
    member_settings(settings)
    _check_space(settings, where)
    return settings


def _preset_of(entry: dict[str, Any], params: dict[str, Any], where: str) -> dict[str, Any]:
    """Return dotted key -> value of the chosen preset: those of the task's kind, overridden by the task's own."""
    if entry.get("presets") == NO_PRESETS:
        return {}
    kind, preset = entry.get("kind"), params.get("preset")
    shared, own = params.get("presets", {}).get(kind, {}), entry.get("presets")
    known = [f"{section}.{key}" for section in SET_BY_PRESETS for key in params["defaults"].get(section) or {}]
    for presets, place in ((shared, f"presets.{kind}"), (own, f"{where}.presets")):
        if not isinstance(presets, dict) or not all(isinstance(changes, dict) for changes in presets.values()):
            raise UsageError(
                f"{place} must hold sections by name; write `presets: {{}}` to take those of the task's kind, or "
                f"`presets: {NO_PRESETS}`."
            )
        for name, changes in presets.items():
            check_keys(changes, known, f"{place}.{name}: ")
    assert isinstance(own, dict)
    names = {*shared, *own}
    if names and preset not in names:
        raise UsageError(
            f"preset is '{preset}', but {where}.presets has none of that name{suggestion(str(preset), names)}."
        )
    return {**shared.get(preset, {}), **own.get(preset, {})}


def _check_space(settings: TaskConfig, where: str) -> None:
    """Raise UsageError if the search space has a value that no training takes."""
    for key, spec in settings.tune.space.items() if settings.tune.trials else ():
        if not isinstance(spec, dict):
            continue
        choices = spec.get("choices")
        bounds = [spec[bound] for bound in ("low", "high") if bound in spec]
        for value in [*bounds, *(choices if isinstance(choices, list) else [])]:
            try:
                with_overrides(settings, {key: value})
            except UsageError as error:
                raise UsageError(f"{where}.tune.space.{key}: {error}") from None


def member_settings(settings: TaskConfig) -> dict[str, TaskConfig]:
    """Return the settings of every ensemble member: the task's own model as `base`, then those of train.ensemble.

    Raises:
        UsageError: a member changes a shared setting or has a wrong value, or the task's own model finds no boxes.
    """
    if settings.model.name == NEGATIVE_CLASSIFIER:
        raise UsageError(
            f"tasks.{settings.name}.model.name '{NEGATIVE_CLASSIFIER}' finds no boxes and can't be a task's "
            f"own model; make it a member, such as train.ensemble: {{empty: {{model.name: {NEGATIVE_CLASSIFIER}}}}}."
        )
    train, predict = settings.train, settings.predict
    alone = {
        "train": train.model_copy(update={"ensemble": {}}),
        "predict": predict.model_copy(update={"member_weights": "equal", "negative_members": None}),
    }
    shared = settings.model_copy(update=alone)
    return {BASE: settings, **{name: _member(shared, name, changes) for name, changes in train.ensemble.items()}}


def _member(base: TaskConfig, name: str, changes: dict[str, Any]) -> TaskConfig:
    where = f"tasks.{base.name}.train.ensemble.{name}"
    for key in changes:
        if key.partition(".")[0] not in SET_BY_MEMBERS or key in SHARED_BY_MEMBERS:
            raise UsageError(
                f"{where} can't change '{key}': members share it; they differ in model, train and augment."
            )
    is_negative = changes.get("model.name") == NEGATIVE_CLASSIFIER
    if any(key.startswith("model.") for key in changes):  # weights of another network
        base = base.model_copy(update={"model": base.model.model_copy(update={"weights": None})})
    if is_negative:
        changes = {**ALL_WHOLE_IMAGES, **changes}
    try:
        member = with_overrides(base, changes)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    partial = [key for key, whole in ALL_WHOLE_IMAGES.items() if is_negative and changes[key] != whole]
    if partial:
        raise UsageError(
            f"{where} can't set {partial[0]}: model '{NEGATIVE_CLASSIFIER}' is trained on all images, whole; remove it."
        )
    if member.augment.image_size > base.augment.image_size:
        raise UsageError(
            f"{where}: augment.image_size {member.augment.image_size} is more than the {base.augment.image_size} "
            "pixels that images are packed at; raise the task's augment.image_size and lower it in the members."
        )
    return member


def with_overrides(settings: TaskConfig, overrides: dict[str, Any]) -> TaskConfig:
    """Change dotted keys, such as {"train.lr": 1e-3}, and validate the settings again."""
    merged = settings.model_dump()
    for key, value in overrides.items():
        section, _, field = key.partition(".")
        if section not in SECTIONS or field not in merged[section]:
            if is_retired(key, value):
                raise UsageError(sentence(key, key))
            known = [f"{section}.{field}" for section in SECTIONS for field in merged[section]]
            raise UsageError(f"There is no setting '{key}'{suggestion(key, known)}.")
        merged[section][field] = value
    return _validated(merged, f"tasks.{settings.name}")


def _validated(merged: dict[str, Any], where: str) -> TaskConfig:
    try:
        return TaskConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *(str(part) for part in first["loc"])])
        raise UsageError(_describe(key, first)) from None


def _describe(key: str, error: Any) -> str:
    """Turn pydantic's error at a key into a sentence."""
    value, kind, name = error["input"], error["type"], key.removesuffix(".[key]")
    if kind == "extra_forbidden":
        *_, section, field = key.split(".")
        return f"{key} is not a known setting{suggestion(field, _fields_of(section))}; {UNWANTED}."
    if kind == "missing":
        return f"{key} is missing; add it to that section or to defaults."
    if kind == "string_type" and isinstance(value, (bool, int, float, datetime.date)):
        return f"{name} is read by YAML as {value!r}, not as text; put it in quotes, such as 'no'."
    if kind == "string_type" and value is None and name != key:
        return f"{name} is read by YAML as nothing, not as text; put it in quotes, as in 'null'."
    if kind == "literal_error":
        known = re.findall(r"'(.*?)'", error["ctx"]["expected"])
        return f"{key} can't be {value!r}{suggestion(str(value), known)}."
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(value, str) and not math.isnan(number := parse_number(value)):
        return f"{key} is the text '{value}', not a number; write it as {_as_yaml(number)}."
    if isinstance(value, dict):
        return f"{key}: {message}."
    return f"{key} is {value!r}: {message[0].lower()}{message[1:]}."


def _fields_of(section: str) -> list[str]:
    field = TaskConfig.model_fields.get(section)
    kind = field.annotation if field else TaskConfig
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _as_yaml(number: float) -> str:
    """Format a number as YAML 1.1 reads it, such as 1.0e-3."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
