"""The state of a training in progress, on disk, so that a killed run goes on where it was.

A fold's folder holds `state.pt` (everything the next epoch needs, then the SHA-256 of it) and `best-N.safetensors`.
Both are written to a temporary name, flushed and renamed. `state.pt` names the best weights that it belongs to by epoch
and SHA-256, so a kill between the two writes leaves a pair that fits, and damage is noticed.
"""

import hashlib
import io
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tropho.files import atomic_path, sha256_of
from tropho.log import info

State = dict[str, Tensor]
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass
class TrainState:
    """How far a fold has come: one history row an epoch, and which epoch scored best."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    best_sha256: str = ""
    finished: bool = False

    @property
    def scores(self) -> list[float]:
        """Validation scores so far, oldest first, without those that are undefined."""
        return [row["score"] for row in self.history if not isnan(row.get("score", nan))]

    def find_best(self) -> int:
        """Find the validated epoch with the highest score, the first of equals; the last where none is defined."""
        rows = [row for row in self.history if "score" in row]
        defined = [row for row in rows if not isnan(row["score"])]
        best = min(defined, key=lambda row: (-row["score"], row["epoch"])) if defined else rows[-1]
        return int(best["epoch"])

    @property
    def seconds(self) -> float:
        """Time spent in epochs, over every run that took part."""
        return sum(row["seconds"] for row in self.history)


class Checkpoint:
    """A fold's folder of checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / "state.pt"

    def save(self, progress: TrainState, **parts: Any) -> None:
        """Write `progress` and state dicts by name, then drop best weights that no state names any more."""
        buffer = io.BytesIO()
        torch.save({"progress": vars(progress), **parts}, buffer)
        content = buffer.getvalue()
        with atomic_path(self._state) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best_path(progress.best_epoch):
                path.unlink()

    def load(self) -> tuple[TrainState, dict[str, Any]] | None:
        """Load the last saved progress and parts to the CPU; None where nothing was saved, or what was is damaged."""
        if not self._state.exists():
            return None
        content, digest = (data := self._state.read_bytes())[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            info(f"{self._state} is damaged; this training starts again from its first epoch.")
            return None
        parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        progress = TrainState(**parts.pop("progress"))
        best = self._best_path(progress.best_epoch)
        if progress.best_epoch and not (best.exists() and sha256_of(best) == progress.best_sha256):
            info(f"{best} is damaged; this training starts again from its first epoch.")
            return None
        return progress, parts

    def save_best(self, epoch: int, weights: State) -> str:
        """Keep the weights of the best epoch so far; return the SHA-256 of their file."""
        content = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
        with atomic_path(self._best_path(epoch)) as temporary:
            temporary.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def load_best(self, progress: TrainState) -> State:
        """The weights of `progress.best_epoch`, on the CPU."""
        return load_file(self._best_path(progress.best_epoch))

    def remove(self) -> None:
        """Remove what was saved, as the training is finished."""
        for path in (self._state, *self.folder.glob("best-*.safetensors")):
            path.unlink(missing_ok=True)

    def _best_path(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"
