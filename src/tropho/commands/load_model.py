"""Load the models of a task for prediction: those that were trained, or those that were exported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropho.config.load import load_task
from tropho.config.task_config import TaskConfig
from tropho.errors import DataError, UsageError
from tropho.files import read_json
from tropho.inference.ensemble import FILE, Ensemble
from tropho.paths import Paths

DEFAULT_THRESHOLD = 0.5
"""Where nothing was evaluated."""


@dataclass(frozen=True)
class LoadedModel:
    """All models of a task, ready to predict.

    Attributes:
        ensemble: the models.
        settings: present ones, or those of the export; training may have had others.
        paths: of the task; those of an exported model name no files.
        best_thresholds: score by class that `evaluate` chose; None where nothing was evaluated.
    """

    ensemble: Ensemble
    settings: TaskConfig
    paths: Paths
    best_thresholds: dict[str, float] | None

    @property
    def is_detection(self) -> bool:
        """Whether the models find boxes; others tell the class of an image."""
        return self.settings.kind == "detection"

    @property
    def classes(self) -> list[str]:
        """Names of the classes, without the negative one."""
        return self.ensemble.task.classes

    def thresholds(self, choice: str | None = None) -> dict[str, float]:
        """Return the least score of a prediction that is shown, by class.

        Args:
            choice: "best", those that `evaluate` chose; a number from 0 to 1; None takes the best if there are any.

        Raises:
            UsageError: it is neither, or nothing was evaluated.
        """
        if choice in (None, "best"):
            if choice and self.best_thresholds is None:
                raise UsageError(
                    "There are no best thresholds before the first evaluation; give a number, such as --threshold 0.5."
                )
            return {name: (self.best_thresholds or {}).get(name, DEFAULT_THRESHOLD) for name in self.classes}
        try:
            number = float(str(choice))
        except ValueError:
            number = -1.0
        if not 0 <= number <= 1:
            raise UsageError(f"--threshold is '{choice}'; it must be best or a number from 0 to 1.")
        return dict.fromkeys(self.classes, number)


def load_model(task: str, root: Path, exported: bool) -> LoadedModel:
    """Load a task's models.

    Args:
        task: name of a task; for exported models also the path of their folder.
        root: of the repository.
        exported: load what `tropho export` wrote, without torch.

    Raises:
        UsageError: there is no such task, or nothing was exported.
        DataError: the task has no trained model, or models or settings have changed since they were evaluated.
    """
    if exported:
        return _load_exported(task, root)
    settings = load_task(task, root / "params.yaml")
    return load_trained(settings, Paths(root, settings.name))


def load_trained(settings: TaskConfig, paths: Paths, on_cpu: bool = False) -> LoadedModel:
    """Load the trained models, with the present settings of prediction; raises as `load_model` does."""
    from tropho.inference.ensemble_members import check_manifest, load_folds, missing_label_findings
    from tropho.inference.predictor import CPU, best_device

    record = trained_record(paths)
    fitted = scores = None
    if (paths.evaluate / "postprocess.json").exists():
        check_manifest(paths, record, settings)
        fitted = read_json(paths.evaluate / "postprocess.json")
        if (paths.evaluate / "thresholds.json").exists():
            scores = _scores(read_json(paths.evaluate / "thresholds.json"))
    folds = load_folds(settings, paths, record, CPU if on_cpu else best_device())
    members = {name: list(each.values()) for name, each in folds.items()}
    ensemble = Ensemble(members, fitted, missing_label_findings(settings, paths), settings.audit.max_megapixels)
    return LoadedModel(ensemble, settings, paths, scores)


def trained_record(paths: Paths) -> dict[str, Any]:
    """Read run.json; raise DataError if nothing was trained."""
    record = paths.models / "run.json"
    if not record.exists():
        raise DataError(f"{paths.task} has no trained model; run `dvc repro`, or `tropho train {paths.task}`.")
    return read_json(record)


def _load_exported(task: str, root: Path) -> LoadedModel:
    from tropho.export.onnx_predictor import load_onnx_ensemble

    folder = Path(task) if (Path(task) / FILE).exists() else Paths(root, task).exports
    ensemble, settings = load_onnx_ensemble(folder)
    thresholds = read_json(folder / FILE).get("thresholds")
    scores = None if thresholds is None else _scores(thresholds)
    return LoadedModel(ensemble, settings, Paths(root, settings.name), scores)


def _scores(thresholds: dict[str, Any]) -> dict[str, float]:
    """Extract the score of each class from thresholds.json, leaving out classes without one."""
    return {name: float(value["threshold"]) for name, value in thresholds.items() if value["threshold"] is not None}
