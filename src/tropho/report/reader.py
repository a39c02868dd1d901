"""Read what the stages of a task left; missing and broken files never stop the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json
from tropho.paths import Paths
from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import BOXES, IMAGES, ISSUES, LABEL_ISSUES, SPLITS, read_csv

SCHEMAS = (IMAGES, BOXES, ISSUES, SPLITS, LABEL_ISSUES, SUBMISSIONS)
TEXT_COLUMNS = dict.fromkeys(("class", "quantity", "metric"), "string")
TEXT_COLUMNS |= {name: dtype for schema in SCHEMAS for name, dtype in schema.items() if dtype == "string"}
"""Columns that are text in every table, so that a class called "007" stays text."""


@dataclass
class Reader:
    """Files of one task; `faults` lists those that are there but can't be read."""

    task: TaskConfig
    paths: Paths
    faults: list[str] = field(default_factory=list)

    def json(self, path: Path) -> dict[str, Any]:
        """Read a JSON object; empty if the file is absent, broken or holds something else."""
        value = self._read(path, read_json)
        return value if isinstance(value, dict) else {}

    def yaml(self, path: Path) -> dict[str, Any]:
        """Read a YAML mapping; empty if the file is absent, broken or holds something else."""
        value = self._read(path, lambda file: yaml.safe_load(file.read_text(encoding="utf-8")))
        return value if isinstance(value, dict) else {}

    def table(self, path: Path, columns: list[str] | None = None) -> pd.DataFrame | None:
        """Read a CSV or parquet table; None if it is absent or broken."""
        if path.suffix == ".parquet":
            return self._read(path, lambda file: pd.read_parquet(file, columns=columns))
        return self._read(path, lambda file: read_csv(file, TEXT_COLUMNS))

    def text(self, path: Path) -> str:
        """Read a text file; empty if it is absent or no UTF-8."""
        return str(self._read(path, lambda file: file.read_text(encoding="utf-8-sig")) or "")

    def pictures(self, folder: Path) -> list[Path]:
        """List the PNG and JPEG files of a folder by name."""
        files = folder.iterdir() if folder.is_dir() else ()
        return sorted(path for path in files if path.suffix.lower() in {".png", ".jpg", ".jpeg"})

    def _read(self, path: Path, load: Callable[[Path], Any]) -> Any:
        if not path.is_file():
            return None
        try:
            return load(path)
        except (OSError, ValueError, KeyError, yaml.YAMLError, DataError) as error:
            self.faults.append(f"{path.name} can't be read ({' '.join(str(error).split())[:120]}).")
            return None
