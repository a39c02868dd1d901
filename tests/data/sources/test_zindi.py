"""The Zindi source: files placed by hand, and the real client against a faked remote."""

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import ROOT
from tropho.cli import app
from tropho.data.sources import fetch, zindi
from tropho.data.sources.zindi import SubmissionResult
from tropho.errors import DataError, ExternalError, UsageError
from tropho.files import sha256_of, write_json

CSV = b"Image_ID,class,confidence,ymin,xmin,ymax,xmax\n"
PASSWORD = "correct horse"


@pytest.fixture
def incoming(tmp_path, monkeypatch):
    """data/incoming/malaria with the three tables and no credentials in the environment."""
    monkeypatch.delenv("ZINDI_USERNAME", raising=False)
    monkeypatch.delenv("ZINDI_PASSWORD", raising=False)
    folder = tmp_path / "data" / "incoming" / "malaria"
    folder.mkdir(parents=True)
    for table in zindi.TABLES:
        (folder / table).write_bytes(CSV)
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def zipped(path: Path, *members: str) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for name in members:
            packed.writestr(name, b"image")


def test_fetch_says_which_files_to_place(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("ZINDI_USERNAME", raising=False)
    with pytest.raises(ExternalError) as caught:
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    sentence = str(caught.value)
    assert caught.value.exit_code == 3
    assert all(name in sentence for name in (*zindi.TABLES, "images.zip", "data/incoming/malaria/"))
    assert "\n" not in sentence
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    "members", [["a.jpg", "b.jpg"], ["images/a.jpg", "images/b.jpg"], ["x/images/a.jpg", "x/images/b.jpg"]]
)
def test_fetch_puts_images_in_images(settings, tmp_path, incoming, members):
    zipped(incoming / "images.zip", *members, "__MACOSX/images/._a.jpg")
    provenance = fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {*zindi.TABLES, "images/a.jpg", "images/b.jpg", "provenance.json"}
    assert provenance["images"] == 2


def test_fetch_accepts_missing_images_but_no_missing_table(settings, tmp_path, incoming):
    (incoming / "images").mkdir()
    (incoming / "images" / "a.jpg").write_bytes(b"image")
    fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert "images/a.jpg" in names(tmp_path / "raw")
    (incoming / "Test.csv").unlink()
    with pytest.raises(ExternalError, match=r"^Place Test\.csv from"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)


def test_fetch_leaves_nothing_of_damaged_images(settings, tmp_path, incoming):
    zipped(incoming / "images.zip", "a.jpg")
    (incoming / "images.zip").write_bytes((incoming / "images.zip").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"images\.zip is cut short"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path) == {f"data/incoming/malaria/{name}" for name in (*zindi.TABLES, "images.zip")}


class Remote:
    """Zindi's server as the client's `requests` sees it."""

    def __init__(self, files: dict[str, bytes], password: str = PASSWORD) -> None:
        self.files, self.password = files, password
        self.submitted: list[str] = []
        self.board: list[dict[str, object]] = []

    def post(self, url, data=None, **_):
        if url.endswith("/auth/signin"):
            good = data["password"] == self.password
            answer = {"auth_token": "token-1", "user": {"username": data["username"]}}
            return Answer({"data": answer if good else {"errors": f"bad password {data['password']}"}})
        if url.endswith("/submissions"):
            self.submitted.append(url)
            return Answer({"data": {"id": "sub-1"}})
        return Answer({"data": {"errors": {"message": "already in"}}})

    def get(self, url, **_):
        if "/files/" in url:
            return Answer(content=self.files[url.rpartition("/")[2]])
        if url.endswith("/submissions"):
            return Answer({"data": self.board})
        if not url.endswith("/lacuna-malaria-detection-challenge"):
            return Answer({"data": {"errors": "not found"}})
        data = {
            "id": "lacuna-malaria-detection-challenge",
            "datafiles": [{"filename": name} for name in self.files],
        }
        return Answer({"data": data})


class Answer:
    status_code = 200

    def __init__(self, payload=None, content=b""):
        self.payload, self.content, self.text = payload, content, json.dumps(payload)
        self.headers = {"content-length": str(len(content))}

    def json(self):
        return self.payload

    def raise_for_status(self):
        pass

    def iter_content(self, chunk_size):
        yield self.content


@pytest.fixture
def remote(monkeypatch, tmp_path):
    """The real client in front of a faked Zindi, with credentials in the environment."""
    requests = pytest.importorskip("requests")
    pytest.importorskip("zindi", reason="the extra 'zindi' is not installed")
    zipped(tmp_path / "i.zip", "a.jpg")
    images = (tmp_path / "i.zip").read_bytes()
    (tmp_path / "i.zip").unlink()
    server = Remote({**dict.fromkeys(zindi.TABLES, CSV), "images.zip": images})
    monkeypatch.setattr(requests, "get", server.get)
    monkeypatch.setattr(requests, "post", server.post)
    monkeypatch.setenv("ZINDI_USERNAME", "someone")
    monkeypatch.setenv("ZINDI_PASSWORD", PASSWORD)
    return server


