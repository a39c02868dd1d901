"""Tune: search over settings of model and train."""

from pathlib import Path
from typing import Any

import yaml

from tropho.config.task_config import TaskConfig
from tropho.files import atomic_folder, write_text
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Search, and write the best settings, by dotted key, to data/tuned/T.yaml; {} keeps those of params.yaml."""
    paths = Paths(root, settings.name)
    choice: dict[str, Any] = {}
    with atomic_folder(paths.search) as folder:
        if settings.tune.trials:
            from tropho.tuning.search import tune  # loads torch and Optuna

            choice = tune(settings, paths, folder)
        else:
            write_text(
                folder / "README.txt", "tune.trials is 0, so nothing was searched.\n"
            )  # DVC warns of empty folders
    write_text(paths.choice, yaml.safe_dump(choice, sort_keys=True))
    return choice
