"""Training one fold from first weights to best weights, resumable after any kill."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import nn, optim
from torch.utils.data import DataLoader

from tropho.config.task_config import TrainConfig
from tropho.data.task_data import GroundTruth
from tropho.errors import UsageError
from tropho.images.cache import ImageCache
from tropho.inference.predict import predict
from tropho.tasks.base import Task
from tropho.training.checkpoint import Checkpoint, State, TrainState
from tropho.training.ema import ModelEma
from tropho.training.layer_stats import LayerStats
from tropho.training.loop import train_one_epoch
from tropho.training.lr_schedule import lr_at
from tropho.training.optimizer import build_optimizer
from tropho.training.sampler import EpochSampler

EpochDone = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainedFold:
    """A trained fold: the best weights, on the CPU, and how training went."""

    weights: State
    progress: TrainState


def this_process() -> PartialState:
    """Return this process's place among those that torchrun or `accelerate launch` started."""
    # Unless accelerate is told that there is no GPU, it waits for one and takes each process for the only one.
    return PartialState(cpu=not torch.accelerator.is_available())


def make_accelerator(train: TrainConfig) -> Accelerator:
    """Device, precision and processes for one model; batch_size counts the images of a step over all processes."""
    # accelerate keeps the precision of the first accelerator for all later ones, unless it is told to forget it.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    # A frozen backbone has no gradients that processes could wait for.
    uneven = DistributedDataParallelKwargs(find_unused_parameters=train.freeze_backbone_epochs > 0)
    try:
        return Accelerator(
            cpu=not torch.accelerator.is_available(),
            kwargs_handlers=[uneven],
            mixed_precision="no" if train.precision == "float32" else train.precision,
            dataloader_config=DataLoaderConfiguration(split_batches=True, even_batches=False),
        )
    except ValueError as error:
        raise UsageError(f"train.precision '{train.precision}' does not work on this machine: {error}") from None


