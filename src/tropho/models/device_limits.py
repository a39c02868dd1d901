"""What a device can compute and hold: its precision, and batches that fit its memory."""

import torch
from torch import Tensor, nn

from tropho.errors import UsageError
from tropho.log import info


def resolve_precision(precision: str, device: torch.device) -> str:
    """Choose the precision that `auto` stands for: bf16 or fp16 by what a GPU computes in, float32 on a CPU."""
    if precision != "auto":
        return precision
    if device.type != "cuda":
        return "float32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the device, or of the machine, is full."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, Exception) and should_reduce_batch_size(error)
    )


def free_memory() -> None:
    """Return unused memory to the device, after the references to it are gone."""
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)


class InParts(nn.Module):
    """Runs a model in evaluation mode on as many images at once as the memory holds; halves them where it is full.

    It maps images (B, 3, H, W) to a tensor or list of B outputs, each independent of the other images.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.max_images: int | None = None  # images at once, found when the memory was full; None = all

    def forward(self, images: Tensor) -> Tensor | list[dict[str, Tensor]]:
        """Return the model's outputs for all images, on its device.

        Raises:
            UsageError: the memory does not hold what one image needs.
        """
        while True:
            n_images = min(len(images), self.max_images or len(images))
            try:
                parts = [self.model(part) for part in torch.split(images, max(1, n_images))]
                return torch.cat(parts) if isinstance(parts[0], Tensor) else [out for part in parts for out in part]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if n_images <= 1:
                raise UsageError(
                    "The memory does not hold one image of {} x {} pixels in prediction; lower augment.image_size, or "
                    "set predict.tile_size.".format(*images.shape[:1:-1])
                )
            self.max_images = n_images // 2
            info(f"Out of memory: from here on at most {self.max_images} of {n_images} images are predicted at once.")
            free_memory()
