"""State of each stage, results of each task, and how both are printed."""

import json
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT
from tropho.commands import status
from tropho.config.load import task_settings
from tropho.files import write_json
from tropho.paths import Paths
from tropho.training.checkpoint import Checkpoint, TrainState


def test_stage_states_follow_the_lock(tmp_path):
    (tmp_path / "there").touch()
    params = {"tasks": {"t": {"train": {"epochs": 3}}}}

    def state(entry):
        return status.stage_states("t", {} if entry is None else {"train@t": entry}, params, tmp_path)["train"]

    def state_of(outs, **recorded):
        return state({"outs": [{"path": out} for out in outs], "params": {"params.yaml": recorded}})

    assert state(None) == "-"
    assert state({}) == "done"
    assert state_of(["there"], **{"tasks.t.train": {"epochs": 3}}) == "done"
    assert state_of(["there"], **{"tasks.t.train": {"epochs": 3}, "tasks.t.train.epochs": 4}) == "changed"
    assert state_of(["there"], **{"tasks.t.other.key": 1}) == "changed"
    assert state_of(["there", "gone"], **{"tasks.t.train": {"epochs": 3}}) == "lost"


def test_a_stopped_training_is_said_and_continued_first(tmp_path, capsys):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    paths = Paths(tmp_path, "cells_demo")
    headline = {"name": "balanced_accuracy", "subset": "test", "value": 0.5}
    write_json(paths.metrics, {})
    write_json(paths.evaluate / "metrics.json", {"headline": headline})
    outs = {"train": paths.models, "evaluate": paths.evaluate}
    lock = {f"{stage}@cells_demo": {"cmd": "", "outs": [{"path": str(path)}]} for stage, path in outs.items()}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    (paths.runs / "0123" / "fold0").mkdir(parents=True)
    Checkpoint(paths.runs / "0123" / "fold0").save(TrainState(history=[{"epoch": 1.0}, {"epoch": 2.0}]))
    status.print_status(tmp_path, "cells_demo")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    row = next(line.split() for line in lines if line.startswith("cells_demo"))
    assert row[-4:] == ["stopped", "outdated", "-", "-"]
    epochs = task_settings("cells_demo", params).train.epochs
    assert f"cells_demo: training stopped at epoch 2/{epochs} of fold0" in lines
    assert "outdated: an earlier stage is not done" in lines
    assert any(line.startswith("cells_demo") and "0.5000 (outdated)" in line for line in lines)
    first = lines.index("# run the stages that are not done")
    assert lines[first - 1].startswith("Next")
    assert lines[first + 1] == "dvc repro report@cells_demo"
    assert not any("dvc exp" in line for line in lines)
    status.print_status(tmp_path, "malaria")
    assert "outdated" not in capsys.readouterr().out


def test_a_stage_whose_lock_is_held_is_running(tmp_path):
    lock = Paths(tmp_path, "t").lock("train")
    lock.parent.mkdir(parents=True)
    hold = (
        f"import fcntl; f = open({str(lock)!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        assert status.stage_states("t", {}, {}, tmp_path)["train"] == "running"
        process.communicate("\n")
    assert status.stage_states("t", {}, {}, tmp_path)["train"] == "-"


@pytest.mark.parametrize("active", [["cells_demo"], []])
def test_print_status_prints_active_tasks_bold(tmp_path, capsys, monkeypatch, active):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "active": active}))
    status.print_status(tmp_path)
    printed = capsys.readouterr().out
    assert ("\x1b[1mcells_demo" in printed) == bool(active)
    assert "\x1b[1msmear_demo" not in printed
    assert "submission" not in printed
    status.print_status(tmp_path, "malaria")
    printed = capsys.readouterr().out
    assert "malaria" in printed
    assert "smear_demo" not in printed


