"""Names and values as MLflow takes them."""

import re
from collections.abc import Mapping
from typing import Any

from tropho.config.task_config import TaskConfig

MAX_NAME = 250
MAX_PARAM = 6000
MAX_TAG = 8000

_REFUSED = re.compile(r"[^\w\-./ :]", re.ASCII)


def mlflow_name(name: str) -> str:
    """A name of ASCII letters, digits and `_ - . / :` and spaces, which is no path out of its folder.

    Other characters become `_`: `mAP@50` gives `mAP_50`.
    """
    parts = _REFUSED.sub("_", name).strip().split("/")
    kept = [part for part in parts if part and set(part) != {"."}]
    return "/".join(kept)[:MAX_NAME].rstrip("/") or "_"


def tracked_parameters(settings: TaskConfig) -> dict[str, Any]:
    """List the settings that shape a model, by dotted key."""
    sections = {"split", "augment", "model", "train"}
    return flatten(settings.model_dump(include=sections, exclude={"train": {"ensemble"}}))


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections -> one level of dotted keys: {"train": {"lr": 1}} gives {"train.lr": 1}.

    An empty section keeps its key, with an empty section as its value.
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat
