"""State of each stage, and the list of tasks."""

import pytest
import yaml

from conftest import ROOT
from tropho.commands import status, summary
from tropho.paths import Paths
from tropho.submission.submission_log import append, record


def test_state_follows_the_lock(tmp_path):
    (tmp_path / "there").touch()
    params = {"tasks": {"t": {"train": {"epochs": 3}}}}

    def told(outs, **recorded):
        entry = {"outs": [{"path": each} for each in outs], "params": {"params.yaml": recorded}}
        return status._state(entry, params, tmp_path)

    assert status._state(None, params, tmp_path) == "-"
    assert status._state({}, params, tmp_path) == "done"
    assert told(["there"], **{"tasks.t.train": {"epochs": 3}}) == "done"
    assert told(["there"], **{"tasks.t.train": {"epochs": 3}, "tasks.t.train.epochs": 4}) == "changed"
    assert told(["there"], **{"tasks.t.other.key": 1}) == "changed"
    assert told(["there", "gone"], **{"tasks.t.train": {"epochs": 3}}) == "lost"


@pytest.mark.parametrize("active", [["cells_demo"], []])
def test_print_tasks_marks_active_tasks(tmp_path, capsys, monkeypatch, active):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "active": active}))
    status.print_tasks(tmp_path)
    printed = capsys.readouterr().out
    assert ("\x1b[1mcells_demo" in printed) == bool(active)
    assert "\x1b[1msmear_demo" not in printed
    rows = summary.summarise(tmp_path)
    assert [row["task"] for row in rows] == active


@pytest.fixture
def recorded(tmp_path):
    """A root with two submissions of cells_demo in the ledger, the first of them scored."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    paths = Paths(tmp_path, "cells_demo")
    for day, digest in enumerate("ab", start=1):
        entry = {"task": "cells_demo", "sha256": digest * 64, "written": f"2026-01-0{day}T10:00:00", "score": 0.9}
        append(paths.ledger, paths.ledger_copy, {**entry, "score_name": "m", "run_id": f"r{digest}"})
    record(paths.ledger, paths.ledger_copy, 0.85, 0.84, "aaa")
    return tmp_path
