"""Speed, memory, resuming and repeatability of training on a GPU, without DVC and MLflow; tables as Markdown.

    python benchmarks/gpu.py                          # one GPU, under ten minutes
    python benchmarks/gpu.py --bccd ../shared/data/bccd   # and a short training on a folder of BCCD in VOC format
    python benchmarks/gpu.py --memory                 # only: memory and batch sizes, estimated from saved tensors
    python benchmarks/gpu.py --small                  # small images and networks, as on a machine without a GPU

Images are drawn at random. Columns of the first table, in images a second:

- training: `Trainer.train_one_epoch`, with its loader;
- bare training: forward, backward and optimizer on one batch that stays in the GPU's memory;
- loader: the batches of the training loader alone;
- prediction: `Trainer.validate` without the score;
- bare prediction: the network on one batch that stays in the GPU's memory.

"Data" is the time for which a step waits for its batch.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import torchvision
from torch import Tensor, nn

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData, read_task_data
from tropho.images.cache import ImageCache, write_cache
from tropho.paths import Paths
from tropho.stages import audit, augment, download, split
from tropho.tables import BOXES, conform, empty
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.checkpoint import Checkpoint
from tropho.training.data_loader import EpochSampler, make_train_loader
from tropho.training.loop import Trainer
from tropho.training.step_log import peak_memory
from tropho.training.training_fingerprint import fitted_settings

ROOT = Path(__file__).resolve().parent.parent
HAS_GPU = torch.cuda.is_available()
CARDS = (12, 16, 24, 80)
"""GiB of memory."""
CONTEXT = 1.0
"""GiB that CUDA and its libraries take, a guess."""
USABLE = 0.9
"""Share of a card's memory that is planned for."""
TRANSIENT = 1.15
"""Peak over saved tensors, for gradients of activations that live at the same time; a guess."""


@dataclass(frozen=True)
class Case:
    """A network at an image size.

    Attributes:
        name: in the tables.
        task: of params.yaml, whose settings are changed.
        changes: of its settings.
        size: longer side, pixels.
        batch_size: images a step.
        n_steps: of an epoch.
    """

    name: str
    task: str
    changes: dict[str, Any]
    size: int
    batch_size: int
    n_steps: int


def cases(small: bool, folder: Path) -> list[Case]:
    """List what is measured."""
    fcos = {"model.name": "fcos", "model.fpn_channels": 256, "model.num_head_convs": 4}
    detr = detr_changes("resnet18" if small else "resnet50", folder)
    if small:
        tiny_fcos = {"model.name": "fcos", "model.backbone": "resnet18", "model.fpn_channels": 32}
        return [
            Case("ResNet-18", "cells_demo", {"model.backbone": "resnet18"}, 32, 4, 2),
            Case("FCOS-ResNet-18", "smear_demo", tiny_fcos, 64, 2, 1),
            Case("RT-DETR-R18", "smear_demo", detr, 64, 2, 1),
        ]
    return [
        *(Case(f"ResNet-{n}", "cells_demo", {"model.backbone": f"resnet{n}"}, 224, 64, 20) for n in (18, 50)),
        *(
            Case(name, "smear_demo", {"model.backbone": "resnet50", **changes}, size, batch_size, 10)
            for name, changes in (("FCOS-ResNet-50", fcos), ("RT-DETR-R50", detr))
            for size, batch_size in ((640, 8), (1024, 4))
        ),
    ]


