"""The pipeline through real `dvc` commands, from raw files to report."""

import json
import os
import re
import signal
import subprocess
import time

import pandas as pd
import pytest

from tropho.files import sha256_of
from tropho.stages import STAGES
from tropho.stages.submit import BEFORE
from tropho.tracking.provenance import stages_lock

pytestmark = pytest.mark.pipeline

TASKS = ("smear_demo", "cells_demo")


def stages_run(output: str) -> list[str]:
    """The stages that ran, less the look for changed files, which runs always."""
    ran = re.findall(r"Running stage '([\w@]+)'", output)
    return [stage for stage in ran if not stage.startswith("fingerprint@")]


def test_every_stage_leaves_its_files(built):
    for task in TASKS:
        for path in (
            f"data/raw/{task}/provenance.json",
            f"data/audit/{task}/images.csv",
            f"data/splits/{task}.csv",
            f"data/augmented/{task}/previews.png",
            f"data/tuned/{task}.yaml",
            f"models/{task}/fold0/weights.safetensors",
            f"models/{task}/fold0/history.csv",
            f"curves/{task}.csv",
            f"metrics/{task}.json",
            f"reports/{task}/evaluate/oof.parquet",
            f"submissions/{task}.csv",
            f"submissions/{task}.json",
            f"reports/{task}/index.html",
            f"reports/{task}/document/report.md",
        ):
            assert (built.path / path).stat().st_size > 0, path
    assert {path.name for path in (built.path / "runs" / "smear_demo").rglob("fold0/*")} == {
        "weights.safetensors",
        "history.csv",
        "fold.json",
    }


def test_a_second_repro_does_nothing(built):
    assert stages_run(built.run("dvc", "repro").stdout) == []
    assert built.run("git", "status", "--porcelain").stdout == ""


def test_metrics_have_a_headline(built):
    for task, name, on in (
        ("smear_demo", "leaderboard_map", "oof"),
        ("cells_demo", "balanced_accuracy", "test"),
    ):
        metrics = json.loads((built.path / f"reports/{task}/evaluate/metrics.json").read_text())
        assert next(iter(metrics)) == "headline"
        assert (metrics["headline"]["name"], metrics["headline"]["subset"]) == (name, on)
        assert metrics["headline"]["value"] == metrics[on][name]
        assert 0 <= metrics["headline"]["value"] <= 1


def test_out_of_fold_predictions_are_of_the_validation_fold_alone(built):
    for task in TASKS:
        splits = pd.read_csv(built.path / f"data/splits/{task}.csv")
        oof = pd.read_parquet(built.path / f"reports/{task}/evaluate/oof.parquet")
        fold0 = splits.loc[(splits["subset"] == "train") & (splits["fold"] == 0), "image_id"]
        assert set(oof["image_id"]) == set(fold0)
        assert set(oof["fold"]) == {0}


def test_the_submission_is_accepted(built):
    sample = "data/raw/smear_demo/SampleSubmission.csv"
    built.run("tropho", "check-submission", "submissions/smear_demo.csv", "--sample", sample)
    truth = "data/held_out/smear_demo/Truth.csv"
    result = json.loads(built.run("tropho", "score", truth, "submissions/smear_demo.csv").stdout)
    assert set(result["ap"]) == {"NEG", "Trophozoite", "WBC"}
    assert result["score"] == pytest.approx(sum(result["ap"].values()) / 3, abs=1e-12)


@pytest.mark.slow
def test_the_ledger_names_the_submission_and_takes_its_score(checkout):
    copy = checkout()
    ledger = copy.path / "submissions/smear_demo.ledger.csv"
    (before,) = pd.read_csv(ledger).to_dict("records")
    record = json.loads((copy.path / "submissions/smear_demo.json").read_text())
    assert before["sha256"] == record["sha256"] == sha256_of(copy.path / "submissions/smear_demo.csv")
    assert before["run_id"] == record["run_id"]
    assert before["score"] == record["score"]["oof"]
    locked = stages_lock(copy.path, "smear_demo", BEFORE)
    assert before["stages_lock"] == locked
    assert before["git_dirty"] is False

    copy.run("tropho", "record-score", "smear_demo", "0.5")
    assert stages_run(copy.run("dvc", "repro").stdout) == ["submit@smear_demo", "report@smear_demo"]
    (after,) = pd.read_csv(ledger).to_dict("records")
    assert after["public"] == 0.5
    assert after["written"] == before["written"]
    assert "Leaderboard against cross-validation" in (copy.path / "reports/smear_demo/index.html").read_text()
    assert stages_run(copy.run("dvc", "repro").stdout) == []


def test_status_says_how_far_it_went(built):
    rows = [line.replace(" * ", " ").split() for line in built.run("tropho", "status").stdout.splitlines()]
    states = {row[0]: row[2:] for row in rows if len(row) == 2 + len(STAGES)}
    assert states["smear_demo"] == ["done"] * len(STAGES)
    assert states["malaria"] == ["-"] * len(STAGES)
    assert "reports/cells_demo/index.html" in built.run("tropho", "status").stdout


