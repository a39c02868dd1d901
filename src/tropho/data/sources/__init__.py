"""Where the bytes come from: one module a source, all behind `fetch`."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.files import PROVENANCE, atomic_folder, write_json
from tropho.tables import unicode_only


def fetch(settings: TaskConfig, raw: Path, root: Path) -> dict[str, Any]:
    """Fill `raw` with a task's files as published, whole or not at all, and say where they came from.

    Args:
        settings: the task's; `download` names the source.
        raw: data/raw/TASK; what it held is replaced once everything new is there.
        root: the repository's root, which the paths in the settings start from.

    Returns:
        What was asked for and what came (source, revision, counts; no times, so that the same data gives
        the same bytes), also written to raw/provenance.json.

    Raises:
        UsageError, DataError, OutsideError: as the source says.
    """
    with atomic_folder(raw) as folder:
        provenance = _fetch(settings, folder, root)
        for path in folder.rglob("*"):
            with unicode_only("A file name"):
                path.name.encode()
        write_json(folder / PROVENANCE, provenance)
    return provenance


def _fetch(settings: TaskConfig, folder: Path, root: Path) -> dict[str, Any]:
    match settings.download.source:
        case "local":
            from tropho.data.sources import local

            return local.fetch(settings, folder, root)
        case "generator":
            from tropho.data.sources import generator

            return generator.fetch(settings, folder, root)
        case "zindi":
            from tropho.data.sources import zindi

            return zindi.fetch(settings, folder, root)
        case "huggingface":
            from tropho.data.sources import huggingface

            return huggingface.fetch(settings, folder, root)
        case "kaggle":
            from tropho.data.sources import kaggle

            return kaggle.fetch(settings, folder, root)