def test_results_of_show_what_has_run(tmp_path):
    paths = Paths(tmp_path, "smear_demo")
    assert set(status.results_of(paths).values()) == {"smear_demo", "-"}
    write_json(paths.evaluate / "metrics.json", {"headline": {"name": "map", "subset": "oof", "value": None}})
    paths.submission.parent.mkdir()
    paths.submission.write_text("x")
    paths.report.touch()
    row = status.results_of(paths)
    assert (row["score"], row["subset"], row["value"], row["leaderboard"]) == ("map", "oof", "undefined", "-")
    assert row["submission"] == "submissions/smear_demo.csv"
    assert row["report"] == "reports/smear_demo/index.html"
    competition = "Image_ID,class,confidence,ymin,xmin,ymax,xmax\na,WBC,0.9,0,0,10,10\n"
    paths.submission.write_text(competition)
    paths.held_out.parent.mkdir(parents=True)
    paths.held_out.write_text(competition)
    assert status.results_of(paths)["leaderboard"] == "1.0000"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"oof": {}}', '{"headline": {"name": "map"}}', '{"headline": {"value": "x"}}', "\xff"]
)
def test_damaged_metrics_are_named_in_their_row(tmp_path, capsys, content):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    path = Paths(tmp_path, "cells_demo").evaluate / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))
    status.print_status(tmp_path)
    printed = capsys.readouterr().out
    assert "metrics.json is damaged" in printed
    assert "run `dvc repro -f evaluate@cells_demo`" in printed
    assert "chest_xray" in printed


def test_what_comes_next_is_of_an_active_task_with_a_score(tmp_path, capsys):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "active": ["brain_tumor"]}))
    status.print_status(tmp_path)
    printed = capsys.readouterr().out
    assert "tropho new-task NAME FOLDER" in printed
    assert "dvc exp run" not in printed
    for task in ("cells_demo", "brain_tumor"):
        write_json(Paths(tmp_path, task).metrics, {})
    status.print_status(tmp_path)
    printed = capsys.readouterr().out
    assert "dvc exp run -S ++tasks.brain_tumor." in printed
    assert "++tasks.cells_demo." not in printed


def test_several_active_tasks_have_two_lines_of_advice_each(tmp_path, capsys):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    active = ["cells_demo", "brain_tumor", "smear_demo"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "active": active}))
    for task in ("cells_demo", "brain_tumor"):
        write_json(Paths(tmp_path, task).metrics, {})

    def advice(*task):
        status.print_status(tmp_path, *task)
        return [line.strip() for line in capsys.readouterr().out.split("Next (after")[1].splitlines()[1:]]

    lines = advice()
    assert lines[4:6] == ["# smear_demo: train and evaluate it", "dvc repro report@smear_demo"]
    for place, task in ((0, "brain_tumor"), (2, "cells_demo")):
        assert lines[place].startswith(f"# {task}: ")
        assert lines[place + 1].startswith(f"dvc exp run -S ++tasks.{task}.")
    assert lines[6:10:2] == ["# all advice for one task", "# use your own images in place of this demo's"]
    assert lines[7:10:2] == ["tropho status brain_tumor", "tropho new-task NAME FOLDER"]
    assert len(lines) == 12
    alone = advice("cells_demo")
    assert len([line for line in alone if line.startswith("dvc exp run")]) == 3
    assert "tropho leaderboard cells_demo" in alone


def test_status_as_json_has_nulls_for_what_is_not_there(tmp_path, capsys):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_json(
        Paths(tmp_path, "malaria").evaluate / "metrics.json",
        {"headline": {"name": "map", "subset": "oof", "value": 0.5}},
    )
    status.print_status(tmp_path, as_json=True)
    found = {task["task"]: task for task in json.loads(capsys.readouterr().out)}
    assert found["malaria"]["value"] == "0.5000"
    assert found["malaria"]["report"] is None
    assert found["malaria"]["stages"]["train"] == "-"
    assert found["smear_demo"]["active"]
    assert found["malaria"]["next"][-1] == "tropho leaderboard malaria"


def test_the_score_on_hidden_test_labels_is_shown_where_a_task_has_one(tmp_path, capsys, monkeypatch):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    headline = {"headline": {"name": "balanced_accuracy", "subset": "test", "value": 0.5}}
    write_json(Paths(tmp_path, "brain_tumor").evaluate / "metrics.json", headline)
    status.print_status(tmp_path)
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed
    assert "hidden test" not in printed
    monkeypatch.setattr(status, "results_of", lambda paths: dict.fromkeys(status.RESULTS, "0.5"))
    status.print_status(tmp_path, "smear_demo")
    assert " hidden test " in capsys.readouterr().out
