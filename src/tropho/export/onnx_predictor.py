"""Predict images with exported models by ONNX Runtime; nothing here imports torch."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tropho.boxes.box_ops import CANDIDATES, MIN_SIDE, invert_boxes, nms, scaled_size
from tropho.config.model_config import NEGATIVE_CLASSIFIER, STRIDE, ModelConfig
from tropho.config.predict_config import parse_view
from tropho.config.task_config import TaskConfig
from tropho.errors import UsageError
from tropho.files import reading
from tropho.images.augment.policies import letterbox
from tropho.images.decode import DECODING, Decoding
from tropho.inference.ensemble import FILE, Ensemble, FoldModel, read_ensemble_record
from tropho.inference.trained_folds import read_config
from tropho.orientation import turn_image
from tropho.tasks.base import Task

MODEL = "model.onnx"
"""File of an exported fold, beside its config.yaml."""


@dataclass(frozen=True)
class OnnxPredictor(FoldModel):
    """An exported fold with its task; predicts as `inference.predictor.Predictor` does, in float32."""

    task: Task  # with the settings of prediction at the time of the export
    session: Any  # onnxruntime.InferenceSession
    decoding: Decoding = DECODING  # how files became the pixels that it was trained on

    def predict_views(self, image: np.ndarray) -> list[Any]:
        """Return the outputs of `Task.predict`, as arrays, for one image of cached size, of each test-time view."""
        padded = self._pad(image)
        return [[self._predict_view(padded, view)] for view in self.task.settings.predict.tta]

    def _pad(self, image: np.ndarray) -> np.ndarray:
        """Pad an image of cached size as the task's `collate` does."""
        settings = self.task.settings
        if settings.kind == "classification":
            return letterbox(image, np.zeros((0, 4)), settings.augment.image_size)[0]
        return pad_image(image, STRIDE, square=settings.model.name == NEGATIVE_CLASSIFIER)

    def _predict_view(self, image: np.ndarray, view: str) -> dict[str, np.ndarray]:
        """Run the graph on one view of an image (h, w, 3); return what `Task.predict` does, as arrays."""
        is_detection = self.task.settings.kind == "detection"
        seen = view_image(image, view, STRIDE if is_detection else 1)
        batch = np.ascontiguousarray(self._fill(seen).transpose(2, 0, 1)[None])  # (1, 3, H, W)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(None, {"images": batch}), strict=True))
        if not is_detection:
            return {name: value[0] for name, value in outputs.items()}
        if "p_object" in outputs:
            found = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0)}
            return found | {"presence": outputs["p_object"][0]}
        scores, boxes = outputs["scores"][0], outputs["boxes"][0]
        found = decode_detections(scores, boxes, seen.shape[:2], self.task.settings.model)
        boxes = invert_boxes(found["boxes"], view, image.shape[0], image.shape[1], STRIDE)
        return found | {"boxes": boxes, "presence": found["scores"][:1].sum()}

    def _fill(self, image: np.ndarray) -> np.ndarray:
        """Pad (h, w, 3) with black at the right and bottom to the graph's height and width, where these are fixed."""
        sides = zip(self.session.get_inputs()[0].shape[2:], image.shape[:2], strict=True)
        missing = [side - own if isinstance(side, int) else 0 for side, own in sides]
        return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else image


def load_onnx_ensemble(folder: Path) -> tuple[Ensemble, TaskConfig]:
    """Load the models that `tropho export` wrote into a folder, and the settings at that time.

    Raises:
        UsageError: there are none, or ONNX Runtime is not installed.
        DataError: a file is missing, damaged, or of another version.
    """
    if not (folder / FILE).exists():
        raise UsageError(f"{folder} holds no exported models; run `tropho export {folder.name} --to onnx`.")
    record, settings = read_ensemble_record(folder, f"export {folder.name} --to onnx")
    members = {
        name: [_load_fold(folder / fold, settings) for fold in folds] for name, folds in record["members"].items()
    }
    return Ensemble(members, record["params"], record["findings"], settings.audit.max_megapixels), settings


def open_session(path: Path) -> Any:
    """Open an ONNX file on the CPU; raise UsageError without ONNX Runtime, DataError if the file is damaged."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would send statistics of models to its maker
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("ONNX Runtime is not installed; run `pip install -e '.[onnx]'`.") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; shapes of a detector's outputs are not known before
    with reading(path):
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _load_fold(folder: Path, present: TaskConfig) -> OnnxPredictor:
    task, decoding = read_config(folder, "export")
    task.settings = task.settings.model_copy(update={"predict": present.predict})
    return OnnxPredictor(task, open_session(folder / MODEL), decoding)


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
        image = pad_image(_resize(image, scaled_size((image.shape[0], image.shape[1]), scale)), stride)
    return turn_image(image, symmetry)


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


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w, 3) uint8 to height and width; in floats Pillow's filter is that of torch with antialias."""
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR))
        for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack(channels, axis=2).round().clip(0, 255).astype(np.uint8)
