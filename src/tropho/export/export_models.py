"""Export all trained models of a task with what prediction needs beside them."""

import shutil
from pathlib import Path
from typing import Any

import tropho
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.export.onnx_graph import OPSET, graph_of, is_dynamic, largest_difference, write_onnx
from tropho.export.onnx_predictor import MODEL, open_session
from tropho.files import atomic_folder, write_json
from tropho.inference.ensemble import FILE, Ensemble, ensemble_record
from tropho.inference.predictor import Predictor
from tropho.inference.trained_folds import CONFIG

TOLERANCE = 1e-4
"""Largest difference of a score, or of a box in shares of the image's side, between a network and its graph."""


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
