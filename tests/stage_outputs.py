"""Small synthetic data sets with predictions, and the files that the stages write for them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import BOX, BOXES, DETECTIONS, IMAGES, ISSUES, LABEL_ISSUES, SPLITS, conform, write_table

HOSTILE = "<script>alert('x')</script> $\\frac{1}{ & _cls"


@dataclass(frozen=True)
class Dataset:
    """Images below `raw` with ground truth and predictions."""

    raw: Path
    images: pd.DataFrame
    boxes: pd.DataFrame
    predictions: pd.DataFrame
    classes: list[str]


def _images(raw: Path, count: int, rng: np.random.Generator, size: tuple[int, int]) -> pd.DataFrame:
    rows = []
    for number in range(count):
        name = f"id_{number:03d}.png"
        (raw / "images").mkdir(parents=True, exist_ok=True)
        ground = rng.normal((205, 190, 214), 9, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(ground).save(raw / "images" / name)
        rows.append(
            {
                "image_id": name,
                "path": f"images/{name}",
                "width": size[0],
                "height": size[1],
                "sha256": f"{number:064x}",
                "group": f"g{number // 3}",
                "label": None,
                "subset": "train" if number < count * 3 // 4 else "test",
                "status": "ok",
                "duplicate": None,
            }
        )
    return conform(pd.DataFrame(rows).assign(**{c: None for c in IMAGES if c not in rows[0]}), IMAGES)


def detection_dataset(raw: Path, count: int, rng: np.random.Generator, classes: list[str]) -> Dataset:
    """Photos with boxes; most are found, some are missed, some found where nothing is; NEG rows for each."""
    images = _images(raw, count, rng, (96, 64))
    boxes, found = [], []
    for number, name in enumerate(images["image_id"]):
        empty = number % 4 == 3
        for _ in range(0 if empty else int(rng.integers(1, 6))):
            x, y = rng.uniform(0, 60, 2) * (1, 0.6)
            side = rng.uniform(6, 26)
            label = str(rng.choice(classes))
            boxes.append((name, label, x, y, x + side, y + side))
            if rng.random() < 0.85:
                shift = rng.normal(0, 1, 4)
                found.append((name, label, rng.beta(5, 2), *(np.array([x, y, x + side, y + side]) + shift)))
        for _ in range(int(rng.integers(0, 3))):
            x, y = rng.uniform(0, 60, 2) * (1, 0.6)
            found.append((name, str(rng.choice(classes)), rng.beta(2, 5), x, y, x + 12, y + 12))
        found.append((name, "NEG", rng.beta(6, 2) if empty else rng.beta(2, 8), 0, 0, 0, 0))
    truth = conform(pd.DataFrame(boxes, columns=["image_id", "label", *BOX]), BOXES)
    columns = ["image_id", "label", "score", *BOX]
    return Dataset(raw, images, truth, conform(pd.DataFrame(found, columns=columns), DETECTIONS), classes)


def classification_dataset(raw: Path, count: int, rng: np.random.Generator, classes: list[str]) -> Dataset:
    """Cells with a class each; about one in six is taken for another."""
    images = _images(raw, count, rng, (40, 40))
    true = rng.integers(0, len(classes), count)
    logits = rng.normal(0, 1, (count, len(classes)))
    logits[np.arange(count), true] += 2.2
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    images["label"] = pd.Series([classes[i] for i in true], dtype="string")
    predictions = pd.DataFrame({"image_id": images["image_id"]})
    predictions["label"] = pd.Series([classes[i] for i in values.argmax(axis=1)], dtype="string")
    predictions[[f"p_{name}" for name in classes]] = values
    return Dataset(raw, images, conform(pd.DataFrame(columns=list(BOXES)[:-1]), BOXES), predictions, classes)


def write_data(root: Path, task: str, dataset: Dataset) -> None:
    """Write what audit, split and augment do."""
    audit, splits = root / "data" / "audit" / task, root / "data" / "splits" / f"{task}.csv"
    write_table(dataset.images, audit / "images.csv", IMAGES)
    write_table(dataset.boxes, audit / "boxes.csv", BOXES)
    issues = [
        ("zero_area", "id_000.png", "Train.csv", 17, "dropped", "The box 3, 4, 9, 4 has no height."),
        ("duplicate", "id_001.png", "Train.csv", 40, "listed", "Two WBC boxes overlap by 0.81."),
        ("duplicate", "id_002.png", "Train.csv", 44, "listed", "Two WBC boxes overlap by 0.64."),
        ("unreadable", HOSTILE, f"images/{HOSTILE}", None, "quarantined", "It is cut off after 12 kB."),
    ]
    write_table(pd.DataFrame(issues, columns=list(ISSUES)), audit / "issues.csv", ISSUES)
    summary = {
        "notes": [f"{len(dataset.images)} of {len(dataset.images) + 1} images can be used.", HOSTILE],
        "images": len(dataset.images),
        "classes": dataset.classes,
        "sizes": {"96x64": len(dataset.images)},
        "groups": {"count": 4, "biggest": 3},
    }
    (audit / "summary.json").write_text(json.dumps(summary))
    draw_chart(audit / "figures" / "image_sizes.png")
    table = dataset.images[["image_id", "subset", "group"]].assign(
        fold=[number % 3 if subset == "train" else -1 for number, subset in enumerate(dataset.images["subset"])]
    )
    table.loc[0, ["subset", "fold"]] = ["excluded", -1]
    write_table(table, splits, SPLITS)
    splits.with_suffix(".json").write_text(json.dumps({"notes": ["1 training image is kept out."]}))
    augmented = root / "data" / "augmented" / task
    draw_photo(augmented / "previews.png")
    policy = {"transform": {"transforms": [{"__class_fullname__": "HorizontalFlip", "p": 0.5}]}}
    (augmented / "policy.json").write_text(json.dumps(policy))


def write_runs(root: Path, task: str, dataset: Dataset, settings: dict, folds: int = 2) -> None:
    """Write what tune and train do."""
    tuned, models = root / "data" / "tuned", root / "models" / task
    (tuned / task).mkdir(parents=True)
    (tuned / f"{task}.yaml").write_text(yaml.safe_dump({"train.lr": 0.0021}))
    pd.DataFrame(
        {
            "number": [0, 1, 2],
            "state": ["complete", "complete", "pruned"],
            "score": [0.61, 0.72, None],
            "train.lr": [0.001, 0.0021, 0.02],
        }
    ).to_csv(tuned / task / "trials.csv", index=False)
    draw_chart(tuned / task / "history.png")
    entries = []
    for fold in range(folds):
        folder = models / f"fold{fold}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"\0" * 4_500_000)
        (folder / "config.yaml").write_text(yaml.safe_dump({"settings": settings, "classes": dataset.classes}))
        epochs = np.arange(1, 9)
        history = pd.DataFrame(
            {
                "epoch": epochs,
                "loss": 1.8 * np.exp(-epochs / 4) + 0.2 + 0.03 * fold,
                "lr": 1e-3 * np.sin(epochs / 8 * np.pi),
                "score": [None if epoch % 2 else 0.8 - 0.6 / epoch - 0.02 * fold for epoch in epochs],
                "seconds": 12.5,
            }
        )
        history.to_csv(folder / "history.csv", index=False)
        entry = {"fold": fold, "run_id": f"{fold:032x}", "score": 0.725 - 0.02 * fold, "best_epoch": 8}
        entries.append({**entry, "epochs": 8, "seconds": 100.0})
    run = {"task": task, "run_id": "f" * 32, "folds": entries, "classes": dataset.classes, "device": "cpu"}
    run |= {"score_name": "leaderboard_map", "parameters": 11_200_000, "git_commit": "0123456789abcdef0123"}
    (models / "run.json").write_text(json.dumps(run))


def write_results(root: Path, task: str, dataset: Dataset, name: str, value: float) -> None:
    """Write what evaluate and submit do, without plots."""
    evaluate = root / "reports" / task / "evaluate"
    evaluate.mkdir(parents=True, exist_ok=True)
    flat = {name: value, "map50": 0.8125, "map50_95": None}
    for label in dataset.classes:
        flat |= {f"ap/{label}": 0.7312, f"map50/{label}": 0.8, f"tp/{label}": 31}
    headline = {"name": name, "value": value, "subset": "test", "images": dataset.predictions["image_id"].nunique()}
    metrics = {"headline": headline, "test": flat}
    metrics |= {"oof": {**flat, name: 0.8111}, "folds": {"fold0": {name: 0.81}}}
    (evaluate / "metrics.json").write_text(json.dumps(metrics))
    choice = {"threshold": 0.34, "precision": 0.8, "recall": None, "f_beta": 0.7}
    (evaluate / "thresholds.json").write_text(json.dumps(dict.fromkeys(dataset.classes, choice)))
    dataset.predictions.to_parquet(evaluate / "test.parquet")
    submission = root / "submissions" / f"{task}.csv"
    submission.parent.mkdir(exist_ok=True)
    dataset.predictions.to_csv(submission, index=False)
    record = {"task": task, "rows": len(dataset.predictions), "run_id": "f" * 32, "written": "2025-01-01T00:00:00"}
    submission.with_suffix(".json").write_text(json.dumps(record))


def draw_chart(path: Path) -> None:
    """Write a PNG as Matplotlib marks its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((120, 200, 3), 255, np.uint8)
    image[40:60, 20:160] = (0, 114, 178)
    marks = PngInfo()
    marks.add_text("Software", "Matplotlib version3")
    Image.fromarray(image).save(path, pnginfo=marks)


