"""Trains the cases of a folder in as many processes as torchrun starts: `torchrun two_processes.py FOLDER`."""

import math
import pickle
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tropho.errors import TrophoError
from tropho.images.cache import ImageCache
from tropho.tasks import build_task
from tropho.training.devices import this_process
from tropho.training.loop import Trainer


def main(folder: Path) -> None:
    """Write FOLDER/NAME.safetensors for each case of cases.pickle, and what went wrong to FOLDER/NAME.RANK.txt."""
    state = this_process()
    assert state.num_processes == 2
    for name, settings, truth in pickle.loads((folder / "cases.pickle").read_bytes()):
        task = build_task(settings, ["a", "b"])
        if name == "not_finite":
            spoil(task, state.process_index)
        try:
            trainer = Trainer(task, ImageCache(folder / "pack"), truth, truth, 0)
            trainer.state.n_parts = 2 if name == "fcos_parts" else 1
            fold = trainer.fit()
        except TrophoError as error:
            (folder / f"{name}.{state.process_index}.txt").write_text(str(error))
            continue
        if state.is_main_process:
            save_file(
                {key: value.clone(memory_format=torch.contiguous_format) for key, value in fold.weights.items()},
                folder / f"{name}.safetensors",
            )
            losses = [row[key] for key in ("loss", "val_loss") for row in fold.state.history if key in row]
            (folder / f"{name}.losses").write_text(repr([loss for loss in losses if math.isfinite(loss)]))
    state.wait_for_everyone()
    state.destroy_process_group()


def spoil(task, rank: int) -> None:
    """Make the loss infinite in the second step of the last process alone."""
    loss, steps = task.compute_loss, iter(range(100))
    task.compute_loss = lambda model, batch: {
        name: value * (float("inf") if rank and next(steps) == 1 else 1.0) for name, value in loss(model, batch).items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
