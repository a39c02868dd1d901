"""Lines that a training prints to standard error."""

import math
import sys
import time
from collections.abc import Collection
from shutil import get_terminal_size

import torch
from accelerate import Accelerator
from torch import nn

from tropho.log import info
from tropho.metrics.metric_names import metric_name
from tropho.tracking import Run

LOG_INTERVAL = 50  # steps between two lines where standard error is not a terminal


class StepLog:
    """Prints a header and lines of steps from the main process; on a terminal every step, in place.

    `name` is that of the fold, first in each line; empty prints nothing. `metric` names the validation score.
    """

    def __init__(self, name: str, accelerator: Accelerator, metric: str = "score") -> None:
        self._name, self._accelerator, self._metric = name, accelerator, metric
        self._of, self._later_epochs = "", 0
        self._start, self._n_timed = time.perf_counter(), 0
        self._enabled = bool(name) and accelerator.is_main_process
        self._in_place = sys.stderr.isatty()

    def header(self, model: nn.Module) -> None:
        """Print device, dtype, both with the reason, and the number of parameters."""
        if not self._enabled:
            return
        device = self._accelerator.device
        reason = torch.cuda.get_device_name(device) if device.type == "cuda" else "found by torch"
        reason = "torch finds no GPU" if device.type == "cpu" else reason
        dtype = {"no": "float32", "fp16": "float16", "bf16": "bfloat16"}[self._accelerator.mixed_precision]
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        info(f"{self._name}  device {device} ({reason})  dtype {dtype} (train.precision)  {n_parameters:,} parameters")

    def line(self, text: str) -> None:
        """Print a line of its own, for a training without a name too."""
        if self._accelerator.is_main_process:
            self.end_epoch()
            info(f"{self._name}  {text}".strip())

    def plan(self, folds: list[int], fold: int, n_epochs: int, published: Collection[int] = ()) -> None:
        """Tell which of the folds this is, and how many epochs each later one has that is not published yet."""
        later = [each for each in folds[folds.index(fold) + 1 :] if each not in published]
        self._of = f" ({folds.index(fold) + 1} of {len(folds)})" if len(folds) > 1 else ""
        self._later_epochs = len(later) * n_epochs

    def resumed(self, epoch: int) -> None:
        """Say that the training goes on after an epoch that its checkpoint holds."""
        if self._enabled:
            info(f"{self._name}  goes on after epoch {epoch}, from its checkpoint")

    def stopped(self, epoch: int) -> str:
        """Say after which epoch of its checkpoint the training was stopped; 0 is none."""
        if not self._name:
            return "stopped"
        return f"{self._name} stopped after epoch {epoch}" if epoch else f"{self._name} stopped in its first epoch"

    def epoch(self, row: dict[str, float], n_epochs: int) -> None:
        """Print what an epoch came to, from its row of the history."""
        if self._enabled:
            names = {"val_loss": "validation loss", "score": metric_name(self._metric)}
            values = [f"  {name} {_decimals(row[key])}" for key, name in names.items() if key in row]
            place = f"{self._name}{self._of}  epoch {int(row['epoch'])}/{n_epochs}"
            left = self._time_left(n_epochs - int(row["epoch"]))
            info(f"{place}  loss {row['loss']:.4f}{''.join(values)}  {row['seconds']:.0f} s{left}")

    def _time_left(self, n_epochs: int) -> str:
        """Extrapolate the mean time of this process's epochs to those of this fold and of later ones."""
        self._n_timed += 1
        minutes = (time.perf_counter() - self._start) / self._n_timed * (n_epochs + self._later_epochs) / 60
        if not n_epochs + self._later_epochs:
            return ""
        return f"  about {minutes:.0f} min left" if minutes >= 1 else "  under 1 min left"

    def step(self, place: str, loss: float, lr: float, seconds: tuple[float, float], is_due: bool) -> None:
        """Print loss, rate, the seconds (for the batch, for the whole step) and peak memory of a step."""
        if not self._enabled or not (self._in_place or is_due):
            return
        data, whole = (1000 * each for each in seconds)
        line = f"{self._name}  {place}  loss {loss:.4f}  lr {lr:.1e}  data {data:.0f} ms  step {whole:.0f} ms"
        line += f"  peak memory {peak_memory(self._accelerator.device) / 1e9:.1f} GB"
        if self._in_place:
            sys.stderr.write(f"\r\033[K{line[: get_terminal_size().columns - 1]}")  # a wrapped line would stay
            sys.stderr.flush()
        else:
            info(line)

    def end_epoch(self) -> None:
        """Clear the line that was written in place."""
        if self._enabled and self._in_place:
            sys.stderr.write("\r\033[K")


def log_epoch(run: Run, row: dict[str, float]) -> None:
    """Log an epoch's row of the history to a tracked run."""
    run.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))


def peak_memory(device: torch.device) -> int:
    """Return the most memory in use so far, bytes: of the GPU's tensors, or of the process on a CPU; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _decimals(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"
