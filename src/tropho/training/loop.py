"""The training loop of one fold, resumable after a kill."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn, optim

from tropho.data.task_data import GroundTruth
from tropho.errors import DataError
from tropho.images.cache import ImageCache
from tropho.inference.predict import make_eval_loader, predict_all
from tropho.inference.trained_folds import StartWeights
from tropho.models.device_limits import free_memory, is_out_of_memory
from tropho.models.heads import Count, recorded_counts
from tropho.tasks.base import Batch, Task
from tropho.training.checkpoint import Checkpoint, TrainState, Weights
from tropho.training.data_loader import EpochSampler, make_train_loader
from tropho.training.devices import compile_layers, explain_compiler, make_accelerator, sync_batch_norms
from tropho.training.layer_stats import LayerStats
from tropho.training.micro_batches import ValidationLoss, describe_parts, more_parts, split_batch, with_sum
from tropho.training.optim import ModelEma, build_optimizer, count_plateaus, lr_at, set_backbone_frozen
from tropho.training.start_weights import load_start_weights
from tropho.training.step_log import LOG_INTERVAL, StepLog


@dataclass(frozen=True)
class TrainedFold:
    """The best weights by validation score, on the CPU, and the history of the training."""

    weights: Weights
    state: TrainState


class Trainer:
    """Trains one fold once; `fit` releases its models and loaders.

    Args:
        task: model, data, loss and score; its settings hold the schedule and the precision.
        cache: images at training size.
        train_gt: images to train on.
        val_gt: images to validate on.
        seed: of initial weights, order, augmentation and dropout.
        checkpoint: saved after every epoch and resumed from; None keeps the best weights in memory.
        on_epoch: called with each new history row, and with the last one when resuming; may raise to stop.
        name: of the fold in the lines of the log; empty prints none.
        start: weights of another training to begin with; None = as `Task.build_model` makes them.
    """

    def __init__(
        self,
        task: Task,
        cache: ImageCache,
        train_gt: GroundTruth,
        val_gt: GroundTruth,
        seed: int,
        checkpoint: Checkpoint | None = None,
        on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
        name: str = "",
        start: StartWeights | None = None,
    ) -> None:
        self.task, self.cache, self.val_gt, self.seed = task, cache, val_gt, seed
        self.checkpoint, self.on_epoch = checkpoint, on_epoch
        self.config = task.settings.train
        self.state, self.best_weights = TrainState(), Weights()
        self.accelerator = make_accelerator(self.config)
        self.log = StepLog(name, self.accelerator, task.primary_metric)
        set_seed(seed)
        model = task.build_model()
        if start:
            self.log.line(load_start_weights(model, start, task))
        device = self.accelerator.device
        model = model.to(device).to(memory_format=torch.channels_last)  # faster on CPU and on tensor cores
        model = sync_batch_norms(model, self.accelerator)
        if self.config.compile:
            compile_layers(model)
        self.sampler = EpochSampler(task.strata(train_gt), seed, balanced=self.config.sampler == "balanced")
        loader = make_train_loader(task, cache, train_gt, self.sampler, self.accelerator)
        batch_size = self.config.images_per_step
        self.val_loader = make_eval_loader(task, val_gt, cache, self.accelerator, batch_size, reused=True)
        self.model: nn.Module
        self.optimizer: optim.Optimizer
        self.model, self.optimizer, self.loader = self.accelerator.prepare(
            model, build_optimizer(model, self.config), loader, device_placement=[True, True, False]
        )
        self.raw_model: nn.Module = self.accelerator.unwrap_model(self.model)  # without DistributedDataParallel
        self.ema = ModelEma(self.raw_model, self.config.ema_decay) if self.config.ema_decay else None
        self.eval_model: nn.Module = self.ema.module if self.ema else self.raw_model
        self.layer_stats = LayerStats(self.raw_model) if self.config.log_layer_stats else None

    def fit(self) -> TrainedFold:
        """Train until the last epoch or an early stop, from the checkpoint's state if there is one.

        Raises:
            DataError: a loss is not finite.
        """
        try:
            self.log.header(self.raw_model)
            self._resume()
            while not self.state.finished and len(self.state.history) < self.config.epochs:
                n_done = len(self.state.history)
                row = {"epoch": float(n_done + 1), **self.train_one_epoch(n_done)}
                self.state.history.append(row)
                if row["epoch"] % self.config.val_interval == 0 or row["epoch"] == self.config.epochs:
                    row |= self.validate()
                    self._keep_best(row)
                patience = self.config.early_stopping_patience
                self.state.finished = patience is not None and count_plateaus(self.state.scores, patience) > 0
                self._save()
                self.on_epoch(row)
                self.log.epoch(row, self.config.epochs)
            return TrainedFold(self.best_weights, self.state)
        except KeyboardInterrupt:
            n_epochs = self.checkpoint.n_epochs() if self.checkpoint else 0
            raise KeyboardInterrupt(self.log.stopped(n_epochs)) from None
        finally:
            self.accelerator.free_memory()

    def train_one_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every batch once, after `epoch` epochs; random numbers depend on the seed and the epoch alone.

        Returns:
            Means over the steps: loss, loss/<part>, grad_norm (before clipping), layer statistics; lr (the last),
                seconds.

        Raises:
            DataError: a part of the loss is not finite.
        """
        start = end = time.perf_counter()
        set_seed(self.seed + 100_003 * (epoch + 1))
        self.sampler.epoch = epoch
        torch.backends.cudnn.benchmark = self.task.settings.has_one_shape
        self.model.train()
        set_backbone_frozen(self.raw_model, epoch < self.config.freeze_backbone_epochs)
        if self.layer_stats:
            self.layer_stats.start()
        sums: dict[str, Tensor | float] = defaultdict(float)
        n_steps, scores = len(self.loader), self.state.scores
        for step, batch in enumerate(self.loader):
            data_seconds = time.perf_counter() - end
            lr = lr_at(self.config, epoch + step / n_steps, scores)
            for group in self.optimizer.param_groups:
                group["lr"] = lr * group["lr_scale"]
            values, loss = self.train_step(batch, f"epoch {epoch + 1}, step {step + 1}")
            for name, value in values.items():
                sums[name] = sums[name] + value
            seconds = data_seconds, time.perf_counter() - end
            place = f"epoch {epoch + 1}/{self.config.epochs}  step {step + 1}/{n_steps}"
            self.log.step(place, loss, lr, seconds, is_due=(step + 1) % LOG_INTERVAL == 0)
            end = time.perf_counter()
        self.log.end_epoch()
        torch.backends.cudnn.benchmark = False  # for each shape of validation images, trials cost more than they save
        row = self._mean_over_processes({name: float(value) / n_steps for name, value in sums.items()})
        row |= self.layer_stats.finish() if self.layer_stats else {}
        return {**row, "lr": lr, "seconds": time.perf_counter() - start}

    def train_step(self, batch: Batch, place: str) -> tuple[dict[str, Tensor], float]:
        """Update the weights and their average once; read one tensor from the GPU, and wait for nothing else.

        Returns:
            loss, grad_norm and, of several parts, loss/<part>: detached scalars; the loss as a number.

        Raises:
            DataError: a part, or the sum, is not finite at `place`; the weights are left as they were.
            UsageError: the memory does not hold a step of one image.
        """
        batch["images"] = batch["images"].to(self.accelerator.device, non_blocking=True)
        n_images, losses = len(batch["images"]), None
        while losses is None:  # where the memory is full, again in more parts, as in all later steps
            self.optimizer.zero_grad()
            try:
                losses = add_gradients(self.task, self.model, batch, self.accelerator, self.state.n_parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    explain_compiler(error)
                    raise
            if losses is None:
                free_memory()
                self.state.n_parts = more_parts(self.state.n_parts, n_images, self.accelerator.num_processes)
                self.log.line(f"{place}: {describe_parts(self.raw_model, self.state.n_parts, n_images)}")
        loss = self._check_finite(losses, place)
        max_norm = self.config.clip_grad_norm
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), max_norm or float("inf"))
        if self.layer_stats:
            self.layer_stats.after_backward(max(1.0, float(norm) / max_norm) if max_norm else 1.0)
        self.optimizer.step()
        if self.ema:
            self.ema.update_parameters(self.raw_model)
        total = losses.pop("sum")
        parts = {f"loss/{name.removeprefix('loss_')}": value for name, value in losses.items()}
        return {"loss": total, "grad_norm": norm.detach(), **(parts if len(parts) > 1 else {})}, loss

    def validate(self) -> dict[str, float]:
        """Return val_loss and score of the evaluated model, without test-time augmentation, from one pass."""
        gt = self.val_gt
        image_ids = list(gt.images["image_id"])
        loss = ValidationLoss(self.task, self.eval_model, self.accelerator)
        inputs = self.val_loader, image_ids, self.cache, self.accelerator
        [[table]] = predict_all(self.task, [self.eval_model], *inputs, on_batch=loss.add)
        score = self.task.score(gt, self.task.postprocess(table, ignore_classes=gt.ignore_classes))
        return {"val_loss": loss.mean(), "score": score}

    def _check_finite(self, values: dict[str, Tensor], place: str) -> float:
        """Return "sum" as a number; raise the same DataError on all processes if a value is not finite on any."""
        stacked = torch.stack([value.float() for value in values.values()])  # (n_values,)
        is_bad = self.accelerator.reduce((~torch.isfinite(stacked)).float())
        *flags, loss = torch.cat([is_bad, stacked[-1:]]).tolist()  # the step's one sync point
        bad = [name for name, flag in zip(values, flags, strict=True) if flag]
        if not bad:
            return float(loss)
        raise DataError(
            f"The loss stopped being finite at {place} (part: {', '.join(bad[:-1]) or 'sum'}); "
            "lower train.lr, set train.clip_grad_norm, or look for bad boxes in the audit."
        )

    def _mean_over_processes(self, row: dict[str, float]) -> dict[str, float]:
        if self.accelerator.num_processes == 1:
            return row
        values = self.accelerator.reduce(torch.tensor(list(row.values()), device=self.accelerator.device), "mean")
        return dict(zip(row, values.tolist(), strict=True))

    def _keep_best(self, row: dict[str, float]) -> None:
        """Keep the present weights if the epoch of `row` is the best so far."""
        if self.state.find_best() != row["epoch"]:
            return
        self.state.best_epoch, self.state.best_score = int(row["epoch"]), row["score"]
        self.best_weights = {name: value.detach().cpu().clone() for name, value in self.eval_model.state_dict().items()}

    def _stateful(self) -> dict[str, Any]:
        """Everything with a state dict that the next epoch starts from."""
        parts = {"model": self.raw_model, "optimizer": self.optimizer}
        return parts | {"ema": self.ema, "scaler": self.accelerator.scaler}

    def _save(self) -> None:
        if self.checkpoint and self.accelerator.is_main_process:
            parts = {name: part.state_dict() for name, part in self._stateful().items() if part is not None}
            self.checkpoint.save(self.state, best=self.best_weights, **parts)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        if not (self.checkpoint and (saved := self.checkpoint.load())):
            return
        self.state, parts = saved
        self.log.resumed(len(self.state.history))
        for name, part in self._stateful().items():
            if part is not None:
                part.load_state_dict(parts[name])
        self.best_weights = parts["best"]
        self.on_epoch(self.state.history[-1])  # a kill may have come before it was reported


