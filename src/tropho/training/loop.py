"""The training loop: one epoch forward and back, and one pass of predictions. Both return plain values."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader

from tropho.errors import DataError
from tropho.log import track
from tropho.tasks.base import Task
from tropho.training.ema import ModelEma
from tropho.training.freeze import set_backbone_frozen
from tropho.training.layer_stats import LayerStats


def train_one_epoch(
    task: Task,
    model: nn.Module,
    loader: DataLoader[Any],
    optimizer: optim.Optimizer,
    rate: Callable[[float], float],
    average: ModelEma | None,
    accelerator: Accelerator,
    epoch: int,
    layers: LayerStats | None = None,
) -> dict[str, float]:
    """Train on every batch once.

    Args:
        task: gives the loss of a batch.
        model: as prepared by `accelerator`.
        loader: batches; as prepared by `accelerator`.
        optimizer: as prepared by `accelerator`.
        rate: learning rate by epochs done, fractions included.
        average: follows the weights, if given.
        accelerator: device, precision and processes.
        epoch: epochs done before this one.
        layers: measures each layer, if given.

    Returns:
        Means over the epoch's steps: loss, loss/<part>, grad_norm (before clipping), what `layers` found; and lr (at
        the end), seconds.

    Raises:
        DataError: a part of the loss is not finite; it is named.
    """
    started = time.perf_counter()
    model.train()
    set_backbone_frozen(accelerator.unwrap_model(model), epoch < task.settings.train.freeze_backbone_epochs)
    if layers:
        layers.start()
    sums: dict[str, Tensor | float] = defaultdict(float)
    steps = len(loader)
    for step, batch in enumerate(track(loader, f"epoch {epoch + 1}")):
        lr = rate(epoch + step / steps)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["share"]
        found = _step(task, model, batch, optimizer, accelerator, layers, f"epoch {epoch + 1}, step {step + 1}")
        if average is not None:
            average.update(accelerator.unwrap_model(model))
        for name, value in found.items():
            sums[name] = sums[name] + value
    row = _mean_over_processes({name: float(value) / steps for name, value in sums.items()}, accelerator)
    row |= layers.finish() if layers else {}
    return {**row, "lr": lr, "seconds": time.perf_counter() - started}


def _step(
    task: Task,
    model: nn.Module,
    batch: Any,
    optimizer: optim.Optimizer,
    accelerator: Accelerator,
    layers: LayerStats | None,
    place: str,
) -> dict[str, Tensor]:
    """Forward, backward and one update of the weights; loss, grad_norm and loss/<part>, scalars.

    `place` names the step in the DataError of a loss that is not finite, which is raised before the weights change.
    """
    with accelerator.autocast():
        losses = task.compute_loss(model, batch)
    loss = torch.stack(list(losses.values())).sum()
    _check_finite({**losses, "sum": loss}, accelerator, place)
    optimizer.zero_grad()
    accelerator.backward(loss)
    clip = task.settings.train.clip_grad_norm
    norm = accelerator.clip_grad_norm_(model.parameters(), clip or float("inf"))
    if layers:
        layers.after_backward(max(1.0, float(norm) / clip) if clip else 1.0)
    optimizer.step()
    values = {"loss": loss, "grad_norm": norm, **_parts(losses)}
    return {name: value.detach() for name, value in values.items()}


def _mean_over_processes(row: dict[str, float], accelerator: Accelerator) -> dict[str, float]:
    if accelerator.num_processes == 1:
        return row
    values = accelerator.reduce(torch.tensor(list(row.values()), device=accelerator.device), "mean")
    return dict(zip(row, values.tolist(), strict=True))


def _parts(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"loss/{name}": value for name, value in losses.items()} if len(losses) > 1 else {}


def _check_finite(values: dict[str, Tensor], accelerator: Accelerator, place: str) -> None:
    """Raise DataError where a part of the loss, or their sum, is not finite on any process; all of them raise alike."""
    flags = accelerator.reduce(torch.stack([~torch.isfinite(each.detach()) for each in values.values()]).float())
    if not flags.any():
        return
    bad = [name for name, flag in zip(values, flags.tolist(), strict=True) if flag]
    raise DataError(
        f"The loss stopped being finite at {place} (part: {', '.join(bad[:-1]) or 'sum'}); "
        "lower train.lr, set train.clip_grad_norm, or look for bad boxes in the audit."
    )
