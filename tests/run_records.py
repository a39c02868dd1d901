"""Entries of run.json for folds that a test has made itself."""

from pathlib import Path
from typing import Any

from tropho.files import sha256_of
from tropho.inference.trained_folds import FILES


def fold_entry(folder: Path, number: int = 0) -> dict[str, Any]:
    """Return the entry of a fold whose weights are in `folder`; its history is written if there is none."""
    (folder / "history.csv").touch()
    return {"fold": number, "score": None, "sha256": {file: sha256_of(folder / file) for file in FILES}}
