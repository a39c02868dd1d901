"""Labels and layout of a submission."""

from tropho.files import write_json
from tropho.paths import Paths
from tropho.submission.target import audited_labels


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
