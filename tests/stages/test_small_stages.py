"""Uploads, summaries, states and lists: small stages on small inputs."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from PIL import Image

from conftest import ROOT
from tropho.commands import leaderboard, status, submissions
from tropho.errors import DataError, ExternalError, UsageError
from tropho.evaluation import register_ensemble
from tropho.files import sha256_of, write_json
from tropho.paths import Paths
from tropho.submission.box_frame import to_stored_frame
from tropho.submission.submission_log import LEDGER, append, record
from tropho.submission.target import audited_labels
from tropho.tables import BOX, IMAGES, conform


@pytest.fixture
def sent(monkeypatch):
    """What is uploaded, instead of an upload."""
    calls = []
    monkeypatch.setattr(submissions.zindi, "submit", lambda *call: calls.append(call) or "id7")
    return calls


@pytest.fixture
def checked(tmp_path, settings):
    """Settings of a task of Zindi's, and its submission as `submit` leaves it."""
    made = settings("smear_demo", **{"download.source": "zindi", "download.repo": "a-challenge"})
    path = Paths(tmp_path, made.name).submission
    path.parent.mkdir()
    path.write_text("a,b\n")
    score = {"name": "map", "oof": 0.51239}
    write_json(path.with_suffix(".json"), {"checked": True, "sha256": sha256_of(path), "score": score})
    return made, path


@pytest.mark.parametrize("comment", [None, "mine"])
def test_a_checked_submission_is_uploaded(checked, sent, tmp_path, comment):
    made, path = checked
    told = submissions.upload(made, tmp_path, comment)
    digest = sha256_of(path)[:8]
    assert sent == [("a-challenge", path, comment or f"map 0.5124 out of fold, {digest}")]
    assert f"({digest}) to 'a-challenge' as id7" in told


def test_what_is_not_checked_is_not_uploaded(checked, sent, tmp_path, settings):
    made, path = checked
    whole = json.loads(path.with_suffix(".json").read_text())
    write_json(path.with_suffix(".json"), {**whole, "checked": False})
    with pytest.raises(DataError, match="is not a file that"):
        submissions.upload(made, tmp_path, None)
    write_json(path.with_suffix(".json"), whole)
    path.write_text("a,c\n")
    with pytest.raises(DataError, match="is not a file that"):
        submissions.upload(made, tmp_path, None)
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError, match="is not there"):
        submissions.upload(made, tmp_path, None)
    path.unlink()
    write_json(path.with_suffix(".json"), whole)
    with pytest.raises(DataError, match="is not there"):
        submissions.upload(made, tmp_path, None)
    for changes in ({"download.source": "zindi", "download.repo": None}, {"download.repo": "a-challenge"}):
        download = made.download.model_copy(update={"source": "generate", "repo": None})
        download = download.model_copy(update={key.partition(".")[2]: value for key, value in changes.items()})
        with pytest.raises(UsageError, match="names no Zindi challenge"):
            submissions.upload(made.model_copy(update={"download": download}), tmp_path, None)
    assert sent == []


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
    write_json(paths.evaluate / "metrics.json", {"headline": {"name": "map", "on": "oof", "value": None}})
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


def test_labels_are_those_that_the_audit_found(tmp_path):
    raw = tmp_path / "data" / "raw"
    (raw / "t").mkdir(parents=True)
    write_json(Paths(tmp_path, "t").audit / "summary.json", {"sample": {"labels": ["a", "b"]}})
    assert audited_labels(raw / "t" / "Sample.csv", tmp_path) == ["a", "b"]
    assert audited_labels(raw / "t" / "deep" / "Sample.csv", tmp_path) == ["a", "b"]
    assert audited_labels(raw / "u" / "Sample.csv", tmp_path) == []
    assert audited_labels(tmp_path / "Sample.csv", tmp_path) == []
    write_json(Paths(tmp_path, "Sample.csv").audit / "summary.json", {"sample": {"labels": ["no"]}})
    assert audited_labels(raw / "Sample.csv", tmp_path) == []
    write_json(Paths(tmp_path, "u").audit / "summary.json", {"sample": None})
    assert audited_labels(raw / "u" / "Sample.csv", tmp_path) == []


