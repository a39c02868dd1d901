import pytest

from tropho.models import rt_detr_weights

TINY = (
    {"layer_type": "basic", "embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    {
        "encoder_in_channels": [16, 32, 32],
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 32,
        "encoder_attention_heads": 4,
        "decoder_in_channels": [32, 32, 32],
        "d_model": 32,
        "decoder_ffn_dim": 32,
        "decoder_attention_heads": 4,
        "decoder_layers": 2,
        "hidden_expansion": 0.5,
        "num_denoising": 8,
    },
)


@pytest.fixture
def tiny_rt_detr(monkeypatch):
    """RT-DETR on a resnet18 with few and narrow layers."""
    monkeypatch.setitem(rt_detr_weights.ARCHITECTURES, "resnet18", TINY)
