"""Write trained networks as ONNX graphs, compare them with the networks, and add what prediction needs beside them."""

import json
import logging
import os
import shutil
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import tropho
from tropho.config.model_config import HF_DETR, STRIDE, Checkpoint, ModelConfig
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.export.onnx_predictor import MODEL, open_session
from tropho.files import atomic_folder, atomic_path, write_json
from tropho.inference.ensemble import FILE, Ensemble, ensemble_record
from tropho.inference.predictor import Predictor
from tropho.inference.trained_folds import CONFIG
from tropho.models.classifier import NegativeClassifier
from tropho.models.detector import Detector
from tropho.models.hf_detr import HFDetector, padded_size

OPSET = 18
"""Version of ONNX's operators, from 2022; ONNX Runtime 1.14 and newer run it."""

INPUT = "images"
"""Name of the graph's input: uint8 (batch, 3, height, width) RGB."""

DYNAMIC_CLASSIFIERS = ("resnet", "negative_classifier")
FIXED_CLASSIFIERS = ("mlp", "lenet")
DYNAMIC_DETECTORS = ("fcos", "torchvision_fcos")
EXPORTABLE = (*DYNAMIC_CLASSIFIERS, *FIXED_CLASSIFIERS, *DYNAMIC_DETECTORS, HF_DETR)
"""Values of model.name; the graph of a dynamic one takes images of any size."""

NO_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"
"""transformers' own switch of checks of shapes in its networks, for which torch knows no operator of ONNX."""

TOLERANCE = 1e-4
"""Largest difference of a score, or of a box in shares of the image's side, between a network and its graph."""


class Graph(nn.Module):
    """A network with the outputs `names`, which are selected and fused outside of it.

    Of a classifier: probabilities (B, classes); of a negative one P(any object) (B,). Of a detector: scores (B, N,
    classes) and boxes (B, N, 4) xyxy, pixels.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.names = model, ["probabilities"]
        if isinstance(model, NegativeClassifier):
            self.model, self.names = model.network, ["p_object"]
        elif isinstance(model, Detector | HFDetector):
            self.names = ["scores", "boxes"]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.model, Detector | HFDetector):
            return self.model.decode(images)
        logits = self.model(images)
        return (logits.squeeze(1).sigmoid() if self.names == ["p_object"] else logits.softmax(dim=1),)

    def side(self, size: int) -> int:
        """Return the side of images, pixels, that it takes where their sizes are up to `size`."""
        if not isinstance(self.model, HFDetector):
            return size
        side = -(-size // STRIDE) * STRIDE
        return padded_size(side, side, self.model.network.config)[0]


def graph_of(model: nn.Module, config: ModelConfig) -> Graph:
    """Wrap a network in the outputs that are exported.

    Raises:
        UsageError: networks of that kind can't be exported.
    """
    if config.name not in EXPORTABLE:
        raise UsageError(
            f"A '{config.name}' can't be exported to ONNX; models that can are {', '.join(EXPORTABLE)} (model.name)."
        )
    return Graph(model).eval()


def is_dynamic(config: ModelConfig) -> bool:
    """Tell whether a model's graph takes images of any size."""
    return config.name in DYNAMIC_CLASSIFIERS + DYNAMIC_DETECTORS


def write_onnx(graph: Graph, config: ModelConfig, size: int, path: Path, metadata: dict[str, Any]) -> None:
    """Write the ONNX file of a network; height and width are free if `is_dynamic`, the batch but for `hf_detr`.

    Args:
        graph: on the CPU.
        config: of the model.
        size: side of the images, pixels, if it is fixed.
        path: of the file.
        metadata: JSON-like values that are stored in the file.

    Raises:
        UsageError: the package onnx or onnxscript is not installed, or torch can't export a network of transformers.
    """
    _check_packages()
    try:
        program = _export(graph, config, size)
    except Exception as error:  # torch raises many types of its own
        if not isinstance(config.checkpoint, Checkpoint):
            raise
        architecture = f"{config.checkpoint.network.get('model_type')} of '{config.checkpoint.name}'"
        raise UsageError(
            f"torch can't export the {architecture} to ONNX ({type(error).__name__}); predict with the trained models."
        ) from error
    _name_axes(program.model.graph)
    program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    with atomic_path(path) as temporary:
        program.save(temporary)


def _export(graph: Graph, config: ModelConfig, size: int) -> Any:
    """Trace a network without the messages of the libraries."""
    images = example_images(size if not is_dynamic(config) else 4 * STRIDE, is_dynamic(config))
    images = images[:1] if config.name == HF_DETR else images
    os.environ[NO_CHECKS] = "1"
    with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (torch.from_numpy(images),),
            dynamo=True,
            dynamic_shapes=[_free_axes(config)],
            input_names=[INPUT],
            output_names=graph.names,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program


def example_images(size: int, oblong: bool) -> np.ndarray:
    """Draw two images (2, 3, size, size) uint8, or of one and a half times the height, equal in every call."""
    height = size // 2 * 3 // STRIDE * STRIDE if oblong else size
    return np.random.default_rng(0).integers(0, 256, (2, 3, height, size), dtype=np.uint8)


