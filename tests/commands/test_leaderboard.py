"""Leaderboard of trainings: width, comparison with the present settings, ranking."""

import json

import pytest
import yaml

from conftest import ROOT
from tropho.commands import leaderboard
from tropho.commands.leaderboard import print_leaderboard
from tropho.errors import UsageError
from tropho.tracking import open_tracker, tracked_parameters


def test_print_leaderboard_refuses_an_unknown_task(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    leaderboard.print_leaderboard(tmp_path, None)
    leaderboard.print_leaderboard(tmp_path, "retina_oct")
    shown = capsys.readouterr().out
    assert shown.count("No training has been tracked yet") == 2
    assert shown.count("add retina_oct to `active` in params.yaml, then run `dvc repro`") == 1
    with pytest.raises(UsageError, match="nobody"):
        leaderboard.print_leaderboard(tmp_path, "nobody")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def track(root, settings):
    """Track a training of cells_demo: track("a", 0.9, data="x", trained=1, **{"train.lr": 0.1})."""

    def make(score, data="x", trained=1, evaluated=None, experiment=None, dirty="false", **changes):
        tags = {"stage": "train", "score_name": "balanced_accuracy", "validated_on": data, "git_commit": "0" * 40}
        tags |= {"git_dirty": dirty}
        tags |= {"dvc_experiment": experiment} if experiment else {}
        with open_tracker(root).run("train cells_demo", "cells_demo", tags=tags) as run:
            run.log_params(tracked_parameters(settings("cells_demo", **changes)))
            run.log_metrics({"score": score, "seconds": 9.0, "trained_folds": trained, **(evaluated or {})})
        return run.id

    return make


def test_print_leaderboard_as_json(root, track, capsys):
    best = track(0.9, **{"train.lr": 0.01})
    print_leaderboard(root, "cells_demo", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [(run["id"], run["score"], run["parameters"]["train.lr"]) for run in found["runs"]] == [(best, 0.9, "0.01")]
    assert found["submissions"] == []


def test_print_leaderboard_compares_with_present_settings(root, track, capsys):
    best = track(0.9, **{"train.lr": 0.000316227766, "augment.image_size": 96, "model.backbone": "resnet34"})
    usual = track(0.8)
    skipped = track(0.85, trained=0)
    print_leaderboard(root, "cells_demo")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 120
    assert skipped[:8] not in text
    lines = {run: next(line for line in text.splitlines() if run[:8] in line) for run in (best, usual)}
    assert lines[best].split()[:2] == ["1", "0.9000"]
    assert lines[usual].split()[:2] == ["2", "0.8000"]
    assert lines[usual].split()[-1] == "-"
    told = "".join(line[lines[best].index("augment") :].strip() for line in text.splitlines() if "=" in line)
    assert "augment.image_size=96" in told
    assert "0.0003162" in told
    assert "0.000316227766" not in text


def test_print_leaderboard_shows_what_a_difference_is_worth(root, track, capsys):
    track(0.9)
    track(0.7, evaluated={"oof_low": 0.55, "oof_high": 0.9, "oof_images": 18}, experiment="treed-ambo")
    print_leaderboard(root, "cells_demo")
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines() if "9 s" in line]
    assert lines[0][:6] == ["1", "0.9000", "-", "-", "9", "s"]
    assert "00000000" in lines[0]
    assert lines[1][:8] == ["2", "0.7000", "0.550", "to", "0.900", "18", "9", "s"]
    assert "treed-ambo" in lines[1]
    assert "may differ by chance" in text


def test_print_leaderboard_marks_runs_with_uncommitted_changes(root, track, capsys):
    track(0.8)
    track(0.7, dirty="true", experiment="treed-ambo")  # its name leads to its changes
    print_leaderboard(root, "cells_demo")
    assert "+" not in capsys.readouterr().out
    track(0.9, dirty="true")
    print_leaderboard(root, "cells_demo")
    text = capsys.readouterr().out
    commits = [line.split()[-3] for line in text.splitlines() if "9 s" in line]
    assert commits == ["00000000+", "00000000", "treed-ambo"]
    assert " ".join(text.split()).endswith(leaderboard.UNCOMMITTED)


def test_print_leaderboard_ranks_by_data(root, track, capsys):
    track(0.9, data="before")
    track(0.7, data="now")
    print_leaderboard(root, "cells_demo")
    text = capsys.readouterr().out
    assert text.count("not comparable with the runs above") == 1
    ranks = [line.split()[:2] for line in text.splitlines() if line.strip().startswith("1 ")]
    assert ranks == [["1", "0.7000"], ["1", "0.9000"]]  # the latest data first


def test_a_task_that_is_no_longer_there_still_has_its_runs(root, track, capsys):
    track(0.9)
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    del params["tasks"]["cells_demo"]
    params["active"] = []
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    print_leaderboard(root, None)
    assert "0.9000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (
            "",
            "In MLflow, by `mlflow ui --backend-store-uri sqlite:///mlflow.db`:\nhttp://127.0.0.1:5000/#/experiments/7/",
        ),
        ("http://me:secret@example.org/", "In MLflow: http://example.org/#/experiments/7/"),
        ("postgresql://me:secret@host/db", "In MLflow, by `mlflow ui --backend-store-uri $MLFLOW_TRACKING_URI`:\nhttp"),
    ],
)
def test_mlflow_address(tmp_path, monkeypatch, uri, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    told = leaderboard.mlflow_address(tmp_path.resolve(), "7")
    assert told.startswith(address)
    assert "viewStateShareKey=tropho" in told
    assert "secret" not in told