def test_fetch_downloads_missing_files(settings, tmp_path, remote, capfd):
    incoming = tmp_path / "data" / "incoming" / "malaria"
    incoming.mkdir(parents=True)
    (incoming / "Train.csv").write_bytes(CSV + b"mine")
    provenance = fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {*zindi.TABLES, "images/a.jpg", "provenance.json"}
    assert (tmp_path / "raw" / "Train.csv").read_bytes() == CSV + b"mine"
    printed = "".join(capfd.readouterr())
    assert printed == ""
    assert PASSWORD not in json.dumps(provenance)
    assert not any(PASSWORD.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_fetch_never_shows_password(settings, tmp_path, remote, monkeypatch, capfd):
    remote.password = "another"
    with pytest.raises(ExternalError, match="ZINDI_USERNAME and ZINDI_PASSWORD") as caught:
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert caught.value.__cause__ is None
    assert PASSWORD not in str(caught.value) + "".join(capfd.readouterr())


def test_fetch_names_unknown_challenge(settings, tmp_path, remote):
    with pytest.raises(ExternalError, match="no challenge 'other'"):
        fetch(settings("malaria", **{"download.repo": "other"}), tmp_path / "raw", tmp_path)


def test_submit_uploads_submission(remote, tmp_path, monkeypatch):
    (tmp_path / "s.csv").write_bytes(CSV)
    monkeypatch.setattr("zindi.platform_api.upload", lambda url, **_: remote.post(url))
    assert zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "s.csv", "first") == "sub-1"
    with pytest.raises(ExternalError, match="refused"):
        zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "absent.csv", "")
    monkeypatch.delenv("ZINDI_PASSWORD")
    with pytest.raises(UsageError, match="Zindi needs"):
        zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "s.csv", "")


def test_results_lists_submissions_oldest_first(remote):
    entry = {"id": "b", "filename": "s.csv", "status": "successful", "created_at": "2026-01-03", "comment": "abc: mine"}
    remote.board = [
        entry | {"public_score": 0.91, "private_score": None},
        entry | {"created_at": "2026-01-02", "status": "initial", "public_score": None, "comment": None},
        entry | {"created_at": "2026-01-01", "status": "failed", "status_description": "wrong header"},
    ]
    assert zindi.results("lacuna-malaria-detection-challenge") == [
        SubmissionResult("abc: mine", None, None, "wrong header"),
        SubmissionResult("", None, None, None),
        SubmissionResult("abc: mine", 0.91, None, None),
    ]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that leaves submissions/malaria.csv and its record, with changes, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())

    def write(**changes):
        file = tmp_path / "submissions" / "malaria.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(CSV)
        score = {"name": "leaderboard_map", "oof": 0.91237}
        write_json(file.with_suffix(".json"), {"checked": True, "sha256": sha256_of(file), "score": score, **changes})

    return write


def test_upload_sends_checked_file(remote, written, monkeypatch):
    sent = {}

    def upload(url, **given):
        sent.update(given)
        return remote.post(url)

    monkeypatch.setattr("zindi.platform_api.upload", upload)
    written()
    done = CliRunner().invoke(app, ["upload", "malaria"])
    assert done.exit_code == 0, done.exception
    assert "Uploaded malaria.csv" in done.output
    assert "as sub-1" in done.output
    assert PASSWORD not in done.output
    assert "mean AP 0.9124 out of fold" in str(sent)
    assert "Zindi tells no score of malaria's submissions that the log lacks" in done.output
    done = CliRunner().invoke(app, ["upload", "malaria", "--comment", "with flips"])
    assert "with flips" in str(sent)
    assert len(remote.submitted) == 2


@pytest.mark.parametrize("changes", [{"checked": False}, {"sha256": "0" * 64}])
def test_upload_refuses_unchecked_file(remote, written, changes):
    written(**changes)
    done = CliRunner().invoke(app, ["upload", "malaria"])
    assert isinstance(done.exception, DataError)
    assert "not a file that `tropho submit malaria` has checked" in str(done.exception)
    assert remote.submitted == []


def test_upload_needs_submission_and_challenge(remote, written):
    written()
    Path("submissions/malaria.csv").unlink()
    assert "run `dvc repro submit@malaria`" in str(CliRunner().invoke(app, ["upload", "malaria"]).exception)
    refused = CliRunner().invoke(app, ["upload", "cells_demo"]).exception
    assert isinstance(refused, UsageError)
    assert "names no competition" in str(refused)


def test_fetch_accepts_zipped_tables_and_any_image_archive(settings, tmp_path, incoming):
    (incoming / "Train.csv").unlink()
    with pytest.raises(ExternalError, match=r"^Place Train\.csv, images\.zip"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    with zipfile.ZipFile(incoming / "Train.csv.zip", "w") as packed:
        packed.writestr("Train.csv", CSV)
    with pytest.raises(ExternalError, match=r"^Place images\.zip"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    zipped(incoming / "train.zip", "train/a.jpg")
    zipped(incoming / "test.zip", "b.jpg")
    provenance = fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {*zindi.TABLES, "train/a.jpg", "test/b.jpg", "provenance.json"}
    assert provenance["archives"] == {"Train.csv.zip": 1, "test.zip": 1, "train.zip": 1}


def test_fetch_names_archive_without_its_table(settings, tmp_path, incoming):
    (incoming / "Train.csv").unlink()
    zipped(incoming / "Train.csv.zip", "other.txt")
    zipped(incoming / "images.zip", "a.jpg")
    with pytest.raises(DataError, match=r"The archive of Train\.csv .* holds no Train\.csv"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
