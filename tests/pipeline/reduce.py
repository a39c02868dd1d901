"""Cut params.yaml down to minutes of work, for continuous integration: `python reduce.py params.yaml`."""

import sys
from pathlib import Path
from typing import Any

import yaml

Changes = dict[str, dict[str, dict[str, Any]]]
"""Task -> section -> what differs."""

CHANGES: Changes = {
    "smear_demo": {
        "download": {"images": 40, "test_images": 10},
        "augment": {"image_size": 160},
        "model": {"fpn_channels": 32},
        "train": {"epochs": 2},
        "tune": {"trials": 2, "epochs": 1, "max_train_images": 16},
    },
    "cells_demo": {
        "download": {"images": 160, "test_images": 40},
        "split": {"n_folds": 2},
        "augment": {"image_size": 32},
        "train": {"epochs": 2},
        "tune": {"trials": 2, "epochs": 1},
    },
}

TINY_CELLS = {
    "download": {"images": 100, "test_images": 6},
    "split": {"n_folds": 2},
    "augment": {"image_size": 16},
    "model": {"name": "lenet"},
    "train": {"epochs": 1, "n_folds": 1, "num_workers": 0},
    "tune": {"trials": 1, "epochs": 1, "max_train_images": 8},
    "evaluate": {"gallery_images": 0},
}
"""Sections of cells_demo for tests in which the stages must run and their results do not matter."""


def reduce(path: Path, changes: Changes, active: list[str] | None = None) -> None:
    """Rewrite the params file with the changes merged into its tasks and, if given, other active tasks."""
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["active"] = active or params["active"]
    for task, sections in changes.items():
        for section, values in sections.items():
            params["tasks"][task][section].update(values)
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    reduce(Path(sys.argv[1]), CHANGES)
