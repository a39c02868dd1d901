"""The log of submissions, and when a leaderboard and cross-validation part."""

import gzip
import threading

import numpy as np
import pandas as pd
import pytest

from tropho.errors import UsageError
from tropho.submission.submission_log import SUBMISSIONS, append, cv_gap_warnings, keep_file, read_log, record
from tropho.tracking.provenance import stages_lock


@pytest.fixture
def places(tmp_path):
    return tmp_path / "t.ledger.csv", tmp_path / "archive" / "ledger.csv"


def entry(digest, score=0.9, written="2026-01-01T00:00:00"):
    return {"task": "t", "sha256": digest * 64, "written": written, "score_name": "m", "score": score}


def log_of(*rows):
    """Rows of (cross-validated, public), each with an interval of ± 0.01."""
    scores = pd.DataFrame(rows, columns=["score", "public"]).astype("float64")
    table = scores.assign(low=scores["score"] - 0.01, high=scores["score"] + 0.01).reindex(columns=list(SUBMISSIONS))
    return table.astype(SUBMISSIONS)


def test_append_once(places):
    append(*places, entry("a"))
    append(*places, entry("b", 0.8, "2026-01-02T00:00:00"))
    again = append(*places, entry("a", written="2026-01-03T00:00:00"))
    assert again["sha256"].str[0].tolist() == ["a", "b"]
    kept = pd.read_csv(places[0], dtype=SUBMISSIONS)
    pd.testing.assert_frame_equal(kept, again)
    assert kept["written"].tolist() == ["2026-01-01T00:00:00", "2026-01-02T00:00:00"]


def test_record_newest_or_named(places):
    append(*places, entry("a"))
    append(*places, entry("b", written="2026-01-02T00:00:00"))
    assert record(*places, 0.91)["sha256"].iloc[0] == "b" * 64
    record(*places, 0.88, 0.87, sha256="AAA")
    kept = read_log(*places)
    assert kept["public"].tolist() == [0.88, 0.91]
    assert kept["private"].iloc[0] == 0.87
    assert np.isnan(kept["private"].iloc[1])
    assert kept["recorded"].notna().all()


@pytest.mark.parametrize(
    ("digest", "message"),
    [("c", "fits no submission"), ("", "fits 2 submissions")],
)
def test_record_refuses_wrong_usage(places, digest, message):
    append(*places, entry("a"))
    append(*places, entry("b"))
    with pytest.raises(UsageError, match=message):
        record(*places, 0.9, sha256=digest)
    assert read_log(*places)["public"].isna().all()


def test_record_refuses_empty_log(places):
    with pytest.raises(UsageError, match="tropho submit"):
        record(*places, 0.9)


def test_read_ledger_restores_dropped_rows(places):
    append(*places, entry("a"))
    older = places[0].read_text()
    append(*places, entry("b", written="2026-01-02T00:00:00"))
    record(*places, 0.91, sha256="a")
    places[0].write_text(older)
    append(*places, entry("c", written="2026-01-03T00:00:00"))
    kept = pd.read_csv(places[0])
    assert kept["sha256"].str[0].tolist() == ["a", "b", "c"]
    assert kept["public"].iloc[0] == 0.91


def test_read_ledger_keeps_later_score(places):
    append(*places, entry("a"))
    record(*places, 0.5)
    earlier = places[0].read_text()
    record(*places, 0.6)
    places[0].write_text(earlier)
    assert read_log(*places)["public"].tolist() == [0.6]


def test_append_from_several_threads(places):
    threads = [
        threading.Thread(target=append, args=(*places, entry(digest, written=f"2026-01-01T00:00:0{digest}")))
        for digest in "0123456789"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_log(*places)["sha256"].str[0]) == list("0123456789")


def test_keep_file_copies_bytes(tmp_path):
    file, copy = tmp_path / "s.csv", tmp_path / "archive" / "12345678.csv.gz"
    file.write_bytes(b"a,b\r\n1,2\n")
    keep_file(file, copy)
    assert gzip.decompress(copy.read_bytes()) == b"a,b\r\n1,2\n"


def test_stages_lock_of_named_stages(tmp_path):
    lock = tmp_path / "dvc.lock"
    assert stages_lock(tmp_path, "t", ("train",)) is None
    text = "stages:\n  train@t: {{cmd: x, md5: {}}}\n  submit@t: {{cmd: y, md5: {}}}\n"
    lock.write_text(text.format(1, 1))
    first = stages_lock(tmp_path, "t", ("train", "tune"))
    lock.write_text(text.format(1, 2))
    assert stages_lock(tmp_path, "t", ("train", "tune")) == first
    lock.write_text(text.format(2, 2))
    assert stages_lock(tmp_path, "t", ("train", "tune")) != first
    assert stages_lock(tmp_path, "u", ("train", "tune")) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], []),
        ([(0.90, np.nan)], []),
        ([(0.90, 0.905)], []),
        ([(0.90, 0.88)], ["outside the cross-validation interval"]),
        ([(0.90, 0.88), (0.91, 0.888)], []),  # a constant gap is no parting
        ([(0.90, 0.88), (0.91, 0.87)], ["newest"]),  # one rises by 0.01, the other falls by 0.01
        ([(0.90, 0.88), (0.901, 0.879), (0.902, 0.878), (0.903, 0.877)], ["do worse"]),
        ([(0.90, 0.88), (0.901, 0.879), (0.902, 0.878)], []),  # too few to compare their order
    ],
)
def test_cv_gap_warnings_cases(rows, words):
    found = cv_gap_warnings(log_of(*rows))
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence
