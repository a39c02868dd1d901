"""What a training used and came to, for MLflow: its data sets, and its description in Markdown."""

from collections.abc import Mapping
from typing import Any

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, TaskData
from tropho.files import fingerprint

SUBSETS = {
    "oof": "out of fold",
    "test": "on the test images",
    "test_without_leaks": "on the test images without leaks",
}


def data_sets(task: str, data: TaskData, fold: int | None = None) -> list[dict[str, Any]]:
    """List the data that a training uses.

    Args:
        task: name.
        data: images and folds.
        fold: of its training and validation images; None lists the training images of all folds, and the test images.

    Returns:
        Data sets with images: name; digest of the task's images, labels and folds, and of the names of the images, at
        most 36 characters; context (training, validation or test); source, path of the table in the repository; counts.
    """
    if fold is not None:
        train, val = data.train_val(fold)
        parts = {"training": train, "validation": val}
    else:
        everything = [image_id for ids in data.folds.values() for image_id in ids]
        parts = {"training": data.gt.subset(everything), "test": data.gt.subset(data.test_ids)}
    return [
        {
            "name": f"{task} {context}",
            "digest": fingerprint([data.data_hash, list(gt.images["image_id"])]),
            "context": context,
            "source": f"data/audit/{task}/images.csv",
            "counts": count(gt),
        }
        for context, gt in parts.items()
        if len(gt.images)
    ]


def count(gt: GroundTruth) -> dict[str, int]:
    """Count images, groups, and boxes by class or else labels by class: {"images": 9, "groups": 3, "boxes of A": 7}."""
    of_class = gt.boxes["label"].value_counts() if len(gt.boxes) else gt.images["label"].value_counts()
    what = "boxes" if len(gt.boxes) else "images"
    by_class = {f"{what} of {name}": int(number) for name, number in sorted(of_class.items())}
    return {"images": len(gt.images), "groups": int(gt.images["group"].nunique()), **by_class}


def mean_score(folds: list[dict[str, Any]]) -> float | None:
    """Average the folds' scores that are defined; None where none is."""
    scores = [fold["score"] for fold in folds if fold["score"] is not None]
    return float(sum(scores) / len(scores)) if scores else None


def training_note(
    settings: TaskConfig, record: Mapping[str, Any], metric: str, metrics: Mapping[str, Any] | None = None
) -> str:
    """Describe a training in Markdown: what it is, its score by fold, the results on each subset, where the report is.

    Args:
        settings: of the task.
        record: run.json.
        metric: name of the score.
        metrics: metrics.json; None before `evaluate`.
    """
    model, folds = settings.model.name, record["folds"]
    size = f"{model} with {record['parameters']:,} parameters, {settings.augment.image_size} px"
    n_folds = "1 fold" if len(folds) == 1 else f"{len(folds)} folds"
    lines = [
        f"**{settings.description}** ({settings.kind}): {size}, {n_folds}.",
        "",
        f"Mean {metric} over folds: **{_score(mean_score(folds))}** ("
        + ", ".join(_score(fold["score"]) for fold in folds)
        + ").",
    ]
    if record["members"]:
        lines += ["", f"Ensemble with {', '.join(sorted(record['members']))}."]
    if metrics is not None:
        head = metrics["headline"]
        lines += [""]
        for subset, where in SUBSETS.items():
            if subset in metrics:
                value = f"{head['name']} {where}: **{_score(metrics[subset].get(head['name']))}**"
                interval = f" [{_score(head['low'])}, {_score(head['high'])}]" if subset == head["subset"] else ""
                lines.append(f"- {value}{interval}")
    lines += ["", f"Report: `reports/{settings.name}/index.html`"]
    return "\n".join(lines)


def _score(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{value:.4f}"  # noqa: PLR0124 - NaN
