"""Device, precision and processes of a training."""

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from tropho.config.train_config import TrainConfig
from tropho.errors import UsageError
from tropho.models.detector import Detector
from tropho.models.device_limits import resolve_precision
from tropho.models.hf_detr import HFDetector


def this_process() -> PartialState:
    """Return this process's rank among those that torchrun or `accelerate launch` started."""
    # Without cpu=True accelerate waits for a GPU and takes each process for the only one.
    return PartialState(cpu=not torch.accelerator.is_available())


def make_accelerator(train: TrainConfig) -> Accelerator:
    """Make the accelerator of one model; a batch of its loaders is divided among all processes.

    Raises:
        UsageError: the machine can't compute in `train.precision`.
    """
    # accelerate keeps the precision of the process's first accelerator unless its state is reset.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    # A frozen backbone has no gradients to wait for.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=train.freeze_backbone_epochs > 0)
    device = this_process().device
    precision = resolve_precision(train.precision, device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, as cuDNN's convolutions have it by default
    try:
        return Accelerator(
            cpu=not torch.accelerator.is_available(),
            kwargs_handlers=[ddp],
            mixed_precision="no" if precision == "float32" else precision,
            dataloader_config=DataLoaderConfiguration(split_batches=True, even_batches=False),
        )
    except ValueError as error:
        raise UsageError(f"train.precision '{train.precision}' does not work on this machine: {error}") from None


def sync_batch_norms(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Let batch norms average over the images of all processes, which torch can do on CUDA alone."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return model
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def compile_layers(model: nn.Module) -> None:
    """Compile the layers that cost most, in place: a detector's pyramid or backbone, or the whole classifier.

    Losses and the selection of boxes depend on values, which a compiler can't see.
    """
    if isinstance(model, HFDetector):
        layers = model.body
    else:
        layers = model.pyramid if isinstance(model, Detector) else getattr(model, "network", model)
    layers.compile()


def explain_compiler(error: Exception) -> None:
    """Raise UsageError if an error is of torch.compile, such as for want of a C++ compiler."""
    if type(error).__module__ in ("torch._dynamo.exc", "torch._inductor.exc"):
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"train.compile does not work on this machine ({reason}); set it to false.") from error
