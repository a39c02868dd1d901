"""What processes that train together share, beside the gradients that are averaged over them."""

import torch
from torch import Tensor, distributed


def mean_over_processes(value: Tensor, least: float = 0.0) -> Tensor:
    """Average a scalar over the processes that train together; in one process it is just that scalar.

    A process that divides its part of a loss by the mean count of positives, not by its own, has gradients whose
    mean over the processes is the gradient of the whole batch. Every process must call this.

    Args:
        value: () of any type.
        least: what the sum over all processes is at least.

    Returns:
        () float32, without a gradient.
    """
    total, count = value.detach().to(torch.float32, copy=True), 1
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        count = distributed.get_world_size()
    return total.clamp(min=least) / count
