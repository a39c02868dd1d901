"""Sentences that ask for `dvc repro`, completed for tasks that DVC does not know since they are not active."""

import re
from collections.abc import Iterable
from pathlib import Path

from tropho.config.load import load_params
from tropho.errors import UsageError


def with_activation(text: str, names: Iterable[str], root: Path) -> str:
    """Ask to add a task to `active` before `dvc repro`, where a sentence asks to run that for an inactive task.

    Args:
        text: the sentence.
        names: words among which the task is looked for, such as those of the command line, if the sentence names none.
        root: the repository.

    Returns: the completed sentence; `text` itself if it asks for no `dvc repro`, or its task is active or unknown.
    """
    if "run `dvc repro" not in text:
        return text
    try:
        params = load_params(root / "params.yaml")
    except (UsageError, OSError):  # the sentence is of something else
        return text
    named = re.findall(r"run `dvc repro [^`]*@([\w-]+)`", text) or names
    inactive = [name for name in named if name in params["tasks"] and name not in params["active"]]
    if not inactive:
        return text
    activated = f"add {inactive[0]} to `active` in params.yaml, then run `dvc repro"
    return text.replace("run `dvc repro", activated, 1).replace("` first.", "`.")
