"""Sources that a task's files come from, one module each, all behind `fetch`."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.sources import generator, huggingface, kaggle, local, zindi
from tropho.files import PROVENANCE, atomic_folder, write_json
from tropho.tables import unicode_only

FETCHERS = {
    "local": local.fetch,
    "generator": generator.fetch,
    "zindi": zindi.fetch,
    "huggingface": huggingface.fetch,
    "kaggle": kaggle.fetch,
}


def fetch(settings: TaskConfig, raw: Path, root: Path) -> dict[str, Any]:
    """Fill `raw` (data/raw/TASK) with a task's files as published, all or nothing, and note where they came from.

    Returns: source, revision and counts, without times, so that the same data gives the same bytes; also written to
        raw/provenance.json.

    Raises:
        UsageError, DataError, ExternalError: as the source says.
    """
    with atomic_folder(raw) as folder:
        provenance = FETCHERS[settings.download.source](settings, folder, root)
        if not provenance.get("archives"):
            provenance.pop("archives", None)
        for path in folder.rglob("*"):
            with unicode_only("A file name"):
                path.name.encode()
        write_json(folder / PROVENANCE, provenance)
    return provenance
