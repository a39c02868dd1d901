"""Upload of a checked submission."""

import json
import time

import pytest

from tropho.commands import submissions
from tropho.errors import DataError, UsageError
from tropho.files import sha256_of, write_json
from tropho.paths import Paths


@pytest.fixture
def sent(monkeypatch):
    """What is uploaded, instead of an submissions."""
    calls = []
    monkeypatch.setattr(submissions.zindi, "submit", lambda *call: calls.append(call) or "id7")
    monkeypatch.setattr(submissions.zindi, "results", lambda challenge: [])
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
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
def test_upload_a_checked_submission(checked, sent, tmp_path, comment, capsys):
    made, path = checked
    (tmp_path / "params.yaml").write_text("tasks: {}")
    told = submissions.upload(made, tmp_path, comment)
    digest = sha256_of(path)[:8]
    assert sent == [("a-challenge", path, f"{digest}: {comment or 'map 0.5124 out of fold'}")]
    assert f"({digest}) to 'a-challenge' as id7; waiting for its score." in capsys.readouterr().err
    assert told == "Zindi tells no score of smear_demo's submissions that the log lacks."


def test_upload_refuses_an_unchecked_file(checked, sent, tmp_path, settings):
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
        with pytest.raises(UsageError, match="names no competition"):
            submissions.upload(made.model_copy(update={"download": download}), tmp_path, None)
    assert sent == []
