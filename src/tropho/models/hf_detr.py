"""Detectors of transformers (RT-DETR, D-FINE, RF-DETR, LW-DETR and others) and their losses.

The losses leave out what is not labelled and are divided by the boxes of the whole batch.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d, box_convert, box_iou

from tropho.config.model_config import STRIDE, Checkpoint, ModelConfig
from tropho.models.heads import (
    Detections,
    Losses,
    Targets,
    decode_detections,
    drop_ignored_boxes,
    is_alone,
    is_distributed,
    mean_over_processes,
)
from tropho.models.hf_checkpoint import build_network, resolve_checkpoint
from tropho.models.layers import Normalize

SQUARE = ("rf_detr_dinov2",)
"""Backbones whose windows mix up rows and columns unless images are square, as their published weights saw them."""

SOMETIMES_UNUSED = ("denoising_class_embed", "mask_token")
"""Weights that a batch may leave without a gradient: of noisy boxes where there are none, of masked pre-training."""

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


class HFDetector(nn.Module):
    """A detector of transformers, called like a `Detector`.

    Images are padded at the right and bottom until their sides are multiples that the network takes and it has a
    position for each of its queries. Noise for denoising queries comes from torch's global random generator.
    """

    def __init__(self, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        if not isinstance(model.checkpoint, Checkpoint):
            model = resolve_checkpoint(model, [str(number) for number in range(num_classes)])
        assert isinstance(model.checkpoint, Checkpoint)
        self.model = model
        self.normalize = Normalize(model.checkpoint.mean, model.checkpoint.std)
        self.network = build_network(model, num_classes)
        if model.norm == "frozen":
            _freeze_norms(self.network)
        self.network.loss_function = partial(masked_loss, self.network.loss_function)
        inside = {id(layer) for layer in self.body.modules()}
        for layer in self.network.modules():
            if id(layer) not in inside and not list(layer.children()):
                layer.register_forward_hook(_to_float32)
        names = dict(self.network.named_parameters())
        self.sometimes_unused = [name for name in names if any(part in name for part in SOMETIMES_UNUSED)]

    @property
    def body(self) -> nn.Module:
        """The backbone; the network itself where it is a single transformer."""
        from transformers.backbone_utils import BackboneMixin

        layers: Iterator[nn.Module] = self.network.modules()
        return next((layer for layer in layers if isinstance(layer, BackboneMixin)), self.network)

    def forward(self, images: Tensor, targets: Targets | None = None) -> Losses | Detections:
        """Compute the losses of a batch, or its detections; arguments and results as of `Detector.forward`."""
        height, width = padded_size(images.shape[2], images.shape[3], self.network.config)
        pixels = functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
        if targets is not None:
            extent = _extent(pixels)
            labels = [_as_label(target, extent) for target in drop_ignored_boxes(targets)]
            losses: Losses = self.network(self.normalize(pixels), labels=labels).loss_dict
            parameters = (self.network.get_parameter(name) for name in self.sometimes_unused)
            unused = sum((weights.sum() * 0.0 for weights in parameters), losses["loss_cls"].new_zeros(()))
            return {**losses, "loss_cls": losses["loss_cls"] + unused}
        return decode_detections(*self.decode(pixels), images.shape[2:], self.model)

    def decode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, queries, classes) and boxes (B, queries, 4) xyxy, pixels, of images of `padded_size`."""
        out = self.network(self.normalize(pixels))
        logits, boxes = out.logits.float(), box_convert(out.pred_boxes.float(), "cxcywh", "xyxy") * _extent(pixels)
        if logits.shape[-1] > self.network.config.num_labels:  # the first DETRs have a class more, "no object"
            return logits.softmax(dim=-1)[..., :-1], boxes
        return logits.sigmoid(), boxes


def _extent(images: Tensor) -> Tensor:
    """Return (4,) float32: width, height, width, height, pixels."""
    return torch.tensor([images.shape[3], images.shape[2]] * 2, dtype=torch.float32).to(
        images.device, non_blocking=True
    )


def padded_size(height: int, width: int, config: Any) -> tuple[int, int]:
    """Return the least height and width, pixels, that a network of this configuration of transformers can take."""
    backbone = getattr(config, "backbone_config", None)
    patch = getattr(backbone, "patch_size", None)
    # LW-DETR counts all windows of an image in num_windows, RF-DETR those along a side.
    windows = getattr(backbone, "num_windows_side", None) or getattr(backbone, "num_windows", None) or 1
    multiple = patch * windows if patch else STRIDE
    strides = getattr(config, "feat_strides", None) or []
    if patch:
        strides = [patch / scale for scale in getattr(config, "projector_scale_factors", None) or [1.0]]
    if getattr(backbone, "model_type", None) in SQUARE:
        height = width = max(height, width)
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    n_queries = config.num_queries if strides else 0
    while sum(math.floor(height / stride) * math.floor(width / stride) for stride in strides) < n_queries:
        height, width = (side + multiple if side == min(height, width) else side for side in (height, width))
    return height, width


def _freeze_norms(network: nn.Module) -> None:
    """Fix the statistics, scales and shifts of all batch norms."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(layer.num_features, layer.eps)
            frozen.load_state_dict(layer.state_dict())
            network.set_submodule(name, frozen)


def _to_float32(_layer: nn.Module, _inputs: Any, output: Any) -> Any:
    """Hand on float32: outside the backbone, boxes go through the layers, and bfloat16 is right to 4 of 1000 pixels."""
    return output.float() if isinstance(output, Tensor) and output.is_floating_point() else output


def _as_label(target: dict[str, Tensor], extent: Tensor) -> dict[str, Tensor]:
    """Express a target in transformers' terms: boxes as centre and size, in shares of the padded image."""
    label = {
        "class_labels": target["labels"],
        "boxes": box_convert(target["boxes"], "xyxy", "cxcywh") / extent,
    }
    if "ignore" in target:
        label["ignore"] = target["ignore"]
    if "regions" in target:
        label["regions"] = target["regions"] / extent
    return label
