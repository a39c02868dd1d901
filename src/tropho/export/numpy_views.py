"""Test-time views of one image and selection of detections in NumPy, as boxes.tta and models.heads do in torch."""

import numpy as np
from PIL import Image

from tropho.boxes.box_ops import Floats, nms
from tropho.config.model_config import ModelConfig
from tropho.config.predict_config import parse_view
from tropho.orientation import INVERSE, SYMMETRIES, turn_boxes, turn_image

CANDIDATES = 2000
"""Boxes that enter non-maximum suppression; equal to models.heads.CANDIDATES."""

MIN_SIDE = 0.01
"""Pixels; boxes that are no wider or no higher are dropped, as by models.heads.has_area."""


def pad_image(image: np.ndarray, stride: int, square: bool = False) -> np.ndarray:
    """Pad (h, w, 3) with black at the right and bottom to multiples of `stride`, or to a square of them."""
    height, width = (-(-side // stride) * stride for side in image.shape[:2])
    if square:
        height = width = max(height, width)
    return np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)))


def view_image(image: np.ndarray, view: str, stride: int = 1) -> np.ndarray:
    """Resize (h, w, 3) uint8, pad it to multiples of `stride`, then flip or rotate it; see boxes.tta.view_images."""
    symmetry, scale = parse_view(view)
    if scale != 1.0:
        image = pad_image(_resize(image, _scaled(image.shape[:2], scale)), stride)
    return turn_image(image, symmetry)


def invert_boxes(boxes: Floats, view: str, height: int, width: int, stride: int = 1) -> Floats:
    """Map boxes (n, 4) xyxy from pixels of a view to pixels of the image of `height` x `width`."""
    symmetry, scale = parse_view(view)
    full, factors = (height, width), (1.0, 1.0)
    if scale != 1.0:
        resized = _scaled(full, scale)
        factors = (resized[1] / width, resized[0] / height)
        full = (-(-resized[0] // stride) * stride, -(-resized[1] // stride) * stride)
    seen_height, seen_width = full[::-1] if SYMMETRIES[symmetry][0] else full
    return turn_boxes(boxes, INVERSE[symmetry], seen_width, seen_height) / np.tile(factors, 2)


def decode_detections(
    scores: np.ndarray, boxes: np.ndarray, size: tuple[int, int], model: ModelConfig
) -> dict[str, np.ndarray]:
    """Select an image's detections by score threshold, clipping, class-wise NMS and top k.

    Args:
        scores: (N, classes) float32 in 0..1.
        boxes: (N, 4) xyxy pixels, shared by the classes.
        size: height and width that boxes are clipped to.
        model: gives score_threshold, nms_iou_threshold and max_detections.

    Returns:
        "boxes" (n, 4), "scores" (n,) descending, "labels" (n,) int64.
    """
    flat = scores.ravel()  # (N * classes,)
    idx = np.flatnonzero(flat >= np.float32(model.score_threshold))
    idx = idx[np.argsort(-flat[idx], kind="stable")][:CANDIDATES]
    labels = idx % scores.shape[1]
    clipped = boxes[idx // scores.shape[1]].clip(0, np.tile(size[::-1], 2)).astype(np.float64)
    large = np.flatnonzero((clipped[:, 2:] - clipped[:, :2] > MIN_SIDE).all(axis=1))
    idx, labels, clipped = idx[large], labels[large], clipped[large]
    keep, kept_scores = nms(clipped, flat[idx].astype(np.float64), labels, model.nms_iou_threshold)
    keep, kept_scores = keep[: model.max_detections], kept_scores[: model.max_detections]
    return {"boxes": clipped[keep], "scores": kept_scores, "labels": labels[keep]}


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w, 3) uint8 to height and width; in floats Pillow's filter is that of torch with antialias."""
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR))
        for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack(channels, axis=2).round().clip(0, 255).astype(np.uint8)
