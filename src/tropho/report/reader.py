"""What the stages before left behind, read so that missing and broken files don't stop the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tropho.errors import DataError
from tropho.files import read_json
from tropho.submission.submission_log import LEDGER
from tropho.tables import BOXES, IMAGES, ISSUES, LABEL_ISSUES, SPLITS, read_csv

_SCHEMAS = (
    IMAGES,
    BOXES,
    ISSUES,
    SPLITS,
    LABEL_ISSUES,
    LEDGER,
    dict.fromkeys(("class", "quantity", "metric"), "string"),
)
TEXT = {name: kind for schema in _SCHEMAS for name, kind in schema.items() if kind == "string"}
"""Columns that hold text in any table: a class called "007" stays text where it stands alone."""


@dataclass(frozen=True)
class Folders:
    """Where each stage wrote; summaries stand beside `splits` (CSV) and `submission` (CSV) as JSON."""

    audit: Path
    splits: Path
    augmented: Path
    choice: Path
    search: Path
    models: Path
    evaluate: Path
    submission: Path
    ledger: Path
    params: Path


@dataclass
class Reader:
    """Reads files tolerantly; `faults` says which were there but could not be read."""

    faults: list[str] = field(default_factory=list)

    def json(self, path: Path) -> dict[str, Any]:
        """A JSON object; empty where the file is absent, broken or holds something else."""
        value = self._read(path, read_json)
        return value if isinstance(value, dict) else {}

    def yaml(self, path: Path) -> dict[str, Any]:
        """A YAML mapping; empty where the file is absent, broken or holds something else."""
        value = self._read(path, lambda each: yaml.safe_load(each.read_text(encoding="utf-8")))
        return value if isinstance(value, dict) else {}

    def table(self, path: Path, columns: list[str] | None = None) -> pd.DataFrame | None:
        """Read a CSV or parquet table, columns of names as text; None where it is absent or broken."""
        if path.suffix == ".parquet":
            return self._read(path, lambda each: pd.read_parquet(each, columns=columns))
        return self._read(path, lambda each: read_csv(each, TEXT))

    def pictures(self, folder: Path) -> list[Path]:
        """The PNG and JPEG files of a folder by name; none where it is absent."""
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in {".png", ".jpg", ".jpeg"})

    def _read(self, path: Path, how: Callable[[Path], Any]) -> Any:
        if not path.is_file():
            return None
        try:
            return how(path)
        except (OSError, ValueError, KeyError, yaml.YAMLError, DataError) as error:
            self.faults.append(f"{path.name} can't be read ({' '.join(str(error).split())[:120]}).")
            return None
