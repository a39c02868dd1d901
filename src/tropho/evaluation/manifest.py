"""Record which models and settings an evaluation is of, and refuse its results for any others."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, write_json
from tropho.inference.ensemble_members import check_members, member_records
from tropho.paths import Paths

FILE = "manifest.json"
FITTED_KEYS = {"score_test", "fit_postprocess"}
"""Settings of `evaluate` that change predictions or what is fitted to them."""


def write_manifest(folder: Path, record: dict[str, Any], settings: TaskConfig) -> None:
    """Write manifest.json into `folder`; `record` is run.json."""
    rule = {"threshold_rule": settings.evaluate.threshold_description}
    write_json(folder / FILE, {**_sections(member_records(record), settings), **rule})


def check_manifest(paths: Paths, record: dict[str, Any], settings: TaskConfig) -> None:
    """Raise DataError unless the evaluation in reports/T is of these models (run.json) and present settings."""
    file = paths.evaluate / FILE
    if not file.exists():
        raise DataError(f"{paths.evaluate} does not say which models it is of; run `tropho evaluate {paths.task}`.")
    known = read_json(file)
    changed = [
        f"{section}{name}"
        for section, present in _sections(check_members(settings, paths, record), settings).items()
        for name in sorted({*present, *known.get(section, {})})
        if present.get(name) != known.get(section, {}).get(name)
    ]
    if changed:
        raise DataError(
            f"{paths.evaluate} belongs to other models or settings (changed since: "
            f"{', '.join(changed)}); run `tropho evaluate {paths.task}`."
        )


def _sections(records: dict[str, dict[str, Any]], settings: TaskConfig) -> dict[str, dict[str, Any]]:
    """Collect trained folds and settings, keyed by how their names begin in messages."""
    return {
        "member ": {name: record["folds"] for name, record in records.items()},
        "predict.": settings.predict.model_dump(exclude={"batch_size"}),  # which changes no prediction
        "evaluate.": settings.evaluate.model_dump(include=FITTED_KEYS),
    }
