"""Fit `train.batch_size: auto` to the memory of the GPU."""

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.errors import UsageError
from tropho.files import read_json, write_json
from tropho.images.cache import ImageCache
from tropho.log import info
from tropho.models.device_limits import free_memory, is_out_of_memory
from tropho.tasks import build_task
from tropho.tasks.base import Task
from tropho.training.devices import make_accelerator
from tropho.training.micro_batches import add_gradients
from tropho.training.optim import build_optimizer

MAX_IMAGES = 128  # a step; more would mean too few steps an epoch
CPU_IMAGES = 32  # a step on a CPU, which has no memory of its own and gains nothing by larger batches
MAX_SHARE = 0.9  # of the GPU's memory; batches of larger images need more than the one that is tried


def with_batch_size(settings: TaskConfig, data: TaskData, file: Path | None = None) -> TaskConfig:
    """Replace `train.batch_size: auto` by a number of images; any other batch size stays.

    The file, if any, keeps the number for a training that is resumed.

    Raises:
        UsageError: several processes train one model.
    """
    if settings.train.batch_size != "auto":
        return settings
    if file and file.exists():
        size = int(read_json(file)["batch_size"])
    else:
        gt = data.train_val(min(data.folds))[0]
        accelerator = make_accelerator(settings.train)
        if accelerator.num_processes > 1:
            raise UsageError("train.batch_size 'auto' is for one process; give the number of images a step.")
        size = min(CPU_IMAGES, len(gt.images))
        if accelerator.device.type != "cpu":
            size = largest_batch(build_task(settings, data.classes), data.cache, gt, accelerator)
            free_memory()
        info(f"train.batch_size auto: {size} images a step on {accelerator.device}")
        if file:
            write_json(file, {"batch_size": size})
    return settings.model_copy(update={"train": settings.train.model_copy(update={"batch_size": size})})


def largest_batch(task: Task, cache: ImageCache, gt: GroundTruth, accelerator: Accelerator) -> int:
    """Double a batch from one image until a training step does not fit the memory; return the last that does."""
    settings = task.settings.train
    set_seed(settings.seed)
    model = task.build_model().to(accelerator.device).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, settings)
    dataset, limit = task.build_dataset(cache, gt, train=True), min(MAX_IMAGES, len(gt.images))

    def fits(n_images: int) -> bool:
        batch = task.collate([dataset[0, idx, 0] for idx in range(n_images)])
        try:
            batch["images"] = batch["images"].to(accelerator.device)
            add_gradients(task, model, batch, accelerator)
            optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            optimizer.zero_grad()
        return _peak_share(accelerator.device) <= MAX_SHARE

    size = 1
    while size < limit and fits(min(2 * size, limit)):
        size = min(2 * size, limit)
    return size


def _peak_share(device: torch.device) -> float:
    """Return the share of the GPU's memory that was used at most; 0 on other devices."""
    if device.type != "cuda":
        return 0.0
    return torch.cuda.max_memory_reserved(device) / torch.cuda.get_device_properties(device).total_memory
