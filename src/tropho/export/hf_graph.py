"""A detector of transformers as an ONNX graph."""

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from tropho.config.model_config import STRIDE
from tropho.models.hf_detr import HFDetector, padded_size


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