def detr_changes(backbone: str, folder: Path) -> dict[str, Any]:
    """Choose RT-DETR, built from its configuration alone."""
    from transformers import RTDetrConfig, RTDetrImageProcessor, RTDetrResNetConfig

    basic = {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
    narrow = {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5, "decoder_layers": 3}
    is_18 = backbone == "resnet18"
    body = RTDetrResNetConfig(**(basic if is_18 else {}), out_features=["stage2", "stage3", "stage4"])
    RTDetrConfig(backbone_config=body, **(narrow if is_18 else {})).save_pretrained(folder / backbone)
    RTDetrImageProcessor().save_pretrained(folder / backbone)
    of_folder = {"model.checkpoint": str(folder / backbone), "model.pretrained": False}
    return {"model.name": "hf_detr", "model.backbone": backbone, "train.lr": 1e-4, **of_folder}


def build(case: Case, folder: Path, precision: str, n_workers: int) -> tuple[TaskConfig, TaskData]:
    """Draw the images of a case, and complete its settings."""
    base = task_settings(case.task, load_params(ROOT / "params.yaml"))
    changes = {
        "augment.image_size": case.size,
        "train.batch_size": case.batch_size,
        "train.precision": precision,
        "train.num_workers": n_workers,
        "predict.batch_size": case.batch_size,
    }
    settings = with_overrides(base, {**changes, **case.changes})
    n_images = case.batch_size * case.n_steps
    data = draw_data(folder / f"{case.name}-{case.size}", n_images, case.size, settings.kind == "detection")
    return fitted_settings(settings, data), data


def draw_data(folder: Path, n_images: int, size: int, boxed: bool) -> TaskData:
    """Write random images with random boxes or labels, and their cache; half of them are for validation."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    names, boxes, classes = [f"{number}.jpg" for number in range(2 * n_images)], [], ["a", "b"]
    height = 3 * size // 4
    for number, name in enumerate(names):
        pixels = cv2.resize(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), (size, height))
        for _ in range(int(rng.integers(1, 15)) if boxed else 0):
            w, h = rng.integers(size // 20, size // 5, 2)
            x, y = rng.integers(0, size - w), rng.integers(0, height - h)
            boxes.append((name, classes[number % 2], x, y, x + w, y + h))
        cv2.imwrite(str(folder / name), pixels)
    labels = [pd.NA if boxed else classes[number % 2] for number in range(2 * n_images)]
    images = pd.DataFrame({"image_id": names, "path": names, "label": labels})
    write_cache(images, folder, folder / "cache", size)
    table = conform(pd.DataFrame(boxes, columns=list(BOXES)[:-1]), BOXES) if boxed else empty(BOXES)
    folds = {0: names[n_images:], 1: names[:n_images]}
    return TaskData(GroundTruth(images, table), folds, [], ImageCache(folder / "cache"), classes, "")


def finish_gpu() -> None:
    """Wait for all that the GPU has to do."""
    if HAS_GPU:
        torch.cuda.synchronize()


def seconds_of(step: Callable[[], object], n: int) -> float:
    """Return the seconds of one step, on the average over `n` of them after two that warm up."""
    for _ in range(2):
        step()
    finish_gpu()
    start = time.perf_counter()
    for _ in range(n):
        step()
    finish_gpu()
    return (time.perf_counter() - start) / n


class TimedLoader:
    """A loader that adds up the time for which its batches were waited for."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def measure(case: Case, folder: Path, precision: str, n_workers: int) -> list[str]:
    """Measure a case; return the cells of its row."""
    settings, data = build(case, folder, precision, n_workers)
    task = build_task(settings, data.classes)
    train_gt, val_gt = data.train_val(0)
    if HAS_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trainer = Trainer(task, data.cache, train_gt, val_gt, seed=0)
    device = trainer.accelerator.device
    trainer.train_one_epoch(0)  # starts workers, picks algorithms
    timed = TimedLoader(trainer.loader)
    trainer.loader = timed  # type: ignore[assignment]
    train_seconds = trainer.train_one_epoch(1)["seconds"] / case.n_steps
    memory = peak_memory(device)
    trainer.loader = timed.loader
    task.score = lambda gt, predictions: 0.0  # type: ignore[method-assign]
    predict_seconds = seconds_of(trainer.validate, 1) / len(val_gt.images)
    batch = next(iter(trainer.loader))
    bare_train = seconds_of(lambda: train_bare(trainer, task, batch), case.n_steps)
    bare_predict = seconds_of(lambda: predict_bare(trainer, task, batch), case.n_steps)
    sampler = EpochSampler(task.strata(train_gt), 0)
    loader = make_train_loader(task, data.cache, train_gt, sampler, trainer.accelerator)
    loader_seconds = seconds_of(lambda: [None for _ in loader], 1) / case.n_steps
    trainer.accelerator.free_memory()
    rates = (case.batch_size / seconds for seconds in (train_seconds, bare_train, loader_seconds))
    predicted = (1 / predict_seconds, case.batch_size / bare_predict)
    row = [case.name, f"{case.size}", f"{case.batch_size}", *(f"{rate:.1f}" for rate in (*rates, *predicted))]
    return [*row, f"{memory / 1e9:.1f}", f"{1000 * timed.seconds / case.n_steps:.0f}"]


def train_bare(trainer: Trainer, task: Task, batch: dict[str, Any]) -> None:
    """Make one step on a batch, as a loop of a few lines would."""
    trainer.model.train()
    with trainer.accelerator.autocast():
        losses = task.compute_loss(trainer.model, batch)
    trainer.optimizer.zero_grad()
    trainer.accelerator.backward(torch.stack(list(losses.values())).sum())
    trainer.optimizer.step()


@torch.inference_mode()
def predict_bare(trainer: Trainer, task: Task, batch: dict[str, Any]) -> None:
    """Predict a batch, without tables."""
    trainer.raw_model.eval()
    with trainer.accelerator.autocast():
        task.predict(trainer.raw_model, batch)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether the GPU had too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def speed_table(small: bool, folder: Path, precision: str, n_workers: int) -> None:
    """Print a row a case."""
    heads = ["network", "pixels", "batch", "training", "bare training", "loader", "prediction", "bare prediction"]
    print_row([*heads, "peak memory, GB", "data, ms a step"])
    print_row(["---"] * 10)
    for case in cases(small, folder):
        try:
            print_row(measure(case, folder, precision, n_workers))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            print_row([case.name, f"{case.size}", f"{case.batch_size}", "does not fit", *[""] * 6])


def print_row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> str:
    """Say how two state dicts differ."""
    most = max(float((first[name].double() - second[name].double()).abs().max()) for name in first)
    return "equal bit for bit" if most == 0 else f"weights differ by up to {most:.1e}"


class StoppedError(Exception):
    """Ends a training after its first epoch."""


def check_resume(small: bool, folder: Path, precision: str) -> None:
    """Train twice by one seed, and once with a stop after the first epoch; print how the weights differ."""
    for case in cases(small, folder / "again")[:2] if small else cases(small, folder / "again")[::2]:
        changes = {**case.changes, "train.epochs": 2, "train.val_interval": 2}
        named = Case(case.name, case.task, changes, min(case.size, 320), case.batch_size, min(case.n_steps, 4))
        settings, data = build(named, folder / "again", precision, 0)
        task = build_task(settings, data.classes)

        def stop(row: dict[str, float]) -> None:
            if row["epoch"] == 1:
                raise StoppedError

        def fit(checkpoint: Path | None = None, on_epoch: Callable[..., None] = lambda row: None) -> dict[str, Tensor]:
            kept = Checkpoint(checkpoint) if checkpoint else None
            return Trainer(task, data.cache, *data.train_val(0), 0, kept, on_epoch).fit().weights  # noqa: B023

        whole, again = fit(), fit()
        place = folder / f"state-{case.name}"
        try:
            fit(place, stop)
        except StoppedError:
            resumed = fit(place)
        print(f"- {case.name}: the same seed again: {difference(whole, again)}; resumed: {difference(whole, resumed)}.")


def train_bccd(source: Path, folder: Path, precision: str, n_workers: int, epochs: int) -> None:
    """Train the default detector on BCCD, and print its score on the official test."""
    changes = {
        "download.source": "local",
        "download.path": str(source.resolve()),
        "audit.format": "voc",
        "audit.classes": None,
        "audit.negative": None,
        "audit.missing_labels": "none",
        "audit.cluster_slides": False,
        "augment.image_size": 320,
        "train.epochs": epochs,
        "train.val_interval": epochs,
        "train.precision": precision,
        "train.num_workers": n_workers,
        "predict.batch_size": 8,
        "tune.trials": 0,
    }
    settings = with_overrides(task_settings("smear_demo", load_params(ROOT / "params.yaml")), changes)
    (folder / "data").mkdir()
    for stage in (download, audit, split, augment):
        stage.run(settings, folder)
    data = read_task_data(Paths(folder, settings.name)).at_size(settings.augment.image_size)
    settings = fitted_settings(settings, data)
    task = build_task(settings, data.classes)
    trained = [image_id for ids in data.folds.values() for image_id in ids]
    start = time.perf_counter()
    trainer = Trainer(task, data.cache, data.gt.subset(trained), data.gt.subset(data.test_ids), settings.train.seed)
    score = trainer.fit().state.best_score
    minutes = (time.perf_counter() - start) / 60
    print(f"BCCD, {len(trained)} training images, {epochs} epochs: mAP50 {score:.3f} on the test, {minutes:.1f} min")


@contextmanager
def counting_saved(model: nn.Module) -> Iterator[dict[int, int]]:
    """Count the bytes that autograd keeps for the backward pass, by storage; weights are left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved


def saved_bytes(settings: TaskConfig, n_images: int, side: int, dtype: torch.dtype) -> tuple[int, int]:
    """Return the bytes that a batch of square images keeps for the backward pass, and the number of weights."""
    sized = settings.model_copy(update={"augment": settings.augment.model_copy(update={"image_size": side})})
    task = build_task(sized, ["a", "b"])
    model = task.build_model().to(memory_format=torch.channels_last).train()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n_images, 3, side, side), dtype=torch.uint8, generator=generator)
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.6]]) * side
    boxed = [{"boxes": boxes, "labels": torch.tensor([0, 1])} for _ in range(n_images)]
    labelled = {"label": torch.arange(n_images) % 2, "weight": torch.ones(n_images)}
    batch = {"images": images, "targets": labelled if settings.kind == "classification" else boxed}
    with counting_saved(model) as saved, torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        losses = task.compute_loss(model, batch)
    assert losses  # the graph, and with it every saved tensor, lives until here
    return sum(saved.values()), sum(weight.numel() for weight in model.parameters())


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated memory of a training on a GPU, GiB.

    Attributes:
        fixed: weights, gradients, AdamW's two averages, the moving average of the weights, tensors that are saved
            whatever the batch, and CUDA itself.
        image: of one image of a batch.
    """

    fixed: float
    image: float

    def batch_size(self, card: float) -> int:
        """Return the images of a step that fit a card of so many GiB."""
        return max(0, int((USABLE * card - self.fixed) / self.image))


def estimate_memory(settings: TaskConfig, side: int, sides: tuple[int, int] = (256, 384)) -> MemoryEstimate:
    """Estimate the memory of a training from the tensors that autograd saves on a CPU.

    They are counted for two and four images at a small side and for two at another, and taken as a + n (b + c pixels).

    Args:
        settings: with all that is fitted to the data; its precision counts, and "auto" is bf16.
        side: of the training images, pixels; they are taken as squares.
        sides: at which tensors are counted.
    """
    dtype = torch.float32 if settings.train.precision == "float32" else torch.bfloat16
    (two, n_weights), (four, _), (larger, _) = (
        saved_bytes(settings, n_images, each, dtype) for n_images, each in ((2, sides[0]), (4, sides[0]), (2, sides[1]))
    )
    of_pixel = (larger - two) / 2 / (sides[1] ** 2 - sides[0] ** 2)
    image = (four - two) / 2 + of_pixel * (side**2 - sides[0] ** 2)
    shared = max(0, 2 * two - four)  # such as the copies of weights in bf16
    copies = 4 + bool(settings.train.ema_decay)
    return MemoryEstimate((4 * copies * n_weights + shared) / 2**30 + CONTEXT, TRANSIENT * image / 2**30)


def memory_table(small: bool, folder: Path, precision: str) -> None:
    """Print estimated memory, and the batch size for cards of several sizes."""
    print_row(["network", "pixels", "fixed, GiB", "an image, GiB", *(f"batch on {card} GB" for card in CARDS)])
    print_row(["---"] * (4 + len(CARDS)))
    for case in cases(small, folder):
        base = task_settings(case.task, load_params(ROOT / "params.yaml"))
        settings = with_overrides(base, {"train.precision": precision, **case.changes})
        if settings.model.name == "hf_detr":
            settings = build_task(settings, ["a", "b"]).fit_config(GroundTruth(pd.DataFrame(), empty(BOXES)), None)  # type: ignore[arg-type]
        found = estimate_memory(settings, case.size, (64, 96) if small else (256, 384))
        batches = [f"{found.batch_size(card)}" for card in CARDS]
        print_row([case.name, f"{case.size}", f"{found.fixed:.1f}", f"{found.image:.2f}", *batches])


def describe_machine(precision: str, n_workers: int) -> str:
    card = (
        torch.cuda.get_device_name() if HAS_GPU else f"no GPU ({platform.machine()}, {torch.get_num_threads()} threads)"
    )
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, Python {platform.python_version()}"
    return f"{card}; {versions}; precision {precision}, {n_workers} loader processes"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bccd", type=Path, help="folder of BCCD in VOC format, for a short training")
    parser.add_argument("--epochs", type=int, default=5, help="of that training")
    parser.add_argument("--memory", action="store_true", help="only estimate memory, on the CPU")
    parser.add_argument("--small", action="store_true", default=not HAS_GPU, help="small images and networks")
    parser.add_argument("--workers", type=int, default=8 if HAS_GPU else 0, help="loader processes")
    options = parser.parse_args(arguments)
    precision = "bf16" if HAS_GPU else "float32"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            print("Estimated from the tensors that autograd saves on a CPU, for square images; no GPU was used.\n")
            memory_table(False, folder, "bf16")
            return
        print(f"{describe_machine(precision, options.workers)}\n")
        speed_table(options.small, folder, precision, options.workers)
        print()
        check_resume(options.small, folder, precision)
        if options.bccd:
            train_bccd(options.bccd, folder, precision, options.workers, options.epochs)


if __name__ == "__main__":
    main()
