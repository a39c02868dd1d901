"""transformers' losses of DETRs, without what is not labelled and divided by the boxes of the whole batch."""

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert, box_iou

from tropho.models.losses import is_alone, is_distributed, mean_over_processes

IGNORE_LOGIT = -30.0
"""A logit whose sigmoid is nearly 0; its logarithm, which some of these losses take, is finite in float32."""
MATCH_IOU = 0.3
"""A box in an ignored region that overlaps an object by this much may be that object's, and is learned from."""

PAIRS = (
    ("logits", "pred_boxes"),
    ("outputs_class", "outputs_coord"),
    ("enc_topk_logits", "enc_topk_bboxes"),
    ("enc_outputs_class", "enc_outputs_coord"),
)
"""Names of logits and their boxes among the arguments of transformers' losses: of the last decoder layer, of all layers
with the denoising queries, of the encoder."""
BOX_LOSSES = {"bbox": "bbox_loss_coefficient", "giou": "giou_loss_coefficient", "fgl": "", "ddf": ""}
"""The parts of a loss that are about boxes, and the setting of their weight where the loss's dictionary lacks it."""

LossFunction = Callable[..., tuple[Tensor, dict[str, Tensor], Any]]


def masked_loss(loss: LossFunction, *args: Any, **kwargs: Any) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Call one of transformers' losses with logits masked where nothing is labelled, in float32.

    Masked are the logits of an image's ignored classes, and all logits of queries whose box has its centre in an
    ignored region.

    Args:
        loss: of `transformers.loss`.
        args: as the network calls it.
        kwargs: likewise; each dictionary of `labels` may hold "ignore" (classes,) bool and "regions" (m, 4) xyxy.

    Returns:
        The loss (), and its parts loss_cls and loss_box, which add up to it. NaN where one of several processes is
        `alone`, and the network is none of RT-DETR's kind.
    """
    bound = signature(loss).bind(*args, **kwargs)
    given = {**bound.arguments, **bound.arguments.get("kwargs", {})}
    given.pop("kwargs", None)
    floats = {name: each for name, each in given.items() if isinstance(each, Tensor) and each.is_floating_point()}
    given |= {name: value.float() for name, value in floats.items()}
    labels, config = given["labels"], given["config"]
    # RT-DETR and its kin stack layers behind the batch and divide by the boxes of their own process; others don't.
    is_rt_detr = "denoising_meta_values" in signature(loss).parameters
    if is_distributed() and is_alone() and not is_rt_detr:  # the others' loss would wait for all processes
        unknown = given["logits"].new_tensor(math.nan)
        return unknown, {"loss_cls": unknown, "loss_box": unknown}, None
    for logits, boxes in PAIRS:
        if isinstance(given.get(logits), Tensor):
            batch_axis = 0 if is_rt_detr or given[logits].ndim == 3 else 1
            given[logits] = _mask(given[logits], given[boxes], labels, batch_axis)
    with torch.autocast(given["logits"].device.type, enabled=False):
        total, parts, _ = loss(**given)
    n_boxes = torch.full((), sum(len(label["boxes"]) for label in labels), device=total.device)
    divided_by = n_boxes.clamp(min=1) if is_rt_detr else mean_over_processes(n_boxes).clamp(min=1)
    scale = divided_by / mean_over_processes(n_boxes, min_total=1)  # the last count is what the loss is divided by
    box = sum((_weighted(name, value, config) for name, value in parts.items()), total.new_zeros(()))
    return total * scale, {"loss_cls": (total - box) * scale, "loss_box": box * scale}, None


def _weighted(name: str, value: Tensor, config: Any) -> Tensor:
    """Return a part's share of the loss if it is about boxes, such as loss_giou_aux_0, else 0."""
    kind = name.split("_")[1]
    return value * getattr(config, BOX_LOSSES[kind], 1.0) if kind in BOX_LOSSES else value.new_zeros(())


def _mask(logits: Tensor, boxes: Tensor, labels: list[dict[str, Tensor]], batch_axis: int) -> Tensor:
    """Mask logits (..., queries, classes), of boxes (..., queries, 4) as centre and size in shares of the image."""
    masked = []
    for image_logits, image_boxes, label in zip(
        logits.unbind(batch_axis), boxes.unbind(batch_axis), labels, strict=True
    ):
        without = torch.zeros_like(image_logits, dtype=torch.bool)
        if "ignore" in label:
            no_object = image_logits.shape[-1] - len(label["ignore"])  # 1 where "no object" is a class, else 0
            without |= functional.pad(label["ignore"], (0, no_object))
        if len(label.get("regions", ())):
            without |= _in_regions(image_boxes.detach(), label)[..., None]
        masked.append(image_logits.masked_fill(without, IGNORE_LOGIT))
    return torch.stack(masked, dim=batch_axis)


def _in_regions(boxes: Tensor, label: dict[str, Tensor]) -> Tensor:
    """Tell which boxes (..., 4) have their centre in an ignored region and are no object's, (...) bool."""
    flat = boxes.flatten(0, -2)  # (n, 4)
    centre, regions = flat[:, None, :2], label["regions"]  # (n, 1, 2), (m, 4)
    inside = ((centre >= regions[:, :2]) & (centre < regions[:, 2:])).all(dim=2).any(dim=1)
    if len(label["boxes"]):
        corners = (box_convert(each, "cxcywh", "xyxy") for each in (flat, label["boxes"]))
        inside &= box_iou(*corners).amax(dim=1) < MATCH_IOU
    return inside.view(boxes.shape[:-1])
