"""A detector of transformers as an ONNX graph."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from tropho.config.model_config import STRIDE
from tropho.models.hf_detr import HFDetector, padded_size

NO_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"
"""transformers' own switch of the checks in its networks."""


@contextmanager
def without_checks() -> Iterator[None]:
    """Leave transformers' checks of shapes out of a graph, for which torch knows no operator of ONNX."""
    before = os.environ.get(NO_CHECKS)
    os.environ[NO_CHECKS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NO_CHECKS]
        else:
            os.environ[NO_CHECKS] = before


class HFDetectorGraph(nn.Module):
    """Square images of one size -> scores (B, queries, classes) and boxes (B, queries, 4) xyxy, pixels."""

    names = ("scores", "boxes")

    def __init__(self, model: HFDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        out = self.model.network(self.model.normalize(images))
        extent = torch.tensor([images.shape[3], images.shape[2]] * 2, dtype=torch.float32)
        return self.model._scores(out.logits.float()), box_convert(out.pred_boxes.float(), "cxcywh", "xyxy") * extent

    def side(self, size: int) -> int:
        """Return the side of its images, pixels, for images of up to `size` pixels that are padded to STRIDE."""
        side = -(-size // STRIDE) * STRIDE
        return padded_size(side, side, self.model.network.config)[0]


def in_order_of(expected: list[np.ndarray], found: list[np.ndarray], side: int) -> list[np.ndarray]:
    """Order the queries of a graph's outputs by the nearest of its network, since nearly equal ones may change places.

    Args:
        expected: scores (1, queries, classes) and boxes (1, queries, 4) xyxy, pixels, of the network.
        found: likewise of the graph.
        side: of the image, pixels.
    """
    reference, pred = (np.concatenate([scores[0], boxes[0] / side], axis=1) for scores, boxes in (expected, found))
    nearest = [np.abs(pred - query).max(axis=1).argmin() for query in reference]  # (queries,)
    return [output[:, nearest] for output in found]