def test_boxes_go_back_to_the_pictures_as_they_are_stored(tmp_path):
    exif = Image.Exif()
    for name, orientation in (("turned.png", 6), ("plain.png", 1), ("half.png", 3), ("empty.png", 6), ("alone.png", 6)):
        exif[0x0112] = orientation
        Image.new("RGB", (40, 20)).save(tmp_path / name, exif=exif)  # stored 40 x 20
    names = ["turned.png", "plain.png", "half.png", "gone.png", "empty.png", "alone.png"]
    images = pd.DataFrame({"image_id": names, "path": names, "width": 20, "height": 40})
    images.loc[images["image_id"].isin(["plain.png", "half.png"]), ["width", "height"]] = [40, 20]
    images = conform(images.reindex(columns=list(IMAGES)), IMAGES)
    boxes = {
        "turned.png": (2, 5, 8, 15), "plain.png": (2, 5, 8, 15), "half.png": (2, 5, 8, 15), "gone.png": (2, 5, 8, 15),
        "empty.png": (0, 0, 0, 0),
    }  # fmt: skip
    table = pd.DataFrame([(name, *map(float, box)) for name, box in boxes.items()], columns=["image_id", *BOX])
    flat = pd.DataFrame([("turned.png", 3.0, 4.0, 3.0, 9.0), ("turned.png", 3.0, 4.0, 9.0, 4.0)], columns=table.columns)
    moved, sizes = to_stored_frame(pd.concat([table, flat], ignore_index=True), images, tmp_path)
    found = moved[BOX].to_numpy().tolist()
    assert found[0] == [5, 20 - 8, 15, 20 - 2]  # the stored picture is the upright one turned counter-clockwise
    assert found[1] == [2, 5, 8, 15]
    assert found[2] == [32, 5, 38, 15]
    assert found[3:] == [[2, 5, 8, 15], [0, 0, 0, 0], [3, 4, 3, 9], [3, 4, 9, 4]]
    by_id = sizes.set_index("image_id")[["width", "height"]].astype(int)
    assert by_id.loc["turned.png"].tolist() == by_id.loc["empty.png"].tolist() == [40, 20]
    assert by_id.loc["half.png"].tolist() == by_id.loc["plain.png"].tolist() == [40, 20]
    assert by_id.loc["alone.png"].tolist() == by_id.loc["gone.png"].tolist() == [20, 40]


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


def test_public_scores_are_by_run(recorded):
    assert submissions.leaderboard_scores(recorded, "cells_demo") == {"ra": (0.85, 0.84)}
    assert submissions.leaderboard_scores(recorded, "smear_demo") == {}
    assert len(submissions.list_submissions(recorded, None)) == 2
    assert submissions.list_submissions(recorded, "smear_demo").empty
    paths = Paths(recorded, "cells_demo")
    lost = {"task": "cells_demo", "sha256": "c" * 64, "written": "2026-01-03", "score": 0.9}
    append(paths.ledger, paths.ledger_copy, lost)
    record(paths.ledger, paths.ledger_copy, 0.5)
    assert set(submissions.leaderboard_scores(recorded, "cells_demo")) == {"ra"}


def test_a_score_is_recorded_for_the_file_that_is_there(recorded):
    paths = Paths(recorded, "cells_demo")
    told = submissions.record_score(recorded, "cells_demo", 0.7, None, None)
    assert "submission bbbbbbbb of 2026-01-02T10:00" in told
    paths.submission.write_text("not in the ledger")
    assert "submission bbbbbbbb" in submissions.record_score(recorded, "cells_demo", 0.71, None, None)
    entry = {"task": "cells_demo", "sha256": sha256_of(paths.submission), "written": "2025-01-01", "score": 0.5}
    append(paths.ledger, paths.ledger_copy, entry)
    told = submissions.record_score(recorded, "cells_demo", 0.6, None, None)
    assert f"submission {sha256_of(paths.submission)[:8]}" in told
    assert "submission aaaaaaaa" in submissions.record_score(recorded, "cells_demo", 0.8, None, "aaaa")
    assert paths.leaderboard.exists()


def test_cells_of_submissions():
    row = pd.Series(dict.fromkeys(LEDGER, float("nan")), dtype=object)
    row[["task", "sha256", "written", "score_name", "score"]] = ["t", "f" * 64, "2026-01-02T03:04:05", "m", 0.5]
    assert submissions._cells(row)[4:] == ["0.5000", "-", "-", "-", "-"]
    row[["low", "high", "public", "private"]] = [0.25, 0.75, 0.5, 1.0]
    for dirty, commit in (("true", "abcdef12+"), ("false", "abcdef12"), (pd.NA, "abcdef12")):
        row[["git_commit", "git_dirty"]] = ["abcdef123456", dirty]
        assert submissions._cells(row) == [
            *("t", "ffffffff", "2026-01-02 03:04", "m", "0.5000", "0.2500 to 0.7500", "0.5000", "1.0000"),
            commit,
        ]