def test_a_train_setting_reruns_tune_onward_for_that_task_alone(checkout):
    copy = checkout()
    copy.edit(smear_demo={"train": {"clip_grad_norm": 4.0}})
    rerun = stages_run(copy.run("dvc", "repro", "--dry").stdout)
    assert set(rerun) <= {f"{stage}@smear_demo" for stage in ("tune", "train", "evaluate", "submit", "report")}
    assert "train@smear_demo" in rerun


def test_the_last_stage_says_what_came_of_it_and_nothing_warns(checkout):
    copy = checkout()
    copy.edit(cells_demo={"tune": {"trials": 0}})
    done = copy.run("dvc", "repro", "tune@cells_demo")
    assert "is empty" not in done.stdout + done.stderr
    done = copy.run("tropho", "report", "cells_demo").stdout
    assert "score       balanced accuracy 0." in done
    assert "report      reports/cells_demo/index.html" in done
    assert "dvc exp run -S ++tasks.cells_demo." in done


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_stops_dvc_and_the_training(checkout):
    copy = checkout()
    copy.edit(cells_demo={"train": {"epochs": 50, "val_interval": 50}, "tune": {"trials": 0}})
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child keeps what its parent ignores
    try:
        process = subprocess.Popen(
            ["dvc", "repro", "train@cells_demo"],
            cwd=copy.path,
            env=copy.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    for line in process.stdout:
        if "epoch 2/50" in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    rest = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    epoch = re.search(r"tropho: fold0 stopped after epoch (\d+); run the same command to go on\.", rest)[1]
    done = copy.run("tropho", "train", "cells_demo")
    assert f"fold0  goes on after epoch {epoch}" in done.stderr


@pytest.mark.slow
def test_a_member_joins_without_training_the_others_again(checkout):
    copy = checkout()
    weights = copy.path / "models/smear_demo/fold0/weights.safetensors"
    before, history = sha256_of(weights), weights.with_name("history.csv").read_bytes()
    copy.edit(
        smear_demo={
            "train": {"ensemble": {"coarse": {"augment.image_size": 128, "model.num_head_convs": 1, "train.epochs": 1}}}
        }
    )
    copy.run("dvc", "repro", "submit@smear_demo")
    assert (sha256_of(weights), weights.with_name("history.csv").read_bytes()) == (before, history)
    assert (copy.path / "models/smear_demo/coarse/fold0/weights.safetensors").exists()
    metrics = json.loads((copy.path / "reports/smear_demo/evaluate/metrics.json").read_text())
    assert list(metrics["members"]) == ["base", "coarse"]
    sample = "data/raw/smear_demo/SampleSubmission.csv"
    copy.run("tropho", "check-submission", "submissions/smear_demo.csv", "--sample", sample)


def test_dvc_shows_metrics_and_plots(built):
    shown = json.loads(built.run("dvc", "metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    assert {file: list(each["data"]) for file, each in files.items()} == {
        f"metrics/{task}.json": ["score", "low", "high", "out_of_fold"] for task in TASKS
    }
    page = built.run("dvc", "plots", "diff", "HEAD", "-o", "plots").stdout
    assert "index.html" in page
    assert all(f"curves/{task}.csv" in (built.path / "plots" / "index.html").read_text() for task in TASKS)


@pytest.mark.slow
def test_an_experiment_changes_one_setting(checkout):
    copy = checkout()
    copy.run("dvc", "exp", "run", "--name", "smoother", "-S", "++tasks.cells_demo.train.label_smoothing=0.1")
    shown = copy.run("dvc", "exp", "show", "--csv").stdout
    assert "smoother" in shown
    assert "label_smoothing: 0.1" in (copy.path / "params.yaml").read_text()


@pytest.mark.slow
@pytest.mark.fault(
    "a training is killed, with DVC or by DVC alone",
    "goes on; the weights are those of one never killed",
)
@pytest.mark.parametrize(("task", "alone"), [("smear_demo", False), ("cells_demo", True)])
def test_a_killed_training_ends_with_the_weights_of_one_never_killed(checkout, task, alone):
    """Kill DVC and all that it has started, or DVC alone."""
    whole, killed = checkout(), checkout()
    weights = f"models/{task}/fold0/weights.safetensors"
    before = sha256_of(killed.path / weights)
    for copy in (whole, killed):
        copy.edit(**{task: {"train": {"epochs": 3, "ema_decay": 0.9}, "tune": {"trials": 0}}})
    whole.run("dvc", "repro", f"train@{task}")

    process = subprocess.Popen(
        ["dvc", "repro", f"train@{task}"],
        cwd=killed.path,
        env=killed.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    checkpoint = killed.path / "runs" / task
    deadline = time.monotonic() + 300
    while not list(checkpoint.glob("*/fold0/state.pt")):
        assert process.poll() is None, "training ended before its first checkpoint was seen"
        assert time.monotonic() < deadline
        time.sleep(0.05)  # waits for another process's file; the test does not depend on how long
    if alone:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
        assert sha256_of(killed.path / weights) == before  # the old model stays until the new one is whole
    process.wait()

    killed.run("dvc", "repro", f"train@{task}")
    assert sha256_of(killed.path / weights) == sha256_of(whole.path / weights)
    history = pd.read_csv(killed.path / f"models/{task}/fold0/history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
