"""The state of a training in progress, on disk, so that a killed run goes on where it was.

A fold's folder holds `state.pt` (everything the next epoch needs) and `best.safetensors`. Both are written to a
temporary name, flushed and renamed; `state.pt` names the best weights it belongs to, so a kill between the two
writes leaves a pair that fits.
"""

from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tropho.files import atomic_path

State = dict[str, Tensor]


@dataclass
class Progress:
    """How far a fold has come: one history row an epoch, which epoch scored best, and whose weights are kept."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    finished: bool = False
    kept: list[int] = field(default_factory=list)

    @property
    def scores(self) -> list[float]:
        """Validation scores so far, oldest first, without those that are undefined."""
        return [row["score"] for row in self.history if not isnan(row.get("score", nan))]

    def best_epochs(self, count: int) -> list[int]:
        """At most so many validated epochs, best first; where the score is undefined in all of them, newest first."""
        rows = [row for row in self.history if "score" in row]
        defined = sorted((-row["score"], row["epoch"]) for row in rows if not isnan(row["score"]))
        undefined = [row["epoch"] for row in reversed(rows) if isnan(row["score"])]
        return [int(epoch) for epoch in [*(epoch for _, epoch in defined), *undefined][:count]]

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
            if path not in {self._best_path(epoch) for epoch in (progress.best_epoch, *progress.kept)}:
                path.unlink()

    def load(self) -> tuple[Progress, dict[str, Any]] | None:
        """The last saved progress and parts, on the CPU; None where nothing was saved."""
        if not self._state.exists():
            return None
        parts = torch.load(self._state, map_location="cpu", weights_only=True)
        return Progress(**parts.pop("progress")), parts

    def save_best(self, epoch: int, weights: State) -> None:
        """Keep the weights of one of the best epochs so far."""
        with atomic_path(self._best_path(epoch)) as temporary:
            save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary)

    def load_best(self, progress: Progress) -> State:
        """The weights of `progress.best_epoch`, on the CPU."""
        return self.load_kept(progress.best_epoch)

    def load_kept(self, epoch: int) -> State:
        """The weights of a kept epoch, on the CPU."""
        return load_file(self._best_path(epoch))

    def _best_path(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"


class InMemory:
    """What `fit` needs of a checkpoint where nothing is to be resumed."""

    def __init__(self) -> None:
        self._weights: dict[int, State] = {}

    def save(self, progress: Progress, **parts: Any) -> None:
        """Drop weights that are no longer among the best."""
        self._weights = {epoch: self._weights[epoch] for epoch in progress.kept}

    def save_best(self, epoch: int, weights: State) -> None:
        """Keep the weights of one of the best epochs so far."""
        self._weights[epoch] = weights

    def load_best(self, progress: Progress) -> State:
        """The weights of `progress.best_epoch`."""
        return self._weights[progress.best_epoch]

    def load_kept(self, epoch: int) -> State:
        """The weights of a kept epoch."""
        return self._weights[epoch]
