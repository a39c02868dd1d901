"""Fingerprint: hash files that DVC does not watch, so that `dvc repro` runs what depends on them where they changed."""

from pathlib import Path
from typing import Any

from tropho.config.load import member_settings
from tropho.config.task_config import TaskConfig
from tropho.data.sources.local import digest, placed_files, stamp_files
from tropho.errors import DataError
from tropho.files import read_json, sha256_of, write_json
from tropho.inference.trained_folds import find_start_weights
from tropho.log import info
from tropho.paths import Paths


def run(settings: TaskConfig, root: Path) -> dict[str, Any]:
    """Write data/fingerprints/TASK.json: the number and hash of the files that the user placed.

    Beside it, TASK.weights.json has the SHA-256 of the weights that `model.weights` names, by member. TASK.text.json
    has that of each file of the author's own words for the report.

    Sources without such files have settings alone. Where the files can't be reached, as from the folder of a DVC
    experiment, the last fingerprint stays.

    Returns: source and path of the settings, and where the user placed files, "files" and "hash".

    Raises:
        UsageError, DataError: the files can't be copied as they are.
    """
    paths = Paths(root, settings.name)
    weights = {name: _hash_weights(member, root) for name, member in member_settings(settings).items()}
    if weights != _read(paths.weights_fingerprint):
        write_json(paths.weights_fingerprint, weights)
    _stamp_text(paths)
    last = _read(paths.fingerprint)
    new: dict[str, Any] = {"source": settings.download.source, "path": settings.download.path}
    place = placed_files(settings, root)
    if place is not None:
        known = _read(paths.stamps)
        stamps = stamp_files(place, known, paths.raw)
        same_place = {key: last.get(key) for key in new} == new
        if not stamps and same_place and last.get("files"):
            info(f"No files are at {place}; data/raw/{settings.name} stays as it was fetched from there.")
            return last
        if stamps != known:
            write_json(paths.stamps, stamps)
        new |= {"files": len(stamps), "hash": digest(stamps)}
    if new != last:
        write_json(paths.fingerprint, new)
    return new


def _hash_weights(settings: TaskConfig, root: Path) -> str | None:
    """Return the SHA-256 of the weights that a training starts from; None if it needs none or they are not there."""
    try:
        start = find_start_weights(settings.model.weights, root)
    except DataError:  # `train` says so, unless they are trained before
        return None
    return start.sha256 if start else None


def _stamp_text(paths: Paths) -> None:
    files = sorted(path for path in paths.own_text.rglob("*") if path.is_file())
    stamps = {path.relative_to(paths.own_text).as_posix(): sha256_of(path) for path in files}
    if stamps != _read(paths.text_stamp) or not paths.text_stamp.exists():
        write_json(paths.text_stamp, stamps)


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} where the file is missing or damaged, since it is written anew."""
    try:
        value = read_json(path)
    except DataError:
        return {}
    return value if isinstance(value, dict) else {}
