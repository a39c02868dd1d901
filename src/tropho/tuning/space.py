"""Search space: `tune.space` of params.yaml as Optuna's distributions."""

import json
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tropho.config.load import check_keys
from tropho.config.task_config import TaskConfig
from tropho.errors import UsageError

SEARCHABLE = ("model", "train", "augment")
FIXED = {
    "augment.image_size": "the image cache is made for one size",
    "augment.cache_format": "the image cache is made before the search",
    "augment.grayscale": "the image cache is made before the search",
    "model.weights": "all trials start from the same",
    "train.empty_fraction": "all trials train on the same images",
    "train.epochs": "a trial lasts tune.epochs",
    "train.n_folds": "a trial trains on the first fold's training images",
    "train.precision": "evaluation and members share it",
    "train.num_workers": "it changes nothing in a model",
}
KEYS = ("low", "high", "log", "step", "choices")


@dataclass(frozen=True)
class SearchParam:
    """A setting that the search varies."""

    key: str
    """Dotted, such as `train.lr`."""
    distribution: optuna.distributions.BaseDistribution
    choices: dict[Any, Any] | None = None
    """Of choices: Optuna's stored value (a number, text, boolean or None) -> the setting's value."""

    def suggest(self, trial: optuna.Trial) -> Any:
        """Draw the setting's value in a trial."""
        match self.distribution:
            case IntDistribution() as ints:
                return trial.suggest_int(self.key, ints.low, ints.high, step=ints.step, log=ints.log)
            case FloatDistribution() as floats:
                return trial.suggest_float(self.key, floats.low, floats.high, step=floats.step, log=floats.log)
            case _:
                assert self.choices is not None
                return self.choices[trial.suggest_categorical(self.key, list(self.choices))]

    def value(self, stored: Any) -> Any:
        """Convert a value stored by Optuna to the setting's."""
        return self.choices[stored] if self.choices is not None else stored

    def nearest(self, value: Any) -> Any:
        """Convert a setting's value to the nearest one that Optuna may store; None if there is none."""
        if self.choices is not None:
            return next((stored for stored, choice in self.choices.items() if choice == value), None)
        if not _is_number(value):
            return None
        distribution: Any = self.distribution
        low, high, step = distribution.low, distribution.high, distribution.step
        if step:
            value = low + round((value - low) / step) * step
        return type(low)(min(max(value, low), high))


def setting_of(settings: TaskConfig, key: str) -> Any:
    """Get a setting by its dotted key; None if it does not exist."""
    section, _, field = key.partition(".")
    return getattr(getattr(settings, section), field, None)


def parse_space(settings: TaskConfig) -> list[SearchParam]:
    """Parse `tune.space`, sorted by key; that its values are valid is checked when params.yaml is read.

    Raises:
        UsageError: a key can't be searched, or a range or a list of choices is malformed.
    """
    where = f"tasks.{settings.name}.tune.space"
    if not settings.tune.space:
        raise UsageError(f"{where} is empty: name what to search, or set tune.trials to 0.")
    return [_param(settings, key, spec, f"{where}.{key}") for key, spec in sorted(settings.tune.space.items())]


def _param(settings: TaskConfig, key: str, spec: Any, where: str) -> SearchParam:
    if key in FIXED:
        raise UsageError(f"{where} can't be searched: {FIXED[key]}.")
    if key.partition(".")[0] not in SEARCHABLE:
        raise UsageError(f"{where} can't be searched; keys start with {'., '.join(SEARCHABLE)}.")
    if not isinstance(spec, dict) or ("choices" in spec) == bool({"low", "high"} & set(spec)):
        raise UsageError(f"{where} must be {{low: A, high: B}}, with log: true or step: C, or {{choices: [A, B]}}.")
    check_keys(spec, KEYS, f"{where}.")
    return _choices(key, spec, where) if "choices" in spec else _range(settings, key, spec, where)


def _choices(key: str, spec: dict[str, Any], where: str) -> SearchParam:
    values = spec["choices"]
    if len(spec) > 1 or not isinstance(values, list) or not values:
        raise UsageError(f"{where}.choices must be a list of values and stand alone.")
    # Optuna stores plain values only; lists, such as pyramid levels, are stored as JSON.
    plain = (str, int, float, bool, type(None))
    stored = [value if isinstance(value, plain) else json.dumps(value) for value in values]
    if len(set(stored)) < len(stored):
        raise UsageError(f"{where}.choices names a value twice.")
    return SearchParam(key, CategoricalDistribution(stored), dict(zip(stored, values, strict=True)))


def _range(settings: TaskConfig, key: str, spec: dict[str, Any], where: str) -> SearchParam:
    if "low" not in spec or "high" not in spec:
        raise UsageError(f"{where} needs both low and high.")
    low, high, log, step = spec["low"], spec["high"], spec.get("log", False), spec.get("step")
    for name, value in (("low", low), ("high", high)):
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
    # Whole numbers make whole steps unless the setting is real: {low: 0, high: 1} of a weight decay.
    is_whole = all(isinstance(value, int) for value in (low, high, step or 1))
    if is_whole and not isinstance(setting_of(settings, key), float):
        high -= (high - low) % (step or 1)
        return SearchParam(key, IntDistribution(low, high, log=log, step=step or 1))
    if step is not None:
        high = low + step * int((high - low) / step + 1e-9)  # the last value that steps reach
    return SearchParam(key, FloatDistribution(low, high, log=log, step=step))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
