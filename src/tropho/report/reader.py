"""Read what the stages of a task left, and the page's own texts; missing and broken files never stop the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from jinja2 import StrictUndefined, Template

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, read_yaml
from tropho.paths import Paths
from tropho.tables import BOXES, IMAGES, SPLITS, read_csv, read_table

T = TypeVar("T")

TEXT_COLUMNS = dict.fromkeys(("class", "quantity", "metric"), "string")
"""Columns that are text in tables without a schema, so that a class called "007" stays text."""

_read_texts = cache(read_yaml)


def texts(section: str) -> dict[str, Any]:
    """Return a section of texts.yaml."""
    return dict(_read_texts(Path(__file__).with_name("texts.yaml"))[section])


def say(sentence: str, **values: Any) -> str:
    """Return one of the sentences of texts.yaml, values in its places."""
    return str(texts("sentences")[sentence].format(**values))


def render_lines(template: str, **values: Any) -> list[str]:
    """Fill a template of plain text; return its lines."""
    text = (Path(__file__).parent / "templates" / template).read_text(encoding="utf-8")
    filled: str = Template(text, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined).render(values)
    return filled.splitlines()


@dataclass
class Reader:
    """Files of one task; `faults` lists those that are there but can't be read."""

    task: TaskConfig
    paths: Paths
    faults: list[str] = field(default_factory=list)

    @property
    def run(self) -> dict[str, Any]:
        """Content of run.json; empty without a training."""
        return self.json(self.paths.models / "run.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json; empty before the evaluation."""
        return self.json(self.paths.evaluate / "metrics.json")

    @property
    def summary(self) -> dict[str, Any]:
        """Content of the audit's summary.json; empty before the audit."""
        return self.json(self.paths.audit / "summary.json")

    @property
    def images(self) -> pd.DataFrame | None:
        """Return tables.IMAGES; None before the audit."""
        return self.table(self.paths.audit / "images.csv", IMAGES)

    @property
    def boxes(self) -> pd.DataFrame | None:
        """Return tables.BOXES; None before the audit."""
        return self.table(self.paths.audit / "boxes.csv", BOXES)

    @property
    def splits(self) -> pd.DataFrame | None:
        """Return tables.SPLITS; None before the split."""
        return self.table(self.paths.splits, SPLITS)

    @property
    def chance(self) -> float:
        """Score of guessing: one over the number of classes (2 if unknown), or 0 for boxes."""
        if self.task.kind == "detection":
            return 0.0
        return 1 / len(self.summary.get("classes") or "ab")

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the defaults of params.yaml by section; empty if it is not here."""
        return dict(self.yaml(self.paths.root / "params.yaml").get("defaults") or {})

    def json(self, path: Path) -> dict[str, Any]:
        """Read a JSON object; empty if the file is absent, broken or holds something else."""
        return self._read(path, read_json) or {}

    def yaml(self, path: Path) -> dict[str, Any]:
        """Read a YAML mapping; empty if the file is absent, broken or holds something else."""
        return self._read(path, read_yaml) or {}

    def table(self, path: Path, schema: dict[str, str] | None = None) -> pd.DataFrame | None:
        """Read a CSV or parquet table, of a schema if one is given; None if it is absent or broken."""
        if schema is not None:
            return self._read(path, lambda file: read_table(file, schema))
        if path.suffix == ".parquet":
            return self._read(path, pd.read_parquet)
        return self._read(path, lambda file: read_csv(file, TEXT_COLUMNS))

    def text(self, path: Path) -> str:
        """Read a text file; empty if it is absent or no UTF-8."""
        return self._read(path, lambda file: file.read_text(encoding="utf-8-sig")) or ""

    def pictures(self, folder: Path) -> list[Path]:
        """List the PNG and JPEG files of a folder by name."""
        files = folder.iterdir() if folder.is_dir() else ()
        return sorted(path for path in files if path.suffix.lower() in {".png", ".jpg", ".jpeg"})

    def _read(self, path: Path, load: Callable[[Path], T]) -> T | None:
        if not path.is_file():
            return None
        try:
            return load(path)
        except (OSError, ValueError, DataError) as error:
            self.faults.append(f"{path.name} can't be read ({' '.join(str(error).split())[:120]}).")
            return None
