"""`tune.space` of params.yaml -> the settings that Optuna varies."""

import difflib
import json
from dataclasses import dataclass
from typing import Any

import optuna

from tropho.config.load import with_overrides
from tropho.config.task_config import TaskConfig
from tropho.errors import UsageError

SEARCHABLE = ("model", "train", "augment")
FIXED = {
    "augment.image_size": "the pack is made for one size",
    "augment.cache_format": "the pack is made before the search",
    "augment.grayscale": "the pack is made before the search",
    "train.epochs": "a trial lasts tune.epochs",
    "train.n_folds": "a trial trains on the first fold's training images",
    "train.precision": "evaluation and members share it",
    "train.num_workers": "it changes nothing in a model",
}
KEYS = ("low", "high", "log", "step", "choices")


@dataclass(frozen=True)
class SearchParam:
    """One setting that the search varies."""

    key: str
    """Dotted, such as `train.lr`."""
    distribution: optuna.distributions.BaseDistribution
    choices: dict[Any, Any] | None = None
    """For choices: what Optuna stores (a number, a text, true, false, null) -> the setting's value."""

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value of this setting in a trial."""
        match self.distribution:
            case optuna.distributions.IntDistribution() as whole:
                return trial.suggest_int(self.key, whole.low, whole.high, step=whole.step, log=whole.log)
            case optuna.distributions.FloatDistribution() as real:
                return trial.suggest_float(self.key, real.low, real.high, step=real.step, log=real.log)
            case _:
                assert self.choices is not None
                return self.choices[trial.suggest_categorical(self.key, list(self.choices))]

    def value(self, stored: Any) -> Any:
        """What Optuna stored of a trial -> the setting's value."""
        return self.choices[stored] if self.choices is not None else stored

    def nearest(self, value: Any) -> Any:
        """What Optuna stores for the value nearest to a setting's value; None if there is none."""
        if self.choices is not None:
            return next((stored for stored, each in self.choices.items() if each == value), None)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        range_: Any = self.distribution
        if range_.step:
            value = range_.low + round((value - range_.low) / range_.step) * range_.step
        return type(range_.low)(min(max(value, range_.low), range_.high))


def parse_space(settings: TaskConfig) -> list[SearchParam]:
    """List the searched settings of `tune.space`, by key.

    Raises:
        UsageError: a key is no setting or can't be searched, a range or a list of choices is not well formed,
            or one of its ends or choices is no valid value of the setting.
    """
    where = f"tasks.{settings.name}.tune.space"
    if not settings.tune.space:
        raise UsageError(f"{where} is empty: name what to search, or set tune.trials to 0.")
    return [_knob(settings, key, spec, f"{where}.{key}") for key, spec in sorted(settings.tune.space.items())]


def _knob(settings: TaskConfig, key: str, spec: Any, where: str) -> SearchParam:
    section, _, field = key.partition(".")
    if key in FIXED:
        raise UsageError(f"{where} can't be searched: {FIXED[key]}.")
    if section not in SEARCHABLE:
        raise UsageError(f"{where} can't be searched; keys start with {', '.join(f'{each}.' for each in SEARCHABLE)}")
    if not isinstance(spec, dict) or ("choices" in spec) == bool({"low", "high"} & set(spec)):
        raise UsageError(f"{where} must be {{low: A, high: B}}, with log: true or step: C, or {{choices: [A, B]}}.")
    for name in spec:
        if name not in KEYS:
            close = difflib.get_close_matches(str(name), KEYS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(KEYS)}."
            raise UsageError(f"{where}.{name} is not a known key; {hint}")
    if "choices" in spec:
        return _choices(settings, key, spec, where)
    return _range(settings, key, spec, where, own=getattr(getattr(settings, section), field, None))


def _choices(settings: TaskConfig, key: str, spec: dict[str, Any], where: str) -> SearchParam:
    values = spec["choices"]
    if len(spec) > 1 or not isinstance(values, list) or not values:
        raise UsageError(f"{where}.choices must be a list of values and stand alone.")
    for place, value in enumerate(values):
        _check(settings, key, value, f"{where}.choices[{place}]")
    plain = (str, int, float, bool, type(None))
    # Lists, such as pyramid levels, are stored by their text: Optuna keeps plain values only.
    stored = [value if isinstance(value, plain) else json.dumps(value) for value in values]
    if len(set(stored)) < len(stored):
        raise UsageError(f"{where}.choices names a value twice.")
    return SearchParam(
        key, optuna.distributions.CategoricalDistribution(stored), dict(zip(stored, values, strict=True))
    )


def _range(settings: TaskConfig, key: str, spec: dict[str, Any], where: str, own: Any) -> SearchParam:
    if "low" not in spec or "high" not in spec:
        raise UsageError(f"{where} needs both low and high.")
    low, high, log, step = spec["low"], spec["high"], spec.get("log", False), spec.get("step")
    for name, value in (("low", low), ("high", high)):
        _check(settings, key, value, f"{where}.{name}")
        if not _is_number(value):
            raise UsageError(f"{where}.{name} is {value!r}, not a number; use choices for other values.")
    if low >= high:
        raise UsageError(f"{where}.low is {low}, which is not below high, {high}.")
    if not isinstance(log, bool):
        raise UsageError(f"{where}.log is {log!r}; it must be true or false.")
    if log and low <= 0:
        raise UsageError(f"{where}.low is {low}; with log: true it must be above 0.")
    if step is not None and (log or not _is_number(step) or step <= 0):
        raise UsageError(f"{where}.step is {step!r}; it must be a number above 0, and without log: true.")
    # Whole numbers make whole steps, unless the setting itself is real: {low: 0, high: 1} of a weight decay.
    if all(isinstance(each, int) for each in (low, high, step or 1)) and not isinstance(own, float):
        high -= (high - low) % (step or 1)
        return SearchParam(key, optuna.distributions.IntDistribution(low, high, log=log, step=step or 1))
    if step is not None:
        high = low + step * int((high - low) / step + 1e-9)  # the last value that the steps reach
    return SearchParam(key, optuna.distributions.FloatDistribution(low, high, log=log, step=step))


def _check(settings: TaskConfig, key: str, value: Any, where: str) -> None:
    try:
        with_overrides(settings, {key: value})
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
