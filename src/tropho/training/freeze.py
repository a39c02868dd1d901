"""A backbone held fixed while what is new on top of it learns (fine-tuning in two phases)."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tropho.models.backbone import stage_of


def set_backbone_frozen(model: nn.Module, frozen: bool) -> None:
    """Hold the backbone's weights, and the statistics of its batch norms, or let them go again.

    To be called after `model.train()`, which sets every norm to follow its batches. A model without a backbone is
    left alone.
    """
    for name, parameter in model.named_parameters():
        if stage_of(name) is not None:
            parameter.requires_grad_(not frozen)
            if frozen:
                parameter.grad = None  # what was left by an earlier step would be applied again
    for name, layer in model.named_modules():
        if frozen and isinstance(layer, _BatchNorm) and stage_of(f"{name}.") is not None:
            layer.eval()
