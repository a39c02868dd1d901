"""Download: fetch the task's files, as published."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources import fetch


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Fetch into data/raw/TASK, whole or not at all; return the provenance that is written there too."""
    return fetch(settings, root / "data" / "raw" / settings.name, root)
