"""The command line as a user meets it: exit codes, one-sentence errors, light start."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from conftest import ROOT

GOLDEN = ROOT / "tests" / "golden_zindi_map"


@pytest.fixture
def tropho(tmp_path):
    """Runs the real command in an empty folder that has the project's params.yaml."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())

    def run(*arguments, cwd=tmp_path):
        code = "from tropho.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", "HF_ENDPOINT": "http://127.0.0.1:9", "NO_COLOR": "1"},
        )

    return run


def one_sentence(done):
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tropho: ")
    assert "Traceback" not in done.stderr
    return lines[0]


def test_help_lists_every_stage_and_tool(tropho):
    shown = tropho("--help")
    assert shown.returncode == 0
    for name in ("download", "audit", "split", "augment", "tune", "train", "evaluate", "submit", "report"):
        assert name in shown.stdout
    for name in ("status", "doctor", "score", "check-submission", "predict", "upload", "leaderboard", "record-score"):
        assert name in shown.stdout


def test_an_unknown_task_is_wrong_usage(tropho):
    done = tropho("audit", "maleria")
    assert done.returncode == 2
    assert "did you mean 'malaria'" in one_sentence(done)


def test_an_unknown_command_is_wrong_usage(tropho):
    assert tropho("adit").returncode == 2


@pytest.mark.parametrize(
    ("retired", "present"),
    [
        (["tasks"], "status"),
        (["summary"], "status"),
        (["leaderboard", "--record", "malaria", "0.913"], "record-score"),
    ],
)
def test_a_retired_command_names_the_present_one(tropho, retired, present):
    done = tropho(*retired)
    assert done.returncode == 2
    assert f"is now `tropho {present}`" in one_sentence(done)


def test_a_folder_without_params_is_wrong_usage(tropho, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    done = tropho("status", cwd=empty)
    assert done.returncode == 2
    assert "params.yaml" in one_sentence(done)


def test_malaria_without_files_says_which_to_place_where(tropho):
    done = tropho("download", "malaria")
    assert done.returncode == 3
    sentence = one_sentence(done)
    for word in ("Train.csv", "Test.csv", "SampleSubmission.csv", "images.zip", "incoming"):
        assert word in sentence


@pytest.mark.parametrize("task", ["brain_tumor", "brain_tumor_binary", "retina_oct", "chest_xray"])
def test_a_hub_out_of_reach_is_exit_3(tropho, task, tmp_path):
    done = tropho("download", task)
    assert done.returncode == 3
    one_sentence(done)
    assert not (tmp_path / "data" / "raw" / task).exists()


def test_a_stage_before_its_input_is_exit_1(tropho):
    done = tropho("split", "smear_demo")
    assert done.returncode == 1
    assert "run" in one_sentence(done)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "retina_oct"], "then run `dvc repro augment@retina_oct`."),
        (["export", "retina_oct"], "then run `dvc repro`, or `tropho train retina_oct`."),
        (["split", "retina_oct"], "then run `dvc repro audit@retina_oct`."),
    ],
)
def test_a_task_that_is_not_active_is_to_be_added_before_dvc_runs(tropho, words, sentence):
    said = one_sentence(tropho(*words))
    assert said.endswith(f"; add retina_oct to `active` in params.yaml, {sentence}")


def test_an_active_task_is_not_to_be_added(tropho):
    assert "run `dvc repro augment@cells_demo` first" in one_sentence(tropho("check", "cells_demo"))


def test_debug_shows_the_traceback(tropho):
    done = tropho("--debug", "audit", "maleria")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_score_prints_json(tropho):
    done = tropho("score", GOLDEN / "truth.csv", GOLDEN / "jittered.csv")
    assert done.returncode == 0
    expected = json.loads((GOLDEN / "expected.json").read_text())["jittered"]
    result = json.loads(done.stdout)
    assert result["score"] == pytest.approx(expected, abs=1e-9)
    assert set(result) == {"score", "ap"}


def test_score_of_a_file_that_is_not_there(tropho):
    done = tropho("score", GOLDEN / "truth.csv", "nowhere.csv")
    assert done.returncode in {1, 2, 3}
    assert "nowhere.csv" in one_sentence(done)


def test_score_does_not_import_what_it_does_not_need(tropho):
    code = (
        "import sys; sys.argv = ['tropho', 'score', *sys.argv[1:]]\n"
        "from tropho.cli import main; main()\n"
        "heavy = {'torch', 'mlflow', 'cv2', 'sklearn', 'matplotlib', 'optuna', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    files = [str(GOLDEN / "truth.csv"), str(GOLDEN / "exact.csv")]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stage", ["audit", "split", "tune", "report"])
def test_stages_without_a_network_start_without_torch(stage):
    code = f"import sys, tropho.stages.{stage}; assert not {{'torch', 'mlflow', 'optuna'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_check_submission_lists_faults_by_row(tropho, tmp_path):
    sample = tmp_path / "SampleSubmission.csv"
    header = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\n"
    sample.write_text(header + "a.jpg,NEG,0.5,0,0,0,0\na.jpg,WBC,0.5,1,1,2,2\n")
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(header + "a.jpg,NEG,0.5,0,0,0,0\n")
    bad.write_text(header + "a.jpg,NEG,1.5,0,0,0,0\nb.jpg,WBC,0.5,5,1,2,2\n")
    assert tropho("check-submission", good, "--sample", sample).returncode == 0
    done = tropho("check-submission", bad, "--sample", sample)
    assert done.returncode == 1
    assert "2" in done.stdout
    assert "3" in done.stdout
    assert len(done.stdout.strip().splitlines()) >= 3


def test_status_lists_all_seven_tasks(tropho):
    done = tropho("status")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:8]] == [
        "smear_demo",
        "cells_demo",
        "malaria",
        "brain_tumor",
        "brain_tumor_binary",
        "retina_oct",
        "chest_xray",
    ]


def test_doctor_never_shows_a_credential(tropho, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:password@example.org")
    done = tropho("doctor")
    assert done.returncode == 0
    assert "HF_TOKEN set" in done.stdout
    assert "verysecret" not in done.stdout
    assert "password" not in done.stdout


@pytest.mark.real
def test_the_real_training_table_scores_one_against_itself(tropho, real_data):
    table = real_data / "lacuna" / "Train.csv"
    started = time.perf_counter()
    done = tropho("score", table, table)
    assert json.loads(done.stdout)["score"] == 1.0
    assert time.perf_counter() - started < 60  # a hang, not a slow machine: speed is measured in benchmarks/


def test_a_project_without_git_is_told_how_to_start(tropho, tmp_path):
    (tmp_path / "dvc.yaml").touch()
    done = tropho("audit", "malaria")
    assert done.returncode == 1
    first, second = done.stderr.strip().splitlines()
    assert "no git repository" in first
    assert "`git init && git add -A && git commit -m start`" in first
    assert "tropho download malaria" in second
    (tmp_path / ".git").mkdir()
    one_sentence(tropho("audit", "malaria"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_says_so_before_it_installs_anything(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(["make", "demo", "PYTHON=false"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run `git init && git add -A && git commit -m start`" in done.stderr
    (tmp_path / ".git").mkdir()
    done = subprocess.run(["make", "demo", "PYTHON=false"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "git init" not in done.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    code = "import os, signal, tropho.stages.audit as stage; from tropho.cli import main; "
    code += "stage.run = lambda *_: os.kill(os.getpid(), signal.SIGINT); main()"
    command = [sys.executable, "-c", code, "audit", "cells_demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert one_sentence(done) == "tropho: stopped; run the same command to go on."
