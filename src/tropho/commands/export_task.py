"""Export a task's trained models, so that they predict without torch."""

from pathlib import Path

from tropho.commands.load_model import load_trained, trained_record
from tropho.config.load import load_task
from tropho.errors import UsageError
from tropho.export.export_models import export_ensemble
from tropho.files import read_json
from tropho.inference.ensemble_members import member_records
from tropho.paths import Paths

FORMATS = ("onnx",)


def export_task(task: str, to: str, root: Path) -> str:
    """Write exports/TASK, and return a sentence.

    Raises:
        UsageError: the format is unknown, or a model can't be exported.
        DataError: the task has no trained model, or models or settings have changed since they were evaluated.
    """
    if to not in FORMATS:
        raise UsageError(f"--to is '{to}'; it must be {' or '.join(FORMATS)}.")
    settings = load_task(task, root / "params.yaml")
    paths = Paths(root, settings.name)
    model = load_trained(settings, paths, on_cpu=True)
    folds = {
        name: {fold["fold"]: paths.fold(fold["fold"], name) for fold in record["folds"]}
        for name, record in member_records(trained_record(paths)).items()
    }
    thresholds = paths.evaluate / "thresholds.json"
    known = read_json(thresholds) if model.best_thresholds is not None else None
    differences = export_ensemble(model.ensemble, settings, folds, known, paths.exports)
    count = sum(len(each) for each in folds.values())
    unit = {"boxes": " of the image's side"}
    largest = ", ".join(f"{name} {value:.1e}{unit.get(name, '')}" for name, value in differences.items())
    models = "model" if count == 1 else "models"
    return f"{count} {models} in {paths.exports}; largest difference from the trained networks: {largest}."
