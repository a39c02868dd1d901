"""Evaluation, and what submit makes of it, on folds with random weights: what is written, and of which images."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from run_records import fold_entry
from tropho.evaluation.classification_evaluator import ClassificationEvaluator
from tropho.files import write_json
from tropho.images.cache import write_cache
from tropho.paths import Paths
from tropho.stages import evaluate, submit
from tropho.tables import BOXES, IMAGES, LABEL_ISSUES, SPLITS, conform, empty, write_table
from tropho.tasks import build_task
from tropho.tracking import Tracker

CLASSES = ["Parasitized", "Uninfected"]


SIZE = 16


LIGHT = {
    "model.name": "lenet",
    "augment.image_size": SIZE,
    "evaluate.gallery_images": 6,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing is tracked, and the charts, which have tests of their own, are not drawn."""
    monkeypatch.setattr(ClassificationEvaluator, "plots", lambda *_: None)
    for stage in (evaluate, submit):
        monkeypatch.setattr(stage, "open_tracker", lambda root: Tracker())


@pytest.fixture
def trained(tmp_path, settings, rng):
    """A function that leaves two trained folds of 12 images and 12 test images, 4 of which share a group with them."""

    def make(**overrides):
        task = settings("cells_demo", **{**LIGHT, **overrides})
        paths = Paths(tmp_path, task.name)
        images = _images(paths.raw, rng)
        write_table(images, paths.audit / "images.csv", IMAGES)
        write_table(empty(BOXES), paths.audit / "boxes.csv", BOXES)
        write_json(paths.audit / "summary.json", {"classes": CLASSES})
        folds = [each // 12 if each < 24 else -1 for each in range(36)]
        splits = images[["image_id", "subset", "group"]].assign(fold=folds)
        write_table(splits, paths.splits, SPLITS)
        write_cache(images, paths.raw, paths.augmented / "cache", SIZE)
        for number in range(2):
            torch.manual_seed(number)
            folder = paths.models / f"fold{number}"
            folder.mkdir(parents=True)
            save_file(build_task(task, CLASSES).build_model().state_dict(), folder / "weights.safetensors")
            (folder / "config.yaml").write_text(yaml.safe_dump({"settings": task.model_dump(), "classes": CLASSES}))
        folds = [fold_entry(paths.fold(number), number) for number in range(2)]
        record = {"run_id": None, "folds": folds, "score_name": "balanced_accuracy", "parameters": 1, "members": {}}
        write_json(paths.models / "run.json", record)
        return task, paths

    return make


def _images(raw, rng) -> pd.DataFrame:
    raw.mkdir(parents=True)
    rows = []
    for number in range(36):
        name = f"im{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(raw / name)
        subset = "train" if number < 24 else "test"
        group = f"p{number // 3}" if number < 32 else "p0"
        rows.append({"image_id": name, "path": name, "width": SIZE, "height": SIZE, "group": group, "subset": subset})
    table = pd.DataFrame(rows).assign(label=[CLASSES[each % 2] for each in range(36)], status="ok")
    return conform(table.assign(sha256="", duplicate=pd.NA), IMAGES)


def read(paths, name):
    return json.loads((paths.evaluate / name).read_text())


def test_evaluate_scores_the_test_with_and_without_leaks(trained, monkeypatch):
    task, paths = trained()
    tracked = []
    monkeypatch.setattr(evaluate, "_track", lambda run, metrics, folder: tracked.append(metrics))
    metrics = evaluate.run(task, paths.root)
    assert metrics == read(paths, "metrics.json")
    assert tracked[0]["oof_low"] <= metrics["oof"]["balanced_accuracy"] <= tracked[0]["oof_high"]
    assert tracked[0]["oof_images"] == 24
    assert metrics["test_leaks"] == {"images": 4, "of": 12}
    assert metrics["headline"]["subset"] == "test"
    for subset, images in (("oof", 24), ("test", 12), ("test_without_leaks", 8)):
        assert sum(metrics[subset][f"support/{name}"] for name in CLASSES) == images
        table = pd.read_csv(paths.evaluate / "tables" / subset / "metrics.csv").set_index("metric")
        row = pd.to_numeric(table.loc["balanced_accuracy"])
        assert row["value"] == pytest.approx(metrics[subset]["balanced_accuracy"], abs=1e-6)
        assert row["low"] <= row["high"]
    test = pd.read_csv(paths.evaluate / "tables" / "test" / "metrics.csv", index_col="metric")
    headline = [metrics["headline"][name] for name in ("value", "low", "high")]
    assert pd.to_numeric(test.loc["balanced_accuracy", ["value", "low", "high"]]).tolist() == pytest.approx(
        headline, abs=1e-6
    )
    notes = read(paths, "notes.json")
    assert notes["test"][0].startswith("4 of 12 test images share")
    assert not any("share" in note for note in notes["oof"] + notes["test_without_leaks"])


@pytest.mark.parametrize(("fold", "shared"), [(0, 0), (1, 4)])
def test_evaluate_counts_leaks_of_trained_folds_only(trained, fold, shared):
    """The shared group is in fold 0, which only the model of fold 1 was trained on."""
    task, paths = trained()
    record = json.loads((paths.models / "run.json").read_text())
    write_json(paths.models / "run.json", {**record, "folds": [record["folds"][fold]]})
    metrics = evaluate.run(task, paths.root)
    assert metrics["test_leaks"] == {"images": shared, "of": 12}
    assert ("test_without_leaks" in metrics) == (shared > 0)
    assert any("share their patient" in note for note in read(paths, "notes.json")["test"]) == (shared > 0)


@pytest.mark.parametrize("most", [5, 0])
def test_evaluate_writes_label_issues(trained, most):
    task, paths = trained(**{"evaluate.gallery_images": most})
    evaluate.run(task, paths.root)
    table = pd.read_csv(paths.evaluate / "label_issues.csv")
    assert list(table.columns) == list(LABEL_ISSUES)
    finished = pd.read_parquet(paths.evaluate / "oof_postprocessed.parquet").set_index("image_id")
    assert 0 < len(table) < len(finished) == 24
    assert set(table["image_id"]) <= set(finished.index)
    of_label = [finished.loc[row.image_id, f"p_{row.given_label}"] for row in table.itertuples()]
    np.testing.assert_allclose(table["score"], 1 - np.array(of_label), atol=1e-6)
    assert (paths.evaluate / "label_issues.png").exists() == (most > 0)


def test_evaluate_cross_fits_oof_predictions(trained, monkeypatch):
    seen = lambda self, gt, raw, groups: lambda ids: {"temperature": len(ids) / 4}  # noqa: E731
    monkeypatch.setattr(ClassificationEvaluator, "postprocess_fitter", seen)
    task, paths = trained()
    evaluate.run(task, paths.root)
    kind = build_task(task, CLASSES)
    oof, finished = (pd.read_parquet(paths.evaluate / name) for name in ("oof.parquet", "oof_postprocessed.parquet"))
    fitted = read(paths, "postprocess.json")
    assert finished["image_id"].tolist() == oof["image_id"].tolist()
    assert fitted == {"temperature": 6.0}
    logits, raw = (np.log(each["p_Parasitized"] / each["p_Uninfected"]) for each in (finished, oof))
    assert (raw / logits).between(3.0, 5.9).all()  # nothing was learned from all 24 images
    submit.run(task, paths.root)
    handed_in = pd.read_csv(paths.submission)
    expected = kind.postprocess(pd.read_parquet(paths.evaluate / "test.parquet"), fitted)
    np.testing.assert_allclose(handed_in[kind.columns], expected[kind.columns], atol=1e-6)


def test_evaluate_writes_thresholds_and_undefined_values(trained):
    task, paths = trained(**{"evaluate.min_recall": 0.9})
    evaluate.run(task, paths.root)
    thresholds = read(paths, "thresholds.json")
    oof = pd.read_csv(paths.evaluate / "tables/oof/quantities_at_thresholds.csv").set_index(["class", "quantity"])
    for name in CLASSES:
        assert thresholds[name]["recall"] >= 0.9
        assert float(oof.loc[(name, "tpr"), "value"]) == pytest.approx(thresholds[name]["recall"], abs=1e-6)
    text = "".join(path.read_text() for path in (paths.evaluate / "tables").rglob("*.csv"))
    assert "nan" not in text.lower()
    assert not any(line.endswith(",") or ",," in line for line in text.splitlines())


def test_evaluate_without_test(trained):
    task, paths = trained(**{"evaluate.score_test": False})
    metrics = evaluate.run(task, paths.root)
    assert metrics["headline"]["subset"] == "oof"
    assert set(metrics) == {"headline", "oof", "folds"}
    written = {str(path.relative_to(paths.evaluate)) for path in paths.evaluate.rglob("*")}
    assert not any("test" in name for name in written)
    submit.run(task, paths.root)
    assert pd.read_csv(paths.submission).empty


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_evaluate_draws_heat_maps_or_says_why_not(trained, model):
    pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed; `make setup` installs it")
    task, paths = trained(**{"model.name": model, "model.hidden_units": [4]})
    evaluate.run(task, paths.root)
    drawn = {path.stem for path in (paths.evaluate / "figures" / "oof").glob("gradcam*")}
    said = [note for note in read(paths, "notes.json")["oof"] if "Grad-CAM" in note]
    assert bool(drawn) == (model == "lenet")
    assert bool(said) == (model == "mlp")


def test_renamed_note_and_tracked_metrics():
    assert evaluate._renamed_note({"a": "a", "b+": "b_"}) == [
        "MLflow takes plain letters alone: in the names of its metrics, 'b+' is 'b_'."
    ]
    assert evaluate._renamed_note({"a": "a"}) == []
    metrics = {"oof": {"recall/b+": 1.0, "map": 0.5}, "other": {"map": 0.0}}
    assert evaluate._tracked_metrics(metrics, {"b+": "b_"}) == {"oof/recall/b_": 1.0, "oof/map": 0.5}
