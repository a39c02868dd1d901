"""Tune: search over settings of model and train, or write that none was made."""

from pathlib import Path
from typing import Any

import yaml

from tropho.config.task_config import TaskConfig
from tropho.files import atomic_folder, write_text
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Search and write the choice to data/tuned/T.yaml; returns it. With `trials: 0` the choice is empty."""
    paths = Paths(root, settings.name)
    choice: dict[str, Any] = {}
    with atomic_folder(paths.search) as folder:
        if settings.tune.trials:
            from tropho.tuning.search import tune  # loads torch and Optuna

            choice = tune(settings, paths, folder)
    write_text(paths.choice, yaml.safe_dump(choice, sort_keys=True))
    return choice
