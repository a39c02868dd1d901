"""Boundaries of the log, of its warnings and of the leaderboard, on numbers worked out by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tropho.submission.submission_log import (
    MIN_FOR_ORDER,
    SUBMISSIONS,
    append,
    cv_gap_warnings,
    read_log,
    record,
    recorded,
)
from tropho.tracking.runs import RunIds


@pytest.fixture
def places(tmp_path):
    return tmp_path / "t.ledger.csv", tmp_path / "archive" / "ledger.csv"


def log_of(*rows):
    """Rows of (cross-validated, public, low, high)."""
    table = pd.DataFrame(rows, columns=["score", "public", "low", "high"]).astype("float64")
    return table.reindex(columns=list(SUBMISSIONS)).astype(SUBMISSIONS)


def test_recorded_needs_both_scores():
    log = log_of((0.5, 0.5, 0.4, 0.6), (np.nan, 0.6, 0, 1), (0.7, np.nan, 0, 1), (0.8, 0.9, 0, 1))
    assert recorded(log)["score"].tolist() == [0.5, 0.8]
    assert recorded(log).index.tolist() == [0, 1]


@pytest.mark.parametrize(("public", "told"), [(0.25, False), (0.75, False), (0.24, True), (0.76, True), (0.5, False)])
def test_cv_gap_warnings_include_interval_ends(public, told):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cv_gap_warnings(log_of((0.5, public, 0.25, 0.75)))
    assert [f"{public:.4f} lies outside" in each for each in found] == [True] * told


def test_cv_gap_warnings_without_interval():
    assert cv_gap_warnings(log_of((0.5, 0.1, np.nan, np.nan))) == []
    assert cv_gap_warnings(log_of((0.5, 0.5, np.nan, np.nan), (0.5, 0.1, np.nan, np.nan))) == []


def test_cv_gap_warnings_tolerance():
    same = (0.5, 0.5, 0.25, 0.75)
    assert cv_gap_warnings(log_of(same, (0.5, 0.75, 0.25, 0.75))) == []
    (told,) = cv_gap_warnings(log_of(same, (0.5, 0.76, 0.25, 0.75)))
    assert "differs from its cross-validated one by +0.2600, usually by +0.0000" in told
    (told,) = cv_gap_warnings(log_of(same, (0.5, 0.24, 0.25, 0.75)))
    assert "cross-validated one by -0.2600" in told


def test_cv_gap_warnings_use_median_gap():
    wide = (0.25, 0.75)
    earlier = [(0.5, 0.5, *wide), (0.5, 0.625, *wide), (0.5, 0.75, *wide)]
    (told,) = cv_gap_warnings(log_of(*earlier, (0.5, 1.0, *wide)))
    assert "differs from its cross-validated one by +0.5000, usually by +0.1250" in told
    assert cv_gap_warnings(log_of(*earlier, (0.5, 0.25, *wide))) != []  # 0.375 from it
    assert cv_gap_warnings(log_of(*earlier, (0.5, 0.875, *wide))) == []  # 0.25 from it
    assert cv_gap_warnings(log_of(*earlier, (0.5, 0.875, 0.375, 0.625))) != []  # the newest one's interval counts
    narrow = [(score, public, 0.4, 0.6) for score, public, *_ in earlier]
    assert cv_gap_warnings(log_of(*narrow, (0.5, 0.875, *wide))) == []


def test_cv_gap_warnings_zero_tau():
    rows = [(0.5, 0.5, 0, 1)] * MIN_FOR_ORDER
    assert cv_gap_warnings(log_of(*rows)) == []


@pytest.mark.parametrize("public", [1.73, -0.2])
def test_cv_gap_warnings_leave_out_other_metrics(public):
    assert cv_gap_warnings(log_of((0.5, public, 0.4, 0.6))) == []
    assert cv_gap_warnings(log_of((0.5, 0.5, 0.4, 0.6), (0.5, public, 0.4, 0.6))) == []


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_record_accepts_0_and_1(places, score):
    append(*places, {"task": "t", "sha256": "a" * 64, "written": "2026-01-01"})
    row = record(*places, score, score)
    assert (row["public"].item(), row["private"].item()) == (score, score)


def test_record_newest_of_three(places):
    for day, digest in enumerate("abc", start=1):
        append(*places, {"task": "t", "sha256": digest * 64, "written": f"2026-01-0{day}"})
    assert record(*places, 0.5)["sha256"].item() == "c" * 64
    assert append(*places, None)["public"].tolist()[2] == 0.5
    assert len(read_log(*places)) == 3


def test_read_ledger_keeps_run_id(tmp_path):
    ids = RunIds(tmp_path / "runs.json")
    assert ids["train"] is None
    ids["train"] = None
    assert not (tmp_path / "runs.json").exists()
    ids["train"] = "abc"
    ids["train"] = None
    assert ids["train"] == RunIds(tmp_path / "runs.json")["train"] == "abc"
    (tmp_path / "runs.json").write_text("{")
    assert RunIds(tmp_path / "runs.json")["train"] is None
