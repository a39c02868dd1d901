"""Submissions of a small task, their log, and recorded scores, through the commands."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from typer.testing import CliRunner

from conftest import ROOT
from tropho.cli import app
from tropho.errors import DataError, UsageError
from tropho.files import read_json, write_json
from tropho.inference.ensemble_members import write_manifest
from tropho.paths import Paths
from tropho.stages import submit
from tropho.submission.submission_log import read_log
from tropho.tables import IMAGES, SPLITS, write_table
from tropho.tasks import build_task

CLASSES = ["Parasitized", "Uninfected"]


@pytest.fixture
def small(settings, tmp_path, monkeypatch):
    """Settings, and a root in which cells_demo is evaluated: four test images."""
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    made = settings("cells_demo", **{"model.name": "mlp", "model.hidden_units": [], "augment.image_size": 16})
    paths = Paths(tmp_path, made.name)
    fold = paths.models / "fold0"
    fold.mkdir(parents=True)
    model = build_task(made, CLASSES).build_model()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, fold / "weights.safetensors")
    (fold / "config.yaml").write_text(yaml.safe_dump({"settings": made.model_dump(), "classes": CLASSES}))
    write_json(paths.models / "run.json", {"score_name": "balanced_accuracy", "run_id": "r1", "folds": [{"fold": 0}]})
    ids = [f"{number}.png" for number in range(4)]
    images = pd.DataFrame({"image_id": ids, "subset": "test", "status": "ok"}).reindex(columns=list(IMAGES))
    write_table(images, paths.audit / "images.csv", IMAGES)
    splits = pd.DataFrame({"image_id": ids, "subset": "test", "fold": -1, "group": ids})
    write_table(splits, paths.splits, SPLITS)
    write_manifest(paths.evaluate, read_json(paths.models / "run.json"), made)
    evaluated(paths, 0.9)
    return made, tmp_path


def evaluated(paths: Paths, score: float) -> None:
    """Leave behind what evaluate does, with predictions that differ from score to score."""
    shares = torch.linspace(0.1, score, 4).double().numpy()
    ids = [f"{number}.png" for number in range(4)]
    table = pd.DataFrame({"image_id": ids, "p_Parasitized": shares, "p_Uninfected": 1 - shares})
    write_table(table, paths.evaluate / "test.parquet")
    write_table(table.assign(fold=0), paths.evaluate / "oof.parquet")
    write_json(paths.evaluate / "postprocess.json", {})
    write_json(paths.evaluate / "metrics.json", {"oof": {"balanced_accuracy": score}})


def record_score(*arguments):
    return CliRunner().invoke(app, ["record-score", *arguments])


def test_submit_twice_keeps_both(small):
    made, root = small
    paths = Paths(root, made.name)
    first = submit.run(made, root)
    assert submit.run(made, root)["sha256"] == first["sha256"]
    evaluated(paths, 0.95)
    second = submit.run(made, root)
    log = read_log(paths.submission_log, paths.log_copy)
    assert log["sha256"].tolist() == [first["sha256"], second["sha256"]]
    assert log["score"].tolist() == [0.9, 0.95]
    assert log["run_id"].tolist() == ["r1", "r1"]
    assert json.loads(paths.submission.with_suffix(".json").read_text())["sha256"] == second["sha256"]
    kept = pd.read_csv(paths.archive / f"{first['sha256'][:8]}.csv.gz")
    assert len(kept) == 4

    told = record_score("cells_demo", "0.89", "--file", first["sha256"][:6])
    assert told.exit_code == 0, told.output
    assert first["sha256"][:8] in told.output
    record_score("cells_demo", "0.80", "--private", "0.79")
    log = read_log(paths.submission_log, paths.log_copy)
    assert log["public"].tolist() == [0.89, 0.80]
    assert log["private"].tolist()[1] == 0.79
    assert paths.leaderboard.stat().st_size > 0
    shown = CliRunner().invoke(app, ["leaderboard", "cells_demo"]).output
    assert second["sha256"][:8] in shown
    assert "0.8900" in shown


def test_a_score_goes_to_the_file_that_is_there(small):
    made, root = small
    paths = Paths(root, made.name)
    first = submit.run(made, root)
    evaluated(paths, 0.95)
    submit.run(made, root)
    evaluated(paths, 0.9)
    assert submit.run(made, root)["sha256"] == first["sha256"]
    record_score("cells_demo", "0.7")
    assert read_log(paths.submission_log, paths.log_copy)["public"].tolist()[0] == 0.7


def test_a_task_without_submissions_is_wrong_usage(small):
    assert isinstance(record_score("malaria", "0.5").exception, UsageError)
    assert not Path("submissions/malaria.ledger.csv").exists()


def test_submit_without_test_images_logs_nothing(small, settings):
    made, root = small
    held_back = settings(
        "cells_demo",
        **{"model.name": "mlp", "model.hidden_units": [], "augment.image_size": 16, "evaluate.score_test": False},
    )
    paths = Paths(root, made.name)
    record = read_json(paths.models / "run.json")
    write_manifest(paths.evaluate, record, held_back)
    assert submit.run(held_back, root)["rows"] == 0
    assert read_log(paths.submission_log, paths.log_copy).empty
    assert paths.submission_log.exists()  # an output of the stage
    write_manifest(paths.evaluate, record, made)
    submit.run(made, root)
    assert len(read_log(paths.submission_log, paths.log_copy)) == 1


def test_submit_refuses_an_evaluation_without_manifest(small):
    made, root = small
    (Paths(root, made.name).evaluate / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"does not say which models it is of; run `tropho evaluate cells_demo`\.$"):
        submit.run(made, root)


@pytest.mark.parametrize(
    ("changes", "run_id", "asked"),
    [
        ({}, "r2", "changed since: member base); run `tropho evaluate cells_demo`"),
        ({"predict.tta": ["identity", "hflip"]}, "r1", "changed since: predict.tta); run `tropho evaluate cells_demo`"),
        ({"evaluate.score_test": False}, "r1", "changed since: evaluate.score_test); run `tropho evaluate cells_demo`"),
        ({"train.ensemble": {"b": {"train.seed": 1}}}, "r1", "params.yaml asks for base, b; run `dvc repro`"),
    ],
)
def test_submit_refuses_predictions_of_other_models(small, settings, changes, run_id, asked):
    made, root = small
    paths = Paths(root, made.name)
    record = read_json(paths.models / "run.json")
    write_manifest(paths.evaluate, {**record, "folds": [{"fold": 0, "run_id": "r1"}]}, made)
    write_json(paths.models / "run.json", {**record, "folds": [{"fold": 0, "run_id": run_id}]})
    now = settings("cells_demo", **{"model.name": "mlp", "model.hidden_units": [], "augment.image_size": 16, **changes})
    with pytest.raises(DataError, match=re.escape(asked)):
        submit.run(now, root)


def test_submitted_ids_are_published_or_held_out():
    images = pd.DataFrame({"image_id": ["a", "b", "c"], "subset": ["train", "test", "test"]})
    splits = pd.DataFrame({"image_id": ["a", "b"], "subset": ["test", "test"]})
    assert submit.submitted_ids(images, splits) == ["b", "c"]
    assert submit.submitted_ids(images[:1], splits.assign(subset=["test", "train"])) == ["a"]


def target(followed=None, sample=None, known=()):
    return SimpleNamespace(
        followed=followed, sample=sample, layout=SimpleNamespace(problem="it is odd"),
        matches=SimpleNamespace(images=dict.fromkeys(known)),
    )  # fmt: skip


def test_why_unchecked():
    sample = SimpleNamespace(path="S.csv")
    assert "evaluate.score_test is false" in submit._why_unchecked(target(sample=sample), has_rows=False)
    assert (
        submit._why_unchecked(target(sample=sample), has_rows=True)
        == "The submission does not follow S.csv: it is odd."
    )
    assert submit._why_unchecked(target(), has_rows=True).startswith("There is no sample submission")


def test_unpredicted_images_by_status():
    ids = [f"i{number}" for number in range(9)]
    images = pd.DataFrame({"image_id": ids, "status": ["ok"] + ["missing"] * 6 + ["damaged"] * 2})
    splits = pd.DataFrame({"image_id": ["i0", "i8"], "subset": ["test", "train"]})
    found = submit._unpredicted(images, splits, ids, target())
    assert found == {
        "missing": {"images": 6, "first": ["i1", "i2", "i3", "i4", "i5"]},
        "damaged": {"images": 2, "first": ["i7", "i8"]},
    }
    told = submit._unpredicted_sentence(found)
    assert told.endswith("hold default values: 8 (6 missing: i1, i2, i3, i4, i5, ...; 2 damaged: i7, i8).")
    five = submit._unpredicted_sentence({"missing": {"images": 5, "first": ids[:5]}})
    assert five.endswith("5 (5 missing: i0, i1, i2, i3, i4).")
    sample = SimpleNamespace(ids=["x", "y"])
    strange = submit._unpredicted(images, splits, ["i0"], target(sample, sample, known=["x"]))
    assert strange == {"no test image": {"images": 1, "first": ["y"]}}
    assert submit._unpredicted(images, splits, ["i0"], target(sample, sample, known=["x", "y"])) == {}


def test_submission_rows_round_scores_only(tmp_path):
    table = pd.DataFrame({"image_id": ["a"], "score": [0.1234567], "p_a": [0.7654321], "xmin": [1.23456789]})
    write_table(table, tmp_path / "test.parquet")
    write_json(tmp_path / "postprocess.json", {})
    task = SimpleNamespace(postprocess=lambda found, *_: found, to_submission=lambda found, ids: found)
    found = submit.submission_rows(task, tmp_path, ["a"], None)
    assert found.iloc[0].tolist() == ["a", 0.123457, 0.765432, 1.23456789]
    (tmp_path / "test.parquet").unlink()
    write_table(table.assign(fold=0), tmp_path / "oof.parquet")
    assert len(submit.submission_rows(task, tmp_path, [], None)) == 0