def draw_photo(path: Path, size: tuple[int, int] = (300, 200)) -> None:
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def label_issues(*rows: tuple) -> pd.DataFrame:
    """Make a table of (image_id, kind, given label, given box or (), suggested label, suggested box or ())."""
    table = [
        {
            "image_id": image_id,
            "kind": kind,
            "action": "drop",
            "score": 0.9,
            "rank": rank,
            "given_label": given,
            "suggested_label": suggested,
            **dict(zip((f"given_{side}" for side in ("xmin", "ymin", "xmax", "ymax")), given_box, strict=False)),
            **dict(zip((f"suggested_{side}" for side in ("xmin", "ymin", "xmax", "ymax")), found, strict=False)),
        }
        for rank, (image_id, kind, given, given_box, suggested, found) in enumerate(rows, start=1)
    ]
    return conform(pd.DataFrame(table).reindex(columns=list(LABEL_ISSUES)), LABEL_ISSUES)


def submission_rows() -> pd.DataFrame:
    """Make the log of three submissions; two have a public score."""
    rows = {
        "task": "t",
        "sha256": [digest * 64 for digest in "abc"],
        "written": [f"2026-01-0{day}T10:00:00" for day in (1, 2, 3)],
        "score_name": HOSTILE,
        "score": [0.90, 0.91, 0.92],
        "low": [0.89, 0.90, None],
        "high": [0.91, 0.92, None],
        "public": [0.88, None, 0.95],
        "private": [0.87, None, None],
    }
    return pd.DataFrame(rows).reindex(columns=list(SUBMISSIONS)).astype(SUBMISSIONS)
