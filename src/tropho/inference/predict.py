"""Predict a data set with one model, over all processes."""

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
from tropho.tasks.base import Task


def predict(
    task: Task,
    model: nn.Module,
    gt: GroundTruth,
    cache: ImageCache,
    accelerator: Accelerator,
    batch_size: int,
    view: TtaView | None = None,
) -> pd.DataFrame:
    """Predict the images of `gt`; `batch_size` is of all processes together, other arguments as for `predict_all`."""
    processes = accelerator.num_processes
    loader = DataLoader(
        task.build_dataset(cache, gt, train=False),
        batch_size=-(-batch_size // processes) * processes,  # each has the same number, at least one
        collate_fn=task.collate,
        num_workers=task.settings.train.num_workers,
    )
    image_ids = list(gt.images["image_id"])
    return predict_all(task, model, accelerator.prepare(loader), image_ids, cache, accelerator, view)


@torch.inference_mode()
def predict_all(
    task: Task,
    model: nn.Module,
    loader: DataLoader[Any],
    image_ids: list[str],
    sizes: ImageSizes,
    accelerator: Accelerator,
    view: TtaView | None = None,
) -> pd.DataFrame:
    """Predict every image of a loader, over all processes.

    Args:
        task: predicts a batch.
        model: on the accelerator's device.
        loader: batches whose "index" points into `image_ids`.
        image_ids: images of the dataset, in its order.
        sizes: of the images before and after resizing.
        accelerator: device and processes.
        view: as for `Task.predict`.

    Returns: raw prediction table in the order of `image_ids`, the same on every process.
    """
    model.eval()
    outputs: dict[int, dict[str, Tensor]] = {}
    for batch in track(loader, "predict"):
        with accelerator.autocast():
            predicted = task.predict(model, batch, view)
        outputs.update(zip(batch["index"].tolist(), predicted, strict=True))
    if accelerator.num_processes > 1:
        from accelerate.utils import gather_object

        outputs = dict(gather_object(list(outputs.items())))
    return task.to_table([outputs[idx] for idx in range(len(image_ids))], image_ids, sizes)