def largest_difference(graph: Graph, config: ModelConfig, size: int, session: Any) -> dict[str, float]:
    """Compare a graph with its network on one image that differs in size from the example that it was traced with.

    Args:
        graph: the network.
        config: of the model.
        size: side of the images, pixels.
        session: onnxruntime.InferenceSession of the graph.

    Returns: by output the largest absolute difference; that of boxes is in shares of the image's side.
    """
    side = -(-size // STRIDE) * STRIDE if is_dynamic(config) else size
    images = example_images(side, False)[:1]
    with torch.inference_mode():
        expected = graph(torch.from_numpy(images))
    found = session.run(None, {INPUT: images})
    if config.name == HF_DETR:
        found = in_order_of([tensor.numpy() for tensor in expected], found, side)
    unit = {"boxes": float(side)}
    return {
        name: float(np.abs(value - tensor.numpy()).max()) / unit.get(name, 1.0)
        for name, value, tensor in zip(graph.names, found, expected, strict=True)
    }


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


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise UsageError("Exporting needs packages that are not installed; run `pip install -e '.[onnx]'`.") from None


def _free_axes(config: ModelConfig) -> dict[int, Any]:
    """Return the axes of the images that may have any length: those of a detector are multiples of STRIDE."""
    if config.name == HF_DETR:  # its code takes the batch size as a constant
        return {}
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if config.name in DYNAMIC_DETECTORS:
        rows, columns = (torch.export.Dim(name, min=1) for name in ("rows", "columns"))
        return axes | {2: STRIDE * rows, 3: STRIDE * columns}
    if is_dynamic(config):
        return axes | {2: torch.export.Dim("height", min=STRIDE), 3: torch.export.Dim("width", min=STRIDE)}
    return axes


def _name_axes(graph: Any) -> None:
    """Give the free axes names that a person can read, where torch gives formulas."""
    import onnx_ir

    names = {0: "batch", 1: "positions", 2: "height", 3: "width"}
    for value in [*graph.inputs, *graph.outputs]:
        sides = [side if isinstance(side, int) else names[axis] for axis, side in enumerate(value.shape)]
        value.shape = onnx_ir.Shape(sides)


def export_ensemble(
    ensemble: Ensemble,
    settings: TaskConfig,
    folds: dict[str, dict[int, Path]],
    thresholds: dict[str, Any] | None,
    folder: Path,
) -> dict[str, float]:
    """Write ensemble.json, and model.onnx and config.yaml of each fold, into a new folder.

    Args:
        ensemble: trained models on the CPU.
        settings: present ones.
        folds: folder of each trained fold, by member and fold, in the order of `ensemble.members`.
        thresholds: content of thresholds.json; None where nothing was evaluated.
        folder: replaced whole.

    Returns:
        The largest difference between networks and graphs, by output; see `largest_difference`.

    Raises:
        UsageError: a model or a setting of prediction can't be exported, or packages are missing.
        DataError: a graph does not compute what its network does.
    """
    _check_settings(ensemble)
    differences: dict[str, float] = {}
    members: dict[str, list[str]] = {name: [] for name in folds}
    with atomic_folder(folder) as temporary:
        for name, predictors in ensemble.members.items():
            for (number, trained), predictor in zip(folds[name].items(), predictors, strict=True):
                place = f"fold{number}" if name == next(iter(folds)) else f"{name}/fold{number}"
                (temporary / place).mkdir(parents=True)
                shutil.copyfile(trained / CONFIG, temporary / place / CONFIG)
                assert isinstance(predictor, Predictor)
                for key, value in _export_fold(predictor, temporary / place / MODEL).items():
                    differences[key] = max(value, differences.get(key, 0.0))
                members[name].append(place)
        record = ensemble_record(members, settings, ensemble.params, ensemble.findings)
        write_json(temporary / FILE, {**record, "thresholds": thresholds, "tropho": tropho.__version__, "opset": OPSET})
    return differences


def _export_fold(predictor: Predictor, path: Path) -> dict[str, float]:
    task = predictor.task
    config, size = task.settings.model, task.settings.augment.image_size
    graph = graph_of(predictor.model.float(), config)
    size = graph.side(size)
    classes = ["any object"] if "p_object" in graph.names else task.classes
    write_onnx(graph, config, size, path, {"task": task.settings.name, "classes": classes, "image_size": size})
    differences = largest_difference(graph, config, size, open_session(path))
    wrong = [name for name, value in differences.items() if not value <= TOLERANCE]
    if wrong:
        raise DataError(
            f"The ONNX graph of {task.settings.name} differs from its network by {differences[wrong[0]]:.1e} in "
            f"{wrong[0]}, more than {TOLERANCE:g}; use the trained models, and please report this."
        )
    return differences


def _check_settings(ensemble: Ensemble) -> None:
    """Refuse what the prediction of exported models lacks."""
    for predictors in ensemble.members.values():
        settings: TaskConfig = predictors[0].task.settings
        if settings.predict.tile_size is not None:
            raise UsageError(
                "Exported models predict whole images, and predict.tile_size asks for tiles; set it to null and run "
                f"`tropho evaluate {settings.name}`."
            )
        if settings.predict.has_scaled_view and not is_dynamic(settings.model):
            raise UsageError(
                f"An exported '{settings.model.name}' takes images of one size; leave scales out of predict.tta and "
                f"run `tropho evaluate {settings.name}`."
            )
