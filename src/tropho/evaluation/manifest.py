"""Which models, looked at in which way, an evaluation is of: what it learned says nothing of others."""

from pathlib import Path
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.errors import DataError
from tropho.files import read_json, write_json
from tropho.inference.ensemble_members import model_entries, wanted_entries
from tropho.paths import Paths

FILE = "manifest.json"
FITTED_KEYS = {"score_test", "postprocess_trials"}
"""Settings of `evaluate` that say which predictions there are and what is learned of them; the others judge."""


def write_manifest(folder: Path, record: dict[str, Any], settings: TaskConfig) -> None:
    """Keep beside the results what they are of; `record` is run.json."""
    rule = {"threshold_rule": settings.evaluate.threshold_description}
    write_json(folder / FILE, {**_evaluated(model_entries(record), settings), **rule})


def check_manifest(paths: Paths, record: dict[str, Any], settings: TaskConfig) -> None:
    """Raise DataError where members, their models or settings that results hang on are not those of the evaluation."""
    file = paths.evaluate / FILE
    if not file.exists():
        raise DataError(f"{paths.evaluate} does not say which models it is of; run `tropho evaluate {paths.task}`.")
    known = read_json(file)
    present = _evaluated(wanted_entries(settings, paths, record), settings)
    changed = [
        f"{section}{name}"
        for section, now in present.items()
        for name in sorted({*now, *known.get(section, {})})
        if now.get(name) != known.get(section, {}).get(name)
    ]
    if changed:
        raise DataError(
            f"{paths.evaluate} is of other models or settings than there are now (changed since: "
            f"{', '.join(changed)}); run `tropho evaluate {paths.task}`."
        )


def _evaluated(entries: dict[str, dict[str, Any]], settings: TaskConfig) -> dict[str, dict[str, Any]]:
    """By the beginning of a name in messages: each member's trained folds, and settings."""
    return {
        "member ": {name: entry["folds"] for name, entry in entries.items()},
        "predict.": settings.predict.model_dump(exclude={"batch_size"}),  # which changes no prediction
        "evaluate.": settings.evaluate.model_dump(include=FITTED_KEYS),
    }