def test_table_of_runs_has_dashes_for_what_is_unknown():
    run = {"score": 0.5, "epochs": 3, "seconds": 90.0, "started": pd.Timestamp("2026-01-02 03:04"),
           "git_commit": "abcdef123456", "id": "0123456789", "record_id": None, "parameters": {"a": "1"}}  # fmt: skip
    nothing = {"epochs": pd.NA, "seconds": float("nan"), "started": pd.NaT, "git_commit": float("nan")}
    runs = pd.DataFrame([run, {**run, **nothing, "id": "9876543210"}], dtype=object)
    table = leaderboard._table_of_runs(runs, {"0123456789": (0.25, float("nan"))}, {"a": "2"})
    first, second = zip(*(column.cells for column in table.columns), strict=True)
    assert first == ("1", "0.5000", "0.2500", "3", "1.5", "2026-01-02 03:04", "abcdef12", "01234567", "a=1")
    assert second == ("2", "0.5000", "-", "-", "-", "-", "-", "98765432", "a=1")


def test_a_leaderboard_of_no_task_is_wrong_usage(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    leaderboard.print_leaderboard(tmp_path, None)
    leaderboard.print_leaderboard(tmp_path, "cells_demo")
    assert capsys.readouterr().out.count("No training has been tracked yet") == 2
    with pytest.raises(UsageError, match="nobody"):
        leaderboard.print_leaderboard(tmp_path, "nobody")


@pytest.mark.parametrize(
    ("runs", "best", "told"),
    [
        ([("a", "k", 0.9), ("me", "k", 0.9)], True, False),
        ([("a", "k", 0.91), ("me", "k", 0.9)], False, False),
        ([("a", "other", 0.91), ("me", "k", 0.9)], True, True),
        ([("a", None, 0.91), ("me", "k", 0.9)], True, False),
        ([("me", "k", 0.9)], True, False),
        ([("a", "other", 0.9), ("b", "k", 0.1), ("me", "k", 0.9)], True, False),
        ([("a", "k", 0.9)], False, False),
    ],
)
def test_the_best_of_those_that_compare_is_champion(tmp_path, monkeypatch, capsys, runs, best, told):
    table = pd.DataFrame(runs, columns=["id", register_ensemble.COMPARED_BY, "score"])
    monkeypatch.setattr(register_ensemble, "best_runs", lambda *_: table)
    assert register_ensemble._is_best(Paths(tmp_path, "t"), "me", "k") is best
    assert ("without a comparison" in capsys.readouterr().err) == told


def test_a_store_that_can_not_be_read_has_no_champion(tmp_path, monkeypatch):
    def away(*_):
        raise ExternalError("away")

    monkeypatch.setattr(register_ensemble, "best_runs", away)
    assert register_ensemble._is_best(Paths(tmp_path, "t"), "me", "k") is False


@pytest.mark.parametrize(("run_id", "best", "alias"), [(None, True, None), ("r", True, "champion"), ("r", False, None)])
def test_models_are_registered_with_their_alias(tmp_path, settings, monkeypatch, run_id, best, alias):
    logged, made = [], settings("cells_demo")
    monkeypatch.setattr(register_ensemble, "_is_best", lambda *_: best)
    monkeypatch.setattr(register_ensemble, "ensemble_record", lambda members, *_: {"members": members})
    paths = Paths(tmp_path, made.name)
    (paths.models / "fold0").mkdir(parents=True)

    def log_model(folder, name, given, content):
        logged.append((sorted(each.name for each in folder.iterdir()), name, given, len(content)))

    run = SimpleNamespace(id=run_id, set_tags=lambda tags: None, log_model=log_model)
    inputs = SimpleNamespace(classes=["a"], data_hash="d")
    found = {"score_name": "m", "folds": [{"fold": 0}]}
    register_ensemble.register_models(run, made, paths, inputs, found, {})
    assert logged == [(sorted(["models", register_ensemble.FILE]), made.name, alias, 16)]
