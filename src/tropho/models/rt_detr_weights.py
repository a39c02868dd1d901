"""RT-DETR's networks on ResNet-vd backbones as transformers builds them, and their COCO weights from the Hub."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tropho.config.model_config import ModelConfig
from tropho.errors import ExternalError, UsageError
from tropho.models.heads import PRIOR

if TYPE_CHECKING:
    from transformers import RTDetrConfig, RTDetrForObjectDetection

BASIC: dict[str, Any] = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}
NARROW: dict[str, Any] = {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5}
WIDE: dict[str, Any] = {"encoder_hidden_dim": 384, "encoder_ffn_dim": 2048, "decoder_in_channels": [384, 384, 384]}

ARCHITECTURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "resnet18": ({**BASIC, "depths": [2, 2, 2, 2]}, {**NARROW, "decoder_layers": 3}),
    "resnet34": ({**BASIC, "depths": [3, 4, 6, 3]}, {**NARROW, "decoder_layers": 4}),
    "resnet50": ({}, {}),
    "resnet101": ({"depths": [3, 4, 23, 3]}, WIDE),
}
"""What the published networks of a backbone change in transformers' defaults: of its ResNet, and of the rest."""

REPOSITORIES = {name: f"PekingU/rtdetr_r{name.removeprefix('resnet')}vd" for name in ARCHITECTURES}
"""Where their authors publish the weights (Apache-2.0)."""

OF_CLASSES = ("class_embed", "enc_score_head", "denoising_class_embed")
"""Layers whose shape depends on the number of classes; they always start from new weights."""


def rt_detr_network(model: ModelConfig, classes: int) -> "RTDetrForObjectDetection":
    """A network with fresh weights by torch's global seed, or with COCO's but for the layers of the classes.

    Raises:
        UsageError: transformers is not installed.
        ExternalError: with `pretrained`, that COCO's weights are neither in the cache nor can be fetched, or are
            another network's.
    """
    try:
        from transformers import RTDetrForObjectDetection
    except ImportError as error:
        raise UsageError("model.name rt_detr needs transformers; run `pip install 'tropho[rtdetr]'`.") from error
    config = _config(model, classes)
    if model.pretrained:
        return _load_coco(config, REPOSITORIES[model.backbone])
    network = RTDetrForObjectDetection(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # transformers starts those of the encoder near 0
            nn.init.ones_(module.weight)
    return network


def _config(model: ModelConfig, classes: int) -> "RTDetrConfig":
    from transformers import RTDetrConfig, RTDetrResNetConfig

    backbone, rest = ARCHITECTURES[model.backbone]
    return RTDetrConfig(
        backbone_config=RTDetrResNetConfig(**backbone, out_indices=[2, 3, 4]),
        freeze_backbone_batch_norms=model.norm == "frozen",
        num_labels=classes,
        initializer_bias_prior_prob=PRIOR,
        **rest,
    )


def _load_coco(config: "RTDetrConfig", repository: str) -> "RTDetrForObjectDetection":
    from transformers import RTDetrForObjectDetection

    network, info = RTDetrForObjectDetection.from_pretrained(
        _fetch(repository), config=config, ignore_mismatched_sizes=True, output_loading_info=True, dtype=torch.float32
    )
    foreign = {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}
    if any(not any(layer in key for layer in OF_CLASSES) for key in foreign):
        raise ExternalError(f"The weights of {repository} are not those of its network; set model.pretrained to false.")
    return network


def _fetch(repository: str) -> Path:
    """The folder of a repository's files, from the Hub or its cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    # Read now, not when the client was imported.
    where = {"endpoint": os.environ.get("HF_ENDPOINT") or None, "cache_dir": os.environ.get("HF_HUB_CACHE") or None}
    wanted = ["config.json", "model.safetensors"]
    try:
        folder = snapshot_download(
            repository, allow_patterns=wanted, token=os.environ.get("HF_TOKEN") or False, **where
        )
    except (HfHubHTTPError, HTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ExternalError(
            f"The COCO weights of {repository} can't be fetched ({reason}); connect to the internet, "
            "set HF_ENDPOINT to a mirror, or set model.pretrained to false."
        ) from error
    return Path(folder)
