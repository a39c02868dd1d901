"""The registered model, loaded back from the store as MLflow serves it: it answers as `tropho predict` does."""

import base64
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from drawn import QUICK, QUICK_CLASSES, draw_cells, draw_classes
from tropho.errors import DataError
from tropho.evaluation import register_ensemble
from tropho.paths import Paths
from tropho.tracking import open_tracker, register_model, tracking_uri
from tropho.tracking.register_model import requirements
from tropho.tracking.store import connect

STAGES = ("download", "audit", "split", "augment", "tune", "train")
LEFT_OUT = {"class": "cell", "attribute": "size", "value": "64x48"}


pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.fixture(autouse=True)
def _own_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading a model puts its code in front


def detection(project, **changes):
    """Two folds of a detector, another one and a presence classifier, whose views and members are fused."""
    folder = project.root / "cells"
    names = {f"c{number}": "cell" if number % 4 else None for number in range(16)}
    draw_cells(folder, names).to_csv(folder / "Train.csv", index=False)
    members = {"other": {"train.seed": 1}, "empty": {"model.name": "negative_classifier"}}
    sections = {
        "audit": {"format": "boxes_csv", "negative": "NEG", "missing_labels": "detect"},
        "split": {"n_folds": 2, "test_fraction": 0.0},
        "train": {**QUICK["train"], "n_folds": None, "ensemble": members},
        "predict": {"tta": ["identity", "hflip"], "member_weights": {"base": 1.0, "other": 2.0, "empty": 1.0}},
    }
    sections = {**QUICK, **sections, **changes}
    project.add("t", "detection", download={"path": str(folder)}, **sections)


def classification(project, **changes):
    draw_classes(project.root / "pictures", {"train/dark": 12, "train/bright": 12})
    sections = {
        "split": {"n_folds": 2, "test_fraction": 0.0},
        "train": {**QUICK_CLASSES["train"], "n_folds": None, "ensemble": {"other": {"train.seed": 1}}},
        "predict": {"member_weights": {"base": 1.0, "other": 2.0}},
        "evaluate": {"fit_postprocess": True},
    }
    download = {"path": str(project.root / "pictures")}
    project.add("t", "classification", download=download, **{**QUICK_CLASSES, **sections, **changes})


def new_images(folder):
    """Three images that no task has seen, of different sizes."""
    folder.mkdir()
    for number, size in enumerate([(64, 64, 3), (48, 64, 3), (70, 50, 3)]):
        pixels = np.random.default_rng([number, 9]).integers(0, 255, size).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(3)]


def versions(project):
    return connect(tracking_uri(project.root)).search_model_versions("name = 't'")


def answers(project, files):
    """(what `tropho predict` writes, what the champion says) of these files."""
    import mlflow

    champion = connect(tracking_uri(project.root)).get_model_version_by_alias("t", "champion")
    project.tropho("predict", "t", *files, "--out", project.root / "out.csv")
    served = mlflow.pyfunc.load_model(champion.source).predict(pd.DataFrame({"image": [str(each) for each in files]}))
    return pd.read_csv(project.root / "out.csv"), served


def test_served_classifier_equals_predict(project):
    classification(project)
    project.run("t", *STAGES, "evaluate")
    finish = json.loads((project.root / "reports" / "t" / "evaluate" / "postprocess.json").read_text())
    assert finish["temperature"] != 1.0
    assert set(finish["gains"]) == {"member weights"}
    files = new_images(project.root / "new")
    told, served = answers(project, files)
    columns = ["p_bright", "p_dark"]
    np.testing.assert_allclose(served[columns], told[columns], atol=1e-6)
    assert served["label"].tolist() == told["label"].tolist()
    assert served["row"].tolist() == [0, 1, 2]

    import mlflow

    (only,) = versions(project)
    model = mlflow.pyfunc.load_model(only.source)
    encoded = base64.b64encode(files[1].read_bytes()).decode()
    cells = [str(files[0]), encoded, f"data:image/png;base64,{encoded}"]
    answer = model.predict(pd.DataFrame({"image": cells}))
    np.testing.assert_array_equal(answer[columns], served.loc[[0, 1, 1], columns])
    with pytest.raises(DataError, match="Row 1"):
        model.predict(pd.DataFrame({"image": [str(files[0]), "no such file.png"]}))


@pytest.mark.slow
def test_served_detector_equals_predict(project):
    detection(project)
    project.run("t", *STAGES)
    summary = project.root / "data" / "audit" / "t" / "summary.json"
    # Without Zindi's columns, since its layout rounds boxes to whole pixels.
    changes = {"missing_labels": [LEFT_OUT], "columns": {}}
    summary.write_text(json.dumps({**json.loads(summary.read_text()), **changes}))
    project.run("t", "evaluate")
    files = new_images(project.root / "new")
    told, served = answers(project, files)
    served["image_id"] = [files[row].name for row in served.pop("row")]
    numbers = ["score", "xmin", "ymin", "xmax", "ymax"]
    by = ["image_id", "label", "xmin", "ymin", "xmax", "ymax"]
    told, served = (each[[*by, "score"]].sort_values(by, ignore_index=True) for each in (told, served))
    for name in ("image_id", "label"):
        assert told[name].tolist() == served[name].tolist()
    np.testing.assert_allclose(served[numbers].astype(float), told[numbers].astype(float), atol=1e-6)
    found = told.groupby("image_id")["label"].agg(set).to_dict()
    assert found["0.png"] == {"NEG", "cell"}
    assert found["1.png"] == {"NEG"}


