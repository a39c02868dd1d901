"""Cross-validated against public scores, as chart and as part of the page."""

import numpy as np
import pandas as pd
import pytest

from tropho.plots.cv_vs_leaderboard import agreement_chart
from tropho.report.cv_chapter import agreement_blocks
from tropho.report.image_embedder import ImageEmbedder
from tropho.submission.submission_log import LEDGER

HOSTILE = "<script>$x_"


@pytest.fixture
def ledger():
    rows = {
        "task": "t",
        "sha256": [digest * 64 for digest in "abc"],
        "written": [f"2026-01-0{day}T10:00:00" for day in (1, 2, 3)],
        "score_name": HOSTILE,
        "score": [0.90, 0.91, 0.92],
        "low": [0.89, 0.90, None],
        "high": [0.91, 0.92, None],
        "public": [0.88, None, 0.95],
        "private": [0.87, None, None],
    }
    return pd.DataFrame(rows).reindex(columns=list(LEDGER)).astype(LEDGER)


def test_a_point_for_each_recorded_score(ledger):
    axes = agreement_chart(ledger).axes[0]
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xydata(), [(0.90, 0.88), (0.92, 0.95)])
    np.testing.assert_allclose(drawn["private"], [(0.90, 0.87), (0.92, np.nan)])
    assert [text.get_text() for text in axes.texts] == ["aaaaaaaa", "cccccccc, newest"]


def test_nothing_recorded_is_no_chart(ledger):
    assert agreement_chart(ledger.assign(public=float("nan"))) is None
    assert [block.kind for block in agreement_blocks(ledger.assign(public=float("nan")), "t", ImageEmbedder())] == [
        "table"
    ]
    assert agreement_blocks(None, "t", ImageEmbedder()) == []


def test_the_page_lists_warns_and_draws(ledger):
    ledger["low"], ledger["high"] = ledger["score"] - 0.01, ledger["score"] + 0.01
    blocks = agreement_blocks(ledger, "t", ImageEmbedder())
    assert [block.kind for block in blocks] == ["text", "table", "pictures"]
    assert blocks[0].warn
    assert [row[0] for row in blocks[1].rows] == ["cccccccc", "bbbbbbbb", "aaaaaaaa"]
    assert "tropho leaderboard --record t" in blocks[1].note


def test_a_foreign_table_is_called_out():
    (block,) = agreement_blocks(pd.DataFrame({"x": [1]}), "t", ImageEmbedder())
    assert block.warn
