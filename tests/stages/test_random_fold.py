"""A random fold beside the grouped ones, where what is learned is the group: what it says, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest

from tropho.files import read_json, sha256_of, write_json
from tropho.images.pack import write_pack
from tropho.stages import evaluate, train
from tropho.stages.paths import Paths
from tropho.stages.random_fold import dealt_at_random
from tropho.stages.report import report
from tropho.tables import BOXES, IMAGES, SPLITS, conform, empty, write_table
from tropho.tasks import build_task
from tropho.tasks.classification import ClassificationTask
from tropho.tracking import NullTracker

CLASSES = ["Parasitized", "Uninfected"]
GROUPS, EACH, FOLDS, SIZE = 32, 5, 4, 16
QUICK = {
    "model.name": "mlp",
    "model.hidden": [32],
    "augment.size": SIZE,
    "augment.policy": "none",
    "train.epochs": 12,
    "train.batch_size": 16,
    "train.folds": 1,
    "evaluate.gallery": 0,
    "evaluate.heat_maps": 0,
}
RANDOM = {"train.random_fold": True}


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setattr(ClassificationTask, "figures", lambda *_: None)
    for stage in (train, evaluate):
        monkeypatch.setattr(stage, "open_tracker", lambda root: NullTracker())


@pytest.fixture
def chosen(settings):
    return lambda **overrides: settings("cells_demo", **{**QUICK, **overrides})


@pytest.fixture
def paths(tmp_path, rng):
    """A task whose images are their group's pattern and some noise, and whose labels a coin gave to groups."""
    from PIL import Image

    paths = Paths(tmp_path, "cells_demo")
    paths.raw.mkdir(parents=True)
    patterns = rng.integers(0, 256, (GROUPS, 4, 4, 3)).repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    group = np.arange(GROUPS).repeat(EACH)
    names = [f"im{number:03d}.png" for number in range(len(group))]
    for name, which in zip(names, group, strict=True):
        pixels = patterns[which] + rng.normal(0, 12, (SIZE, SIZE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths.raw / name)
    images = pd.DataFrame({"image_id": names, "path": names, "width": SIZE, "height": SIZE, "status": "ok"})
    subset = np.where(group < GROUPS - 2, "train", "test")
    label = np.array(CLASSES)[rng.permutation(np.arange(GROUPS) % 2)[group]]
    images = images.assign(label=label, subset=subset, group=[f"g{each}" for each in group])
    images = conform(images.assign(sha256="", phash="", duplicate=pd.NA), IMAGES)
    write_table(images, paths.audit / "images.csv", IMAGES)
    write_table(empty(BOXES), paths.audit / "boxes.csv", BOXES)
    write_json(paths.audit / "summary.json", {"classes": CLASSES})
    fold = np.where(subset == "train", group % FOLDS, -1)
    write_table(images[["image_id", "subset", "group"]].assign(fold=fold), paths.splits, SPLITS)
    write_pack(images.drop(columns="sha256"), paths.raw, paths.augmented / "pack", SIZE)
    return paths


@pytest.fixture
def fits(monkeypatch):
    """How many images were trained on and validated on, by training."""
    trained = []
    fit = train.fit

    def counted(task, pack, train_truth, val_truth, *rest, **options):
        trained.append((len(train_truth.images), len(val_truth.images)))
        return fit(task, pack, train_truth, val_truth, *rest, **options)

    monkeypatch.setattr(train, "fit", counted)
    return trained


def test_a_random_fold_flatters_where_labels_follow_groups(chosen, paths):
    settings = chosen(**RANDOM)
    train.run(settings, paths.root)
    metrics = evaluate.run(settings, paths.root)
    found = metrics["random_fold"]
    assert found["score"] > 0.9
    assert found["grouped"] < 0.7
    assert found["flatters"] == pytest.approx(found["score"] - found["grouped"], abs=1e-12)
    group = pd.read_csv(paths.splits).set_index("image_id")["group"]
    judged, trained = dealt_at_random(train.read_inputs(paths), build_task(settings, CLASSES), 0).folds.values()
    seen = group[judged].isin(group[trained]).sum()
    assert (found["images"], found["seen"]) == (40, seen)
    assert seen > 30
    for name in ("score", "grouped"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    assert found["grouped"] == metrics["oof"]["balanced_accuracy"] == metrics["folds"]["fold0"]["balanced_accuracy"]
    page = report(settings, paths)
    assert f"random folds would flatter the score by {found['flatters']:.3f}" in page
    assert f"{seen} of the random fold&#39;s 40 images share" in page


def test_it_joins_and_leaves_without_touching_the_ensemble(chosen, paths, fits):
    plain = train.run(chosen(), paths.root)
    evaluate.run(chosen(), paths.root)
    before, alone = sha256_of(paths.fold(0) / "weights.safetensors"), read_json(paths.evaluate / "metrics.json")
    predicted = {name: sha256_of(paths.evaluate / f"{name}.parquet") for name in ("oof", "test")}
    assert fits == [(110, 40)]

    record = train.run(chosen(**RANDOM), paths.root)
    assert fits[1:] == [(110, 40)]
    assert sha256_of(paths.fold(0) / "weights.safetensors") == before
    assert sha256_of(paths.fold(0, "random") / "weights.safetensors") != before
    assert (record["members"], record["folds"]) == ({}, plain["folds"])
    assert record == read_json(paths.models / "run.json")
    evaluate.run(chosen(**RANDOM), paths.root)
    beside = read_json(paths.evaluate / "metrics.json")
    assert beside.pop("random_fold")
    assert beside == alone
    assert {name: sha256_of(paths.evaluate / f"{name}.parquet") for name in predicted} == predicted

    train.run(chosen(**RANDOM, **{"train.folds": 2}), paths.root)
    assert fits[2:] == [(110, 40)]  # the second grouped fold alone

    train.run(chosen(), paths.root)
    assert fits[3:] == []
    assert not (paths.models / "random").exists()


def test_a_killed_random_fold_goes_on_to_the_same_weights(chosen, paths, monkeypatch):
    settings = chosen(**RANDOM, **{"train.epochs": 3})
    train.run(settings, paths.root)
    whole = sha256_of(paths.fold(0, "random") / "weights.safetensors")
    paths.models.rename(paths.root / "elsewhere")
    lines = []

    def killed(line):
        lines.append(line)
        if line.startswith("random/fold0  epoch 2/"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train, "say", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run(settings, paths.root)
    monkeypatch.setattr(train, "say", lines.append)
    lines.clear()
    train.run(settings, paths.root)
    assert [line.split("  loss")[0] for line in lines] == ["random/fold0  epoch 3/3"]
    assert sha256_of(paths.fold(0, "random") / "weights.safetensors") == whole


def test_the_deal_is_of_the_same_images_with_each_class_in_its_share(chosen, paths):
    inputs = train.read_inputs(paths)
    task = build_task(chosen(), CLASSES)
    dealt, again, other = (dealt_at_random(inputs, task, seed) for seed in (0, 0, 1))
    assert dealt.folds == again.folds != other.folds
    assert dealt.data_hash == again.data_hash != other.data_hash
    assert sorted(dealt.fold_of) == sorted(inputs.fold_of)
    assert len(dealt.folds[0]) == len(inputs.folds[0])
    labels = inputs.truth.images.set_index("image_id")["label"]
    shares = [labels[dealt.folds[number]].eq(CLASSES[0]).mean() for number in (0, 1)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    groups = inputs.truth.images.set_index("image_id")["group"]
    assert groups[dealt.folds[0]].nunique() > groups[inputs.folds[0]].nunique()
