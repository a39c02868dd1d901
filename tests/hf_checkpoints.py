"""Small checkpoints of transformers' detectors, in the files and with the names of those that are published."""

from pathlib import Path
from typing import Any

import torch

WIDTH = 32
"""Of every layer."""
BACKBONE = {"hidden_sizes": [16, 16, WIDTH, WIDTH], "depths": [1, 1, 1, 1], "out_indices": [2, 3, 4]}
RT_DETR = {
    "encoder_in_channels": [16, WIDTH, WIDTH],
    "encoder_hidden_dim": WIDTH,
    "encoder_ffn_dim": WIDTH,
    "encoder_attention_heads": 4,
    "decoder_in_channels": [WIDTH] * 3,
    "d_model": WIDTH,
    "decoder_ffn_dim": WIDTH,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
    "hidden_expansion": 0.5,
    "num_denoising": 8,
    "num_queries": 20,
}
LW_DETR = {
    "d_model": WIDTH,
    "decoder_ffn_dim": WIDTH,
    "decoder_layers": 2,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
    "num_queries": 10,
    "group_detr": 2,
    "c2f_num_blocks": 1,
    "dropout": 0.0,
}
VIT = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 8,
    "out_indices": [1, 2],
}
RESNET = {"layer_type": "basic", "embedding_size": 16, **BACKBONE}
HGNET = {
    "embedding_size": 8,
    **BACKBONE,
    "stem_channels": [3, 8, 8],
    "stage_in_channels": [8, 16, 16, WIDTH],
    "stage_mid_channels": [8] * 4,
    "stage_out_channels": [16, 16, WIDTH, WIDTH],
    "stage_num_blocks": [1] * 4,
    "stage_downsample": [False, True, True, True],
    "stage_light_block": [False, False, True, True],
    "stage_kernel_size": [3] * 4,
    "stage_numb_of_layers": [1] * 4,
}

ARCHITECTURES: dict[str, tuple[int, dict[str, Any], dict[str, Any], str]] = {
    "rt_detr": (80, {"model_type": "rt_detr_resnet", **RESNET}, RT_DETR, "RTDetrImageProcessor"),
    "rt_detr_v2": (80, {"model_type": "rt_detr_resnet", **RESNET}, RT_DETR, "RTDetrImageProcessor"),
    "d_fine": (80, {"model_type": "hgnet_v2", **HGNET}, RT_DETR, "RTDetrImageProcessor"),
    "lw_detr": (
        91,
        {"model_type": "lw_detr_vit", **VIT, "pretrain_image_size": 32, "window_block_indices": [0], "num_windows": 4},
        {**LW_DETR, "projector_scale_factors": [1.0]},
        "DeformableDetrImageProcessor",
    ),
    "rf_detr": (91, {"model_type": "rf_detr_dinov2", **VIT, "num_windows": 2}, LW_DETR, "RfDetrImageProcessor"),
}
"""Architecture -> classes of its published weights, configuration of the backbone, of the rest, preprocessing."""


OTHERS: dict[str, tuple[int, dict[str, Any], dict[str, Any], str]] = {
    name: (
        91,
        {"model_type": "resnet", **RESNET, "out_indices": [4]},
        {
            "use_timm_backbone": False,
            "d_model": WIDTH,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_ffn_dim": WIDTH,
            "decoder_ffn_dim": WIDTH,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "num_queries": 10,
        },
        processor,
    )
    for name, processor in (("detr", "DetrImageProcessor"), ("conditional_detr", "ConditionalDetrImageProcessor"))
}
"""Architectures of which Tropho's code says nothing."""


def write_checkpoint(
    folder: Path, architecture: str, shard: str = "5GB", weights: bool = True, seed: int = 0, **changes: Any
) -> Any:
    """Write a checkpoint with random weights; returns its network.

    Args:
        folder: gets config.json, preprocessor_config.json and the weights.
        architecture: key of ARCHITECTURES or OTHERS.
        shard: size of a file of weights, at most.
        weights: without them there are the two configurations alone.
        seed: of the weights.
        changes: keys of the configuration.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    classes, backbone, rest, processor = (ARCHITECTURES | OTHERS)[architecture]
    names = {number: f"coco {number}" for number in range(classes)}
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    config = transformers.AutoConfig.for_model(architecture, backbone_config=backbone, **{**labels, **rest, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config.freeze_backbone_batch_norms = False
        network: Any = transformers.AutoModelForObjectDetection.from_config(config)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.data.uniform_(0.5, 1.5)
                layer.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.rand(4, 3, 64, 64))  # so that norms have the statistics of images
    config.freeze_backbone_batch_norms = True
    folder.mkdir(parents=True, exist_ok=True)
    getattr(transformers, processor)().save_pretrained(folder)
    if weights:
        network.save_pretrained(folder, max_shard_size=shard)
    else:
        config.save_pretrained(folder)
    return network


def files_of(folder: Path) -> dict[str, bytes]:
    """Read the files of a checkpoint by name, as a hub serves them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
