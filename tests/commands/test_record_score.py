"""Leaderboard scores recorded by hand."""

import pandas as pd
import pytest

from conftest import ROOT
from tropho.commands import leaderboard, submissions
from tropho.errors import UsageError
from tropho.files import sha256_of
from tropho.paths import Paths
from tropho.submission.submission_log import SUBMISSIONS, append, record


@pytest.fixture
def recorded(tmp_path):
    """A root with two submissions of cells_demo in the log, the first of them scored."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    paths = Paths(tmp_path, "cells_demo")
    for day, digest in enumerate("ab", start=1):
        entry = {"task": "cells_demo", "sha256": digest * 64, "written": f"2026-01-0{day}T10:00:00", "score": 0.9}
        append(paths.submission_log, paths.log_copy, {**entry, "score_name": "m", "run_id": f"r{digest}"})
    record(paths.submission_log, paths.log_copy, 0.85, 0.84, "aaa")
    return tmp_path


def test_public_scores_by_run(recorded):
    assert submissions.leaderboard_scores(recorded, "cells_demo") == {"ra": (0.85, 0.84)}
    assert submissions.leaderboard_scores(recorded, "smear_demo") == {}
    assert len(submissions.list_submissions(recorded, None)) == 2
    assert submissions.list_submissions(recorded, "smear_demo").empty
    paths = Paths(recorded, "cells_demo")
    lost = {"task": "cells_demo", "sha256": "c" * 64, "written": "2026-01-03", "score": 0.9}
    append(paths.submission_log, paths.log_copy, lost)
    record(paths.submission_log, paths.log_copy, 0.5)
    assert set(submissions.leaderboard_scores(recorded, "cells_demo")) == {"ra"}


def test_record_score_for_the_present_file(recorded):
    paths = Paths(recorded, "cells_demo")
    told = submissions.record_score(recorded, "cells_demo", 0.7, None, None)
    assert "submission bbbbbbbb of 2026-01-02T10:00" in told
    paths.submission.write_text("not in the log")
    assert "submission bbbbbbbb" in submissions.record_score(recorded, "cells_demo", 0.71, None, None)
    entry = {"task": "cells_demo", "sha256": sha256_of(paths.submission), "written": "2025-01-01", "score": 0.5}
    append(paths.submission_log, paths.log_copy, entry)
    told = submissions.record_score(recorded, "cells_demo", 0.6, None, None)
    assert f"submission {sha256_of(paths.submission)[:8]}" in told
    assert "submission aaaaaaaa" in submissions.record_score(recorded, "cells_demo", 0.8, None, "aaaa")
    assert paths.leaderboard.exists()


@pytest.mark.parametrize(("public", "private"), [(91.3, None), (-0.01, None), (1.01, None), (0.5, 1.5), (None, -1.0)])
def test_record_score_refuses_scores_outside_0_to_1(recorded, public, private):
    with pytest.raises(UsageError, match=r"write 91\.3 % as 0\.913"):
        submissions.record_score(recorded, "cells_demo", public, private, None)


def test_record_score_takes_private_alone(recorded):
    assert "Recorded private 0.9 for" in submissions.record_score(recorded, "cells_demo", None, 0.9, "aaa")
    assert submissions.leaderboard_scores(recorded, "cells_demo") == {"ra": (0.85, 0.9)}


def test_cells_of_submissions():
    def cells():
        return [next(column.cells) for column in leaderboard._table_of_submissions(row.to_frame().T).columns]

    row = pd.Series(dict.fromkeys(SUBMISSIONS, float("nan")), dtype=object)
    row[["task", "sha256", "written", "score_name", "score"]] = ["t", "f" * 64, "2026-01-02T03:04:05", "m", 0.5]
    assert cells()[4:] == ["0.5000", "-", "-", "-", "-"]
    row[["low", "high", "public", "private"]] = [0.25, 0.75, 0.5, 1.0]
    for dirty, commit in (("true", "abcdef12+"), ("false", "abcdef12"), (pd.NA, "abcdef12")):
        row[["git_commit", "git_dirty"]] = ["abcdef123456", dirty]
        assert cells() == [
            *("t", "ffffffff", "2026-01-02 03:04", "m", "0.5000", "0.2500 to 0.7500", "0.5000", "1.0000"),
            commit,
        ]
