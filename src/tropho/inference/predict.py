"""Predict a data set with the folds of a model, over all processes; each image is decoded once."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tropho.boxes.tta import TtaView
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.images.cache import ImageCache
from tropho.log import track
from tropho.models.device_limits import InParts
from tropho.tasks.base import Batch, Task


def make_eval_loader(
    task: Task, gt: GroundTruth, cache: ImageCache, accelerator: Accelerator, batch_size: int, reused: bool = False
) -> DataLoader[Any]:
    """Make the loader of the images of `gt` in their order, whose batches stay on the CPU.

    The batch size is that of all processes together. Worker processes are kept from one pass to the next if `reused`.
    """
    processes, num_workers = accelerator.num_processes, task.settings.train.num_workers
    loader = DataLoader(
        task.build_dataset(cache, gt, train=False),
        batch_size=-(-batch_size // processes) * processes,  # each has the same number, at least one
        collate_fn=task.collate,
        num_workers=num_workers,
        persistent_workers=reused and num_workers > 0,
        pin_memory=accelerator.device.type == "cuda",
    )
    prepared: DataLoader[Any] = accelerator.prepare(loader, device_placement=[False])
    return prepared


@torch.inference_mode()
def predict_all(
    task: Task,
    models: Sequence[nn.Module],
    loader: DataLoader[Any],
    image_ids: list[str],
    sizes: ImageSizes,
    accelerator: Accelerator,
    views: Sequence[TtaView | None] = (None,),
    on_batch: Callable[[Batch], None] = lambda batch: None,
) -> list[list[pd.DataFrame]]:
    """Predict every image of a loader with every model and view (see `Task.predict`), over all processes.

    The models are on the accelerator's device; "index" of the batches points into `image_ids`. After its prediction
    `on_batch` is called with each batch, its images on the device.

    Returns: for each model and view, a raw prediction table in the order of `image_ids`, the same on every process.
    """
    in_parts = [InParts(model).eval() for model in models]
    passes = [(model, view) for model in in_parts for view in views]
    outputs: dict[int, list[dict[str, Tensor]]] = {}  # by image, one of each pass
    for batch in track(loader, "predict"):
        batch["images"] = batch["images"].to(accelerator.device, non_blocking=True)
        with accelerator.autocast():
            predicted = [task.predict(model, batch, view) for model, view in passes]
        outputs.update(zip(batch["index"].tolist(), map(list, zip(*predicted, strict=True)), strict=True))
        on_batch(batch)
    if accelerator.num_processes > 1:
        from accelerate.utils import gather_object

        outputs = dict(gather_object(list(outputs.items())))
    tables = [
        task.to_table([outputs[idx][number] for idx in range(len(image_ids))], image_ids, sizes)
        for number in range(len(passes))
    ]
    return [tables[start : start + len(views)] for start in range(0, len(passes), len(views))]
