"""State of a fold's training, and the files from which a killed training resumes.

A fold's folder holds `state.pt` (all that the next epoch needs, then its SHA-256) and `best-N.safetensors`. Both are
replaced atomically. `state.pt` names its best weights by epoch and SHA-256, so that a kill between the two writes
leaves a matching pair.
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

Weights = dict[str, Tensor]
DAMAGED = "{} is damaged; this training starts again from its first epoch."
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass
class TrainState:
    """Progress of a fold: one history row an epoch, and the epoch that scored best (0: none was validated).

    `n_parts` is the number of parts that a batch is taken in, more than 1 once the memory did not hold a whole one.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    best_sha256: str = ""
    finished: bool = False
    n_parts: int = 1

    @property
    def scores(self) -> list[float]:
        """Validation scores so far, oldest first, without undefined ones."""
        return [row["score"] for row in self.history if not isnan(row.get("score", nan))]

    def find_best(self) -> int:
        """Find the validated epoch with the highest score, the first of equals; the last if none is defined."""
        rows = [row for row in self.history if "score" in row]
        defined = [row for row in rows if not isnan(row["score"])]
        best = min(defined, key=lambda row: (-row["score"], row["epoch"])) if defined else rows[-1]
        return int(best["epoch"])

    @property
    def seconds(self) -> float:
        """Time spent in epochs, over every process that resumed the training."""
        return sum(row["seconds"] for row in self.history)


class Checkpoint:
    """A fold's folder of checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "state.pt"

    def save(self, state: TrainState, **parts: Any) -> None:
        """Write the state and state dicts by name, then delete best weights that the state does not name."""
        buffer = io.BytesIO()
        torch.save({"train_state": vars(state), **parts}, buffer)
        content = buffer.getvalue()
        with atomic_path(self._path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best_path(state.best_epoch):
                path.unlink()

    def exists(self) -> bool:
        """Tell whether a state was saved."""
        return self._path.exists()

    def load(self) -> tuple[TrainState, dict[str, Any]] | None:
        """Load the last saved state and parts to the CPU; None if there is none or a file is damaged."""
        if not self._path.exists():
            return None
        content, digest = (data := self._path.read_bytes())[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            info(DAMAGED.format(self._path))
            return None
        parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state = TrainState(**parts.pop("train_state"))
        best = self._best_path(state.best_epoch)
        if state.best_epoch and not (best.exists() and sha256_of(best) == state.best_sha256):
            info(DAMAGED.format(best))
            return None
        return state, parts

    def n_epochs(self) -> int:
        """Count the epochs of the saved state; 0 without one."""
        saved = self.load()
        return len(saved[0].history) if saved else 0

    def save_best(self, epoch: int, weights: Weights) -> str:
        """Write the best weights so far; return the SHA-256 of their file."""
        content = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
        with atomic_path(self._best_path(epoch)) as temporary:
            temporary.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def load_best(self, state: TrainState) -> Weights:
        """Load the weights of `state.best_epoch` to the CPU."""
        return load_file(self._best_path(state.best_epoch))

    def remove(self) -> None:
        """Delete the files of a finished training."""
        for path in (self._path, *self.folder.glob("best-*.safetensors")):
            path.unlink(missing_ok=True)

    def _best_path(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"
