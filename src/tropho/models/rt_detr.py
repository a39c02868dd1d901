"""RT-DETR (Zhao et al., 2024): queries picked from an encoder's positions, refined to boxes by a decoder."""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from tropho.config.model_config import ModelConfig
from tropho.models.heads import Detections, Losses, Targets, decode_detections
from tropho.models.losses import ignored_classes, mask_ignored
from tropho.models.rt_detr_weights import rt_detr_network

QUERIES = 300
"""Boxes an image that the decoder refines; in images with fewer positions each position is one."""


class RTDetrPyramid(nn.Module):
    """Images (B, 3, H, W) in 0..1 -> the hybrid encoder's maps of P3 to P5, finest first."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.body = network.backbone
        self.projections = network.encoder_input_proj
        self.encoder = network.encoder

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.body(images, torch.ones_like(images[:, 0]))
        projected = [project(level) for project, (level, _) in zip(self.projections, maps, strict=True)]
        return list(self.encoder(projected).last_hidden_state)


class RTDetrHead(nn.Module):
    """transformers' query selection, decoder and loss.

    Noise for the denoising queries comes from torch's global random generator, so a seed repeats a run. The
    decoder is trained to say nothing twice; `nms_iou_threshold` catches what slips through, and 1.0 leaves it as it is.
    """

    def __init__(self, model: ModelConfig, classes: int, network: Any) -> None:
        super().__init__()
        self.model = model
        self.classes = classes
        self.network = network
        for layer in network.model.decoder_input_proj:
            layer.register_forward_hook(_to_float32)

    def forward(self, features: list[Tensor], sizes: Tensor, targets: Targets | None) -> Losses | Detections:
        """Features of all levels, (B, 2) sizes to clip to, and targets when training."""
        from transformers.modeling_outputs import BaseModelOutput

        stride = 2 ** self.model.levels[0]
        height, width = (side * stride for side in features[0].shape[2:])
        extent = torch.tensor([width, height, width, height], dtype=torch.float32, device=features[0].device)
        labels = None if targets is None else [_as_labels(target, extent) for target in targets]
        self.network.config.num_queries = min(QUERIES, sum(level.shape[2] * level.shape[3] for level in features))
        encoded = BaseModelOutput(last_hidden_state=features)
        out = self.network.model(None, inputs_embeds=features[0], encoder_outputs=encoded, labels=labels)
        noised = out.denoising_meta_values["dn_num_split"][0] if out.denoising_meta_values else 0
        logits = out.intermediate_logits[:, -1, noised:].float()
        if targets is not None:
            return self._losses(out, labels, targets)
        boxes = box_convert(out.intermediate_reference_points[:, -1].float(), "cxcywh", "xyxy") * extent
        return decode_detections(logits.sigmoid(), boxes, sizes, self.model)

    def _losses(self, out: Any, labels: list[dict[str, Tensor]] | None, targets: Targets) -> dict[str, Tensor]:
        """The weighted losses of every layer, added up by kind."""
        ignored = ignored_classes(targets, self.classes)[:, None]
        logits = mask_ignored(out.intermediate_logits.float(), ignored[:, None])
        boxes = out.intermediate_reference_points.float()
        _, parts, _ = self.network.loss_function(
            logits[:, -1],
            labels,
            logits.device,
            boxes[:, -1],
            self.network.config,
            logits,
            boxes,
            enc_topk_logits=mask_ignored(out.enc_topk_logits.float(), ignored),
            enc_topk_bboxes=out.enc_topk_bboxes.float(),
            denoising_meta_values=out.denoising_meta_values,
        )
        # A batch without boxes has nothing to denoise; every weight must have a gradient on several devices.
        nothing = self.network.model.denoising_class_embed.weight.sum() * 0.0
        loss_cls = sum((value for name, value in parts.items() if "vfl" in name), nothing)
        return {"loss_cls": loss_cls, "loss_box": sum(v for name, v in parts.items() if "vfl" not in name)}


def rt_detr_parts(model: ModelConfig, classes: int) -> tuple[nn.Module, nn.Module]:
    """Build the pyramid and the head of RT-DETR.

    Raises:
        UsageError, ExternalError: see rt_detr_network.
    """
    network = rt_detr_network(model, classes)
    pyramid = RTDetrPyramid(network.model)
    # The pyramid's layers have their place there, and must not be in the state dict twice.
    network.model.backbone, network.model.encoder = nn.Identity(), nn.Identity()
    network.model.encoder_input_proj = nn.ModuleList()
    return pyramid, RTDetrHead(model, classes, network)


def _to_float32(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    """Hand the decoder maps in float32: it keeps boxes in their type, and bfloat16 is right to 4 of 1000 pixels."""
    return output.float()


def _as_labels(target: dict[str, Tensor], extent: Tensor) -> dict[str, Tensor]:
    """A target in transformers' terms: boxes as centre and size, in shares of the padded image."""
    boxes = box_convert(target["boxes"], "xyxy", "cxcywh") / extent
    return {"class_labels": target["labels"], "boxes": boxes}
