"""State of a fold's training, and the file from which a killed training resumes."""

import hashlib
import io
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tropho.files import atomic_path
from tropho.log import info

Weights = dict[str, Tensor]
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass
class TrainState:
    """Progress of a fold: one history row an epoch, and the epoch that scored best (0: none was validated).

    `n_parts` is the number of parts that a batch is taken in, more than 1 once the memory did not hold a whole one.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
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
    """The file `state.pt` in a fold's folder: all that the next epoch needs, then its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.pt"

    def save(self, state: TrainState, **parts: Any) -> None:
        """Write the state, and weights and state dicts by name."""
        buffer = io.BytesIO()
        torch.save({"train_state": vars(state), **parts}, buffer)
        content = buffer.getvalue()
        with atomic_path(self._path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.write(hashlib.sha256(content).digest())

    def exists(self) -> bool:
        """Tell whether a state was saved."""
        return self._path.exists()

    def load(self) -> tuple[TrainState, dict[str, Any]] | None:
        """Load the last saved state and parts to the CPU; None if there is none or the file is damaged."""
        if not self.exists():
            return None
        content, digest = (data := self._path.read_bytes())[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            info(f"{self._path} is damaged; this training starts again from its first epoch.")
            return None
        parts = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return TrainState(**parts.pop("train_state")), parts

    def n_epochs(self) -> int:
        """Count the epochs of the saved state; 0 without one."""
        saved = self.load()
        return len(saved[0].history) if saved else 0

    def remove(self) -> None:
        """Delete the file of a finished training."""
        self._path.unlink(missing_ok=True)