def test_register_makes_a_version_of_a_change(project):
    alone = {"train": {**QUICK_CLASSES["train"], "n_folds": 1, "ensemble": {}}, "predict": {}}
    classification(project, **alone)
    project.run("t", *STAGES)
    assert versions(project) == []  # nothing yet knows how predictions are finished
    project.run("t", "evaluate", "evaluate")
    assert len(versions(project)) == 1
    classification(project, **{**alone, "predict": {"tta": ["identity", "hflip"]}})
    project.run("t", "evaluate")
    client = connect(tracking_uri(project.root))
    assert int(client.get_model_version_by_alias("t", "champion").version) == 2
    assert len(versions(project)) == 2


@pytest.mark.fault(
    "evaluate is killed while it registers the model", "goes on with that model; one version, no leftover"
)
def test_register_resumes_after_a_kill(tmp_path, monkeypatch):
    client = connect(tracking_uri(tmp_path))
    (folder := tmp_path / "registered" / "new").mkdir(parents=True)
    (folder / "ensemble.json").write_text("{}")
    monkeypatch.setattr(register_model, "save", lambda _, to: to.mkdir())

    def killed(*_, **__):
        raise KeyboardInterrupt

    with open_tracker(tmp_path).run("train t", "t") as run:
        for moment in ("log_model_artifacts", "create_registered_model", "create_model_version"):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(type(client), moment, killed)
                run.log_model(folder, "t", content="abc")
        run.log_model(folder, "t", content="abc")
    experiment = client.get_experiment_by_name("t").experiment_id
    (model,) = client.search_logged_models([experiment])
    (version,) = client.search_model_versions("name = 't'")
    assert (str(model.status), version.version) in {("READY", 1), ("READY", "1")}
    assert [path.name for path in folder.parent.iterdir()] == ["new"]


def test_evaluate_without_a_server(project, monkeypatch):
    alone = {"train": {**QUICK_CLASSES["train"], "n_folds": 1, "ensemble": {}}, "predict": {}}
    classification(project, **alone)
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    project.run("t", *STAGES)
    monkeypatch.delenv("TROPHO_TRACKING")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert project.run("t", "evaluate").text.count("MLflow can't be reached") == 1
    assert (project.root / "reports" / "t" / "evaluate" / "metrics.json").exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "what it had missed of: train t" in project.run("t", "submit").text
    (run_id,) = {version.run_id for version in versions(project)}
    client = connect(tracking_uri(project.root))
    assert client.get_run(run_id).data.tags["validation_hash"]
    assert [each.path for each in client.list_artifacts(run_id, "evaluate")] == [
        "evaluate/figures",
        "evaluate/metrics.json",
        "evaluate/tables",
    ]


@pytest.mark.parametrize(
    ("earlier", "own", "champion", "told"),
    [
        ([("a", 0.9)], ("a", 0.8), False, False),
        ([("a", 0.9)], ("a", 0.9), True, False),
        ([("a", 0.9)], ("b", 0.2), True, True),
        ([("a", 0.9), ("b", 0.1)], ("b", 0.2), True, False),
        ([("a", 0.1), ("b", 0.9)], ("b", 0.2), False, False),
        ([(None, 0.9)], ("a", 0.2), True, False),
        ([("a", 0.9)], ("a", None), False, False),
    ],
)
def test_champion_is_the_best_comparable_run(tmp_path, capsys, earlier, own, champion, told):
    ids = []
    for key, score in [*earlier, own]:
        with open_tracker(tmp_path).run("train t", "t", tags={"stage": "train", "validation_hash": key}) as run:
            run.log_metrics({"score": score})
        ids.append(run.id)
    assert register_ensemble._is_best(Paths(tmp_path, "t"), ids[-1], own[0]) == champion
    assert ("without a comparison" in capsys.readouterr().err) == told


@pytest.mark.parametrize(
    "change",
    [{"folds": [{"fold": 1}]}, {"score_name": "accuracy"}, {"data_hash": "other"}, {"classes": ["a"]}],
)
def test_scores_compare_on_the_same_data(settings, change):
    from types import SimpleNamespace

    record = {"folds": [{"fold": 0}], "score_name": "balanced_accuracy"}
    inputs = {"classes": ["a", "b"], "data_hash": "one"}

    def key(changed):
        own = {name: value for name, value in changed.items() if name in inputs}
        return register_ensemble.validation_hash(
            settings("cells_demo"), SimpleNamespace(**{**inputs, **own}), {**record, **changed}
        )

    assert key({}) == key({"run_id": "any", "folds": [{"fold": 0, "score": 0.5}]})
    assert key(change) != key({})


def test_requirements():
    pins = dict(line.split("==") for line in requirements())
    assert {"torch", "mlflow", "safetensors"} <= set(pins)
    assert all(pins.values())
    assert "pytest" not in pins
