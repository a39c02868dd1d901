"""The state of a training in progress, on disk, so that a killed run goes on where it was.

A fold's folder holds `state.pt` (everything the next epoch needs) and `best.safetensors`. Both are written to a
temporary name, flushed and renamed; `state.pt` names the best weights it belongs to, so a kill between the two
writes leaves a pair that fits.
"""

from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tropho.files import atomic_path

State = dict[str, Tensor]


@dataclass
class Progress:
    """How far a fold has come: one history row an epoch, and which epoch scored best."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    finished: bool = False

    @property
    def scores(self) -> list[float]:
        """Validation scores so far, oldest first."""
        return [row["score"] for row in self.history if "score" in row]

    def find_best(self) -> int:
        """Find the validated epoch with the highest score, the first of equals; a score that is NaN comes last."""
        rows = [row for row in self.history if "score" in row]
        return int(min(rows, key=lambda row: (isnan(row["score"]), -row["score"], row["epoch"]))["epoch"])

    @property
    def seconds(self) -> float:
        """Time spent in epochs, over every run that took part."""
        return sum(row["seconds"] for row in self.history)


class Checkpoint:
    """A fold's folder of checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / "state.pt"

    def save(self, progress: Progress, **parts: Any) -> None:
        """Write `progress` and state dicts by name, then drop best weights that no state names any more."""
        with atomic_path(self._state) as temporary:
            torch.save({"progress": vars(progress), **parts}, temporary)
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best_path(progress.best_epoch):
                path.unlink()

    def load(self) -> tuple[Progress, dict[str, Any]] | None:
        """The last saved progress and parts, on the CPU; None where nothing was saved."""
        if not self._state.exists():
            return None
        parts = torch.load(self._state, map_location="cpu", weights_only=True)
        return Progress(**parts.pop("progress")), parts

    def save_best(self, epoch: int, weights: State) -> None:
        """Keep the weights of the best epoch so far."""
        with atomic_path(self._best_path(epoch)) as temporary:
            save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary)

    def load_best(self, progress: Progress) -> State:
        """The weights of `progress.best_epoch`, on the CPU."""
        return load_file(self._best_path(progress.best_epoch))

    def _best_path(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"


class InMemory:
    """What `fit` needs of a checkpoint where nothing is to be resumed."""

    def __init__(self) -> None:
        self._weights: State = {}

    def save(self, progress: Progress, **parts: Any) -> None:
        """Do nothing: there is no file."""

    def save_best(self, epoch: int, weights: State) -> None:
        """Keep the weights of the best epoch so far."""
        self._weights = weights

    def load_best(self, progress: Progress) -> State:
        """Return the weights of the best epoch."""
        return self._weights
