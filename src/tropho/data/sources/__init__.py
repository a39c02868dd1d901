"""Sources that a task's files come from, one module each, all behind `fetch`."""

import importlib
from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.files import PROVENANCE, atomic_folder, write_json
from tropho.tables import unicode_only


def fetch(settings: TaskConfig, raw: Path, root: Path) -> dict[str, Any]:
    """Fill `raw` with a task's files as published, all or nothing, and note where they came from.

    Args:
        settings: of the task; `download.source` names the module.
        raw: data/raw/TASK; its old content is replaced once the new is complete.
        root: the repository, which paths in the settings are relative to.

    Returns: source, revision and counts, without times, so that the same data gives the same bytes; also written to
        raw/provenance.json.

    Raises:
        UsageError, DataError, ExternalError: as the source says.
    """
    source = importlib.import_module(f"tropho.data.sources.{settings.download.source}")
    with atomic_folder(raw) as folder:
        provenance: dict[str, Any] = source.fetch(settings, folder, root)
        if not provenance.get("archives"):
            provenance.pop("archives", None)
        for path in folder.rglob("*"):
            with unicode_only("A file name"):
                path.name.encode()
        write_json(folder / PROVENANCE, provenance)
    return provenance