def add_gradients(
    task: Task, model: nn.Module, batch: Batch, accelerator: Accelerator, n_parts: int = 1
) -> dict[str, Tensor]:
    """Add the gradients of a batch's loss to those of the parameters.

    In parts, each part's loss is weighted by its own count, such as that of its positive positions, and the sum is
    divided by the count of the batch. So the gradients are those of the whole batch, up to rounding, unless layers
    depend on other images (batch norm).

    Returns:
        Named parts of the loss, and their "sum", of the whole batch: detached scalars.
    """
    sums: dict[str, Tensor] = {}
    counts: list[Count] = []
    parts = split_batch(batch, n_parts)
    for number, part in enumerate(parts, start=1):
        # Only the last part's backward pass exchanges gradients with other processes: those of all parts.
        with accelerator.no_sync(model) if number < len(parts) else nullcontext():
            with accelerator.autocast(), recorded_counts() as recorded:
                losses = task.compute_loss(model, part)  # {name: ()}
            losses, count = with_sum(losses, recorded, part, accelerator)
            counts.append(count)
            if len(parts) > 1:
                scale = (len(parts) * counts[0].mean).clamp(min=1)  # keeps weights near 1 / n_parts, as fp16 needs
                losses = {name: value * (count.mean / scale) for name, value in losses.items()}
            accelerator.backward(losses["sum"])
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
    if len(parts) == 1:
        return sums
    total = counts[0]._replace(total=torch.stack([count.total for count in counts]).sum())
    factor = scale / total.mean
    torch._foreach_mul_([value.grad for value in model.parameters() if value.grad is not None], factor)
    return {name: value * factor for name, value in sums.items()}
