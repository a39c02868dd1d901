"""An ensemble through train, evaluate and predict: what is trained, what is kept, and how its members are fused."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.commands.predict_images import PredictOptions, predict_files
from tropho.evaluation.classification_evaluator import ClassificationEvaluator
from tropho.files import read_json, sha256_of, write_json
from tropho.images.cache import write_cache
from tropho.paths import Paths
from tropho.stages import evaluate, train
from tropho.tables import BOXES, IMAGES, SPLITS, conform, empty, write_table
from tropho.tasks import build_task
from tropho.tracking import Run, Tracker

CLASSES = ["Parasitized", "Uninfected"]
SMALL = {
    "model.name": "lenet",
    "augment.image_size": 24,
    "augment.policy": "none",
    "train.epochs": 1,
    "train.n_folds": 1,
}
NO_PICTURES = {"evaluate.gallery_images": 0}
OTHER = {"other": {"train.seed": 1, "augment.image_size": 16, "model.name": "mlp", "model.hidden_units": [8]}}


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setattr(ClassificationEvaluator, "plots", lambda *_: None)
    for stage in (train, evaluate):
        monkeypatch.setattr(stage, "open_tracker", lambda root: Tracker())


@pytest.fixture
def chosen(settings):
    """Settings of a small ensemble task."""
    return lambda **overrides: settings("cells_demo", **{**SMALL, **NO_PICTURES, **overrides})


@pytest.fixture
def paths(tmp_path, rng):
    """A task's files up to the pack: 16 training images in two folds and 4 test images; one class is lighter."""
    paths = Paths(tmp_path, "cells_demo")
    paths.raw.mkdir(parents=True)
    rows = []
    for number in range(20):
        pixels = rng.integers(0, 100, (20 + number, 24, 3)) + 120 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(paths.raw / f"im{number:02d}.png")
        rows.append(
            {"image_id": f"im{number:02d}.png", "path": f"im{number:02d}.png", "width": 24, "height": 20 + number}
        )
    subset = ["train" if number < 16 else "test" for number in range(20)]
    images = pd.DataFrame(rows).assign(label=[CLASSES[each % 2] for each in range(20)], status="ok", subset=subset)
    images = conform(images.assign(group=images["image_id"], sha256="", duplicate=pd.NA), IMAGES)
    write_table(images, paths.audit / "images.csv", IMAGES)
    write_table(empty(BOXES), paths.audit / "boxes.csv", BOXES)
    write_json(paths.audit / "summary.json", {"classes": CLASSES})
    folds = [number // 8 if number < 16 else -1 for number in range(20)]
    write_table(images[["image_id", "subset", "group"]].assign(fold=folds), paths.splits, SPLITS)
    write_cache(images.drop(columns="sha256"), paths.raw, paths.augmented / "cache", 24)
    return paths


@pytest.fixture
def fits(monkeypatch):
    """The names of what is trained, as they are."""
    trained = []

    class Counted(train.Trainer):
        def __init__(self, task, cache, *rest, **options):
            trained.append((task.settings.model.name, cache.size, options["seed"]))
            super().__init__(task, cache, *rest, **options)

    monkeypatch.setattr(train, "Trainer", Counted)
    return trained


@pytest.mark.parametrize("change", [{"grayscale": True}, {"encoding": "jpeg"}])
def test_train_again_on_other_pixels(chosen, paths, fits, change):
    train.run(chosen(), paths.root)
    images = pd.read_csv(paths.audit / "images.csv")[["image_id", "path"]]
    write_cache(images, paths.raw, paths.augmented / "cache", 24)
    train.run(chosen(), paths.root)
    assert len(fits) == 1
    write_cache(images, paths.raw, paths.augmented / "cache", 24, **change)
    train.run(chosen(), paths.root)
    assert len(fits) == 2


def test_train_only_new_or_changed_members(chosen, paths, fits):
    train.run(chosen(), paths.root)
    assert fits == [("lenet", 24, 0)]
    weights = sha256_of(paths.fold(0) / "weights.safetensors")

    record = train.run(chosen(**{"train.ensemble": OTHER}), paths.root)
    assert fits[1:] == [("mlp", 16, 1)]
    assert sha256_of(paths.fold(0) / "weights.safetensors") == weights
    assert (paths.models / "other" / "fold0" / "weights.safetensors").exists()
    assert list(record["members"]) == ["other"]
    assert not list(paths.runs.rglob("state.pt"))

    train.run(chosen(**{"train.ensemble": OTHER, "train.n_folds": 2}), paths.root)
    assert fits[2:] == [("lenet", 24, 1), ("mlp", 16, 2)]

    train.run(chosen(**{"train.n_folds": 2}), paths.root)
    assert fits[4:] == []
    assert not (paths.models / "other").exists()

    train.run(chosen(**{"train.lr": 1.0e-4}), paths.root)
    assert fits[4:] == [("lenet", 24, 0)]
    assert sha256_of(paths.fold(0) / "weights.safetensors") != weights


@pytest.mark.parametrize("weights", ["equal", {"base": 1.0, "other": 3.0}])
def test_evaluate_fuses_members(chosen, paths, weights):
    settings = chosen(**{"train.ensemble": OTHER, "train.n_folds": 2, "predict.member_weights": weights})
    train.run(settings, paths.root)
    metrics = evaluate.run(settings, paths.root)
    columns = [f"p_{name}" for name in CLASSES]
    tables = {name: pd.read_parquet(paths.evaluate / "members" / f"{name}.parquet") for name in ("base", "other")}
    oof = pd.read_parquet(paths.evaluate / "oof.parquet")
    assert list(oof["fold"]) == [0] * 8 + [1] * 8
    shares = weights if isinstance(weights, dict) else {"base": 1.0, "other": 1.0}
    assert "weights" not in read_json(paths.evaluate / "postprocess.json")  # nothing was learned about them
    total = sum(shares.values())
    expected = sum(share / total * tables[name][columns].to_numpy() for name, share in shares.items())
    np.testing.assert_allclose(oof[columns], expected, atol=1e-7)
    assert list(metrics["members"]) == ["base", "other"]
    assert any("base " in note and "other " in note for note in read_json(paths.evaluate / "notes.json")["oof"])

    test = pd.read_parquet(paths.evaluate / "test.parquet")
    assert list(test["image_id"]) == [f"im{number}.png" for number in range(16, 20)]


def test_predict_files_by_all_members(chosen, paths, monkeypatch):
    settings = chosen(**{"train.ensemble": OTHER, "predict.member_weights": {"base": 4.0, "other": 1.0}})
    train.run(settings, paths.root)
    evaluate.run(settings, paths.root)
    monkeypatch.setattr("tropho.commands.load_model.load_task", lambda task, path: settings)
    files = [paths.raw / f"im{number}.png" for number in range(16, 20)]
    predict_files("cells_demo", files, paths.root, PredictOptions(out=paths.root / "out.csv"))
    out = pd.read_csv(paths.root / "out.csv")
    task = build_task(settings, CLASSES)
    known = task.postprocess(
        pd.read_parquet(paths.evaluate / "test.parquet"), read_json(paths.evaluate / "postprocess.json")
    )
    # The smaller member sees images resized once here and twice in the pack.
    columns = [name for name in known if name.startswith("p_")]
    np.testing.assert_allclose(out[columns], known[columns], atol=0.02)


def test_predict_files_by_the_present_settings(chosen, paths, monkeypatch):
    train.run(chosen(), paths.root)
    monkeypatch.setattr(
        "tropho.commands.load_model.load_task", lambda task, path: chosen(**{"predict.tta": ["identity", "hflip"]})
    )
    mirrored = paths.root / "mirrored.png"
    Image.open(paths.raw / "im04.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    predict_files(
        "cells_demo", [paths.raw / "im04.png", mirrored], paths.root, PredictOptions(out=paths.root / "out.csv")
    )
    one, other = pd.read_csv(paths.root / "out.csv")[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_training_knows_the_experiment_that_it_is_of(chosen, paths, fits, monkeypatch):
    tags = {}
    monkeypatch.setattr(Run, "set_tags", lambda self, given: tags.update(given))
    monkeypatch.setenv("DVC_EXP_NAME", "treed-ambo")
    assert train.run(chosen(), paths.root)["dvc_experiment"] == tags["dvc_experiment"] == "treed-ambo"
