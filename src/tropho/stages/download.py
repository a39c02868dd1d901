"""Stage 1, download: the task's files, as published, into data/raw/TASK."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources import fetch


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Fetch into root/data/raw/TASK, whole or not at all; return the provenance that lies there too."""
    return fetch(settings, root / "data" / "raw" / settings.name, root)