class Trainer:
    """One fold's training: what `fit` needs from epoch to epoch, and how it is saved."""

    def __init__(
        self, task: Task, train_truth: GroundTruth, pack: ImageCache, accelerator: Accelerator, seed: int
    ) -> None:
        train = task.settings.train
        self.task, self.accelerator, self.seed = task, accelerator, seed
        set_seed(seed)
        model = task.build_model().to(memory_format=torch.channels_last)  # faster on CPU and on tensor cores
        model = with_shared_statistics(model, accelerator)
        batch_size = _batch_size(train, len(train_truth.images), accelerator.num_processes)
        self.sampler = EpochSampler(task.strata(train_truth), seed, balanced=train.sampler == "balanced")
        loader = DataLoader(
            task.build_dataset(pack, train_truth, train=True),
            batch_size=batch_size,
            sampler=self.sampler,
            collate_fn=task.collate,
            num_workers=train.num_workers,
            persistent_workers=train.num_workers > 0,
            pin_memory=accelerator.device.type == "cuda",
            drop_last=len(train_truth.images) > batch_size,
        )
        self.model: nn.Module
        self.optimizer: optim.Optimizer
        self.model, self.optimizer, self.loader = accelerator.prepare(model, build_optimizer(model, train), loader)
        bare = accelerator.unwrap_model(self.model)
        self.average = ModelEma(bare, train.ema_decay) if train.ema_decay else None
        self.layers = LayerStats(bare) if train.log_layer_stats else None

    @property
    def judged(self) -> nn.Module:
        """The model that is validated and kept: the average of the weights if there is one."""
        return self.average.model if self.average else self.accelerator.unwrap_model(self.model)

    def epoch(self, progress: TrainState) -> dict[str, float]:
        """Train one epoch; random numbers drawn inside depend on seed and epoch alone."""
        train, done = self.task.settings.train, len(progress.history)
        set_seed(self.seed + 100_003 * (done + 1))
        self.sampler.epoch = done
        scores = progress.scores
        return train_one_epoch(
            self.task,
            self.model,
            self.loader,
            self.optimizer,
            lambda epoch: lr_at(train, epoch, scores),
            self.average,
            self.accelerator,
            done,
            self.layers,
        )

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch starts from."""
        average = self.average
        return {
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": {"model": average.model.state_dict(), "updates": average.updates} if average else {},
            "scaler": scaler.state_dict() if (scaler := self.accelerator.scaler) else {},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.model.load_state_dict(state["average"]["model"])
            self.average.updates = state["average"]["updates"]
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def with_shared_statistics(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Let batch norms average over the images of all processes; torch can do so on CUDA alone."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return model
    synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return synced


def _batch_size(train: TrainConfig, images: int, processes: int) -> int:
    """Images of a step over all processes, each of which has the same number; raise UsageError if that is none."""
    size = min(train.batch_size, images)
    if size < processes:
        raise UsageError(f"A step has {size} training images, too few for {processes} processes; start fewer.")
    return size - size % processes


def fit(
    task: Task,
    pack: ImageCache,
    train_truth: GroundTruth,
    val_truth: GroundTruth,
    seed: int,
    checkpoint: Checkpoint | None = None,
    on_epoch: EpochDone = lambda row: None,
) -> TrainedFold:
    """Train one fold and return its best weights by validation score.

    Device and precision are those of the task's own settings; what was trained is released in the end.

    Args:
        task: model, data, loss and score.
        pack: images at training size.
        train_truth: what is trained on.
        val_truth: what is validated on.
        seed: of weights, order, augmentation and dropout.
        checkpoint: where state is saved after every epoch and resumed from; None keeps the best in memory.
        on_epoch: called with each new history row, and with the last one of a resumed training; may raise to stop (a
            pruned trial).
    """
    with _released(make_accelerator(task.settings.train)) as accelerator:
        return _fit(task, pack, train_truth, val_truth, accelerator, seed, checkpoint, on_epoch)


@contextmanager
def _released(accelerator: Accelerator) -> Iterator[Accelerator]:
    """Let go of the models, optimizers and loaders that were prepared, with their workers, when the block ends."""
    try:
        yield accelerator
    finally:
        accelerator.free_memory()


def _fit(
    task: Task,
    pack: ImageCache,
    train_truth: GroundTruth,
    val_truth: GroundTruth,
    accelerator: Accelerator,
    seed: int,
    checkpoint: Checkpoint | None,
    on_epoch: EpochDone,
) -> TrainedFold:
    """Train by an accelerator of its own; see `fit`."""
    train = task.settings.train
    fold = Trainer(task, train_truth, pack, accelerator, seed)
    progress = TrainState()
    best: State = {}
    if checkpoint and (saved := checkpoint.load()):
        progress = saved[0]
        fold.load(saved[1])
        on_epoch(progress.history[-1])  # a kill may have come between the two
        best = checkpoint.load_best(progress) if progress.best_epoch else {}
    while not (progress.finished or len(progress.history) >= train.epochs):
        row = {"epoch": float(len(progress.history) + 1), **fold.epoch(progress)}
        progress.history.append(row)
        if row["epoch"] % train.val_interval == 0 or row["epoch"] == train.epochs:
            row["score"] = validate(task, fold.judged, val_truth, pack, accelerator)
            if progress.find_best() == row["epoch"]:
                progress.best_epoch, progress.best_score = int(row["epoch"]), row["score"]
                best = {name: value.detach().cpu().clone() for name, value in fold.judged.state_dict().items()}
                if checkpoint and accelerator.is_main_process:
                    progress.best_sha256 = checkpoint.save_best(int(row["epoch"]), best)
        progress.finished = _out_of_patience(progress, train)
        if checkpoint and accelerator.is_main_process:
            checkpoint.save(progress, **fold.state())
        accelerator.wait_for_everyone()
        on_epoch(row)
    return TrainedFold(best, progress)


def validate(task: Task, model: nn.Module, truth: GroundTruth, pack: ImageCache, accelerator: Accelerator) -> float:
    """The task's score of a model on these images, in one plain view."""
    predictions = predict(task, model, truth, pack, accelerator, batch_size=task.settings.train.batch_size)
    return task.score(truth, task.postprocess(predictions, ignore_classes=truth.ignore_classes))


def _out_of_patience(progress: TrainState, train: TrainConfig) -> bool:
    if train.early_stopping_patience is None:
        return False
    scores = progress.scores
    best = max(range(len(scores)), key=scores.__getitem__, default=0)
    return len(scores) - 1 - best >= train.early_stopping_patience
