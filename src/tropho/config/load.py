"""params.yaml -> frozen, validated settings, refused before any work when something is wrong with them."""

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tropho.config.model_config import NEGATIVE_CLASSIFIER
from tropho.config.presets import check_keys, chosen_preset, nearest
from tropho.config.retired import is_retired, refuse_retired, sentence
from tropho.config.task_config import BASE, SECTIONS, Kind, TaskConfig
from tropho.errors import UsageError
from tropho.tables import nfc

PARAMS = Path("params.yaml")
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

MEMBERS_OWN = ("model", "train", "augment")
SHARED_BY_MEMBERS = (
    "train.ensemble",
    "train.n_folds",
    "train.precision",
    "augment.cache_format",
    "augment.grayscale",
)

WHOLE_IMAGES: dict[str, Any] = {"crop_size": None, "mosaic_prob": 0.0, "zoom_range": [1.0, 1.0]}
"""Values of the settings of `augment` that show parts of images in training, where whole images are shown."""


def load_params(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml and check its outline; raise UsageError naming the key that is wrong."""
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise UsageError(f"{path} is not here; run tropho in the folder that holds it.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(params, dict):
        raise UsageError(f"{path} must hold the keys active, preset, presets, defaults and tasks.")
    check_keys(params, ["active", "preset", "presets", "defaults", "tasks"], "")
    params.setdefault("presets", {})
    for key in ("presets", "defaults", "tasks"):
        if not isinstance(params.get(key), dict):
            raise UsageError(f"{path} needs a section '{key}'.")
    check_keys(params["presets"], get_args(Kind), "presets.")
    check_keys(params["defaults"], SECTIONS, "defaults.")
    for section, values in params["defaults"].items():
        if not isinstance(values, dict):
            raise UsageError(f"defaults.{section} must be a section of settings.")
    _check_names(params["tasks"])
    _check_choices(params)
    return params


def _check_choices(params: dict[str, Any]) -> None:
    """Raise UsageError if `active` or `preset` are not what they must be."""
    active, preset = params.get("active"), params.get("preset")
    if not isinstance(active, list) or not all(isinstance(task, str) for task in active):
        raise UsageError(f"active must be a list of names of tasks, such as [smear_demo], not {active!r}.")
    _check_names(active)
    if not isinstance(preset, str | None):
        raise UsageError(f"preset must be the name of one preset, such as laptop, not {preset!r}.")
    for task in active:
        if task not in params["tasks"]:
            raise UsageError(f"active: there is no task '{task}'{nearest(task, params['tasks'])}.")


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice in one section: YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Check the keys as they are written, then build the mapping."""
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name, line = nfc(key.value), key.start_mark.line + 1
            if name in lines:
                raise UsageError(f"params.yaml, lines {lines[name]} and {line}: '{name}' stands twice; remove one.")
            lines[name] = line
        return super().construct_mapping(node, deep)


def _check_names(names: Iterable[Any]) -> None:
    """Raise UsageError if a task's name is not one that files, folders and shell commands can bear."""
    for name in names:
        if not isinstance(name, str) or not TASK_NAME.fullmatch(name):
            raise UsageError(
                f"tasks: {name!r} can't be the name of a task, since files and folders are called by it; use letters, "
                "digits, _ and -, a letter or digit first (in quotes, if YAML reads it as something else)."
            )


def load_task(task: str, path: Path = PARAMS) -> TaskConfig:
    """One task's settings with the defaults filled in; raise UsageError naming the key that is wrong."""
    return task_settings(task, load_params(path))


def task_settings(task: str, params: dict[str, Any]) -> TaskConfig:
    """Settings of a task in an already read params.yaml, validated.

    What the task's own sections say wins over its preset of the name `preset`, that over its kind's, that over
    `defaults`.
    """
    if task not in params["tasks"]:
        raise UsageError(f"There is no task '{task}' in params.yaml{nearest(task, params['tasks'])}.")
    entry = params["tasks"][task]
    where = f"tasks.{task}"
    if not isinstance(entry, dict):
        raise UsageError(
            f"{where} must be a section with the keys kind, description, presets and {', '.join(SECTIONS)}."
        )
    check_keys(entry, ["kind", "description", "presets", *SECTIONS], f"{where}.")
    refuse_retired(params["defaults"], "defaults")
    refuse_retired(params.get("presets"), "presets")
    refuse_retired(entry, where)
    preset = chosen_preset(entry, params, where)
    merged: dict[str, Any] = {
        "name": task,
        "kind": entry.get("kind"),
        "description": entry.get("description", ""),
    }
    for section in SECTIONS:
        differs = entry.get(section)
        if not isinstance(differs, dict):
            raise UsageError(f"{where}.{section} must be a section; write `{section}: {{}}` if nothing differs.")
        merged[section] = {**(params["defaults"].get(section) or {}), **preset.get(section, {}), **differs}
    settings = _validated(merged, where)
    member_settings(settings)
    _check_space(settings, where)
    return settings


def _check_space(settings: TaskConfig, where: str) -> None:
    """Raise UsageError if the search may come to a value that no training takes, before anything is searched."""
    for key, spec in settings.tune.space.items() if settings.tune.trials else ():
        ends = [spec[end] for end in ("low", "high") if end in spec] if isinstance(spec, dict) else []
        choices = spec.get("choices") if isinstance(spec, dict) else None
        for value in [*ends, *(choices if isinstance(choices, list) else [])]:
            try:
                with_overrides(settings, {key: value})
            except UsageError as error:
                raise UsageError(f"{where}.tune.space.{key}: {error}") from None


def member_settings(settings: TaskConfig) -> dict[str, TaskConfig]:
    """Settings of every model of a task's ensemble: its own as `base`, then train.ensemble, which have none themselves.

    Raises:
        UsageError: a member changes what members can't, or to what can't be, or the task's own model finds no boxes;
            the sentence names it.
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
        if key.partition(".")[0] not in MEMBERS_OWN or key in SHARED_BY_MEMBERS:
            raise UsageError(
                f"{where} can't change '{key}': members share it; they differ in model, train and augment."
            )
    classifies = changes.get("model.name") == NEGATIVE_CLASSIFIER
    if classifies:  # it judges whole images
        base = base.model_copy(update={"augment": base.augment.model_copy(update=WHOLE_IMAGES)})
    try:
        member = with_overrides(base, changes)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    partial = [key for key, off in WHOLE_IMAGES.items() if classifies and getattr(member.augment, key) != off]
    if partial:
        raise UsageError(
            f"{where} can't set augment.{partial[0]}: model '{NEGATIVE_CLASSIFIER}' says whether there is anything in "
            "an image, so that it is trained on whole images; remove it."
        )
    if member.augment.image_size > base.augment.image_size:
        raise UsageError(
            f"{where}: augment.image_size {member.augment.image_size} is more than the {base.augment.image_size} "
            "pixels that images are packed at; raise the task's augment.image_size and lower it in the members."
        )
    return member


def with_overrides(settings: TaskConfig, overrides: dict[str, Any]) -> TaskConfig:
    """Settings with dotted keys changed, such as {"train.lr": 1e-3}; validated anew."""
    merged = settings.model_dump()
    for key, value in overrides.items():
        section, _, field = key.partition(".")
        if section not in SECTIONS or field not in merged[section]:
            if is_retired(key, value):
                raise UsageError(sentence(key, key))
            known = [f"{name}.{each}" for name in SECTIONS for each in merged[name]]
            raise UsageError(f"There is no setting '{key}'{nearest(key, known)}.")
        merged[section][field] = value
    return _validated(merged, f"tasks.{settings.name}")


def _validated(merged: dict[str, Any], where: str) -> TaskConfig:
    try:
        return TaskConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *(str(part) for part in first["loc"])])
        raise UsageError(_sentence(key, first)) from None


def _sentence(key: str, error: Any) -> str:
    value = error["input"]
    if error["type"] == "extra_forbidden":
        parent, _, name = key.rpartition(".")
        section = parent.rpartition(".")[2]
        return f"{key} is not a known setting{nearest(name, _fields_of(section))}."
    if error["type"] == "missing":
        return f"{key} is missing; add it to that section or to defaults."
    if error["type"] == "string_type" and isinstance(value, (bool, int, float, datetime.date)):
        return (
            f"{key.removesuffix('.[key]')} is read by YAML as {value!r}, not as text; put it in quotes, such as 'no'."
        )
    if error["type"] == "string_type" and value is None and key.endswith(".[key]"):
        return f"{key.removesuffix('.[key]')} is read by YAML as nothing, not as text; put it in quotes, as in 'null'."
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(value, str) and _reads_as_number(value):
        return f"{key} is the text '{value}', not a number; write it as {_plain(float(value))}."
    if isinstance(value, dict):
        return f"{key}: {message}."
    return f"{key} is {value!r}: {message[0].lower()}{message[1:]}."


def _fields_of(section: str) -> list[str]:
    field = TaskConfig.model_fields.get(section)
    kind = field.annotation if field else TaskConfig
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(number: float) -> str:
    """A number as YAML 1.1 reads it: 1.0e-3, with a point and without padding."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
