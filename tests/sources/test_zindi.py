"""The Zindi source: files placed by hand, and the real client against a faked remote."""

import json
import zipfile
from pathlib import Path

import pytest

from tropho.errors import DataError, OutsideError, UsageError
from tropho.sources import fetch, zindi

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


def test_plain_clone_is_told_what_to_place_where(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("ZINDI_USERNAME", raising=False)
    with pytest.raises(OutsideError) as caught:
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    sentence = str(caught.value)
    assert caught.value.exit_code == 3
    assert all(name in sentence for name in (*zindi.TABLES, "images.zip", "data/incoming/malaria/"))
    assert "\n" not in sentence
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    "members", [["a.jpg", "b.jpg"], ["images/a.jpg", "images/b.jpg"], ["x/images/a.jpg", "x/images/b.jpg"]]
)
def test_images_lie_in_images_however_they_were_zipped(settings, tmp_path, incoming, members):
    zipped(incoming / "images.zip", *members, "__MACOSX/images/._a.jpg")
    provenance = fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {*zindi.TABLES, "images/a.jpg", "images/b.jpg", "provenance.json"}
    assert provenance["images"] == 2


def test_folder_of_images_may_be_incomplete_but_no_table_may(settings, tmp_path, incoming):
    (incoming / "images").mkdir()
    (incoming / "images" / "a.jpg").write_bytes(b"image")
    fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert "images/a.jpg" in names(tmp_path / "raw")
    (incoming / "Test.csv").unlink()
    with pytest.raises(OutsideError, match=r"^Place Test\.csv from"):
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)


def test_damaged_images_leave_nothing(settings, tmp_path, incoming):
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


def test_client_downloads_what_is_absent_and_keeps_what_is_there(settings, tmp_path, remote, capfd):
    incoming = tmp_path / "data" / "incoming" / "malaria"
    incoming.mkdir(parents=True)
    (incoming / "Train.csv").write_bytes(CSV + b"mine")
    provenance = fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {*zindi.TABLES, "images/a.jpg", "provenance.json"}
    assert (tmp_path / "raw" / "Train.csv").read_bytes() == CSV + b"mine"
    printed = "".join(capfd.readouterr())
    assert printed == ""
    assert PASSWORD not in json.dumps(provenance)


def test_refused_password_is_never_repeated(settings, tmp_path, remote, monkeypatch, capfd):
    remote.password = "another"
    with pytest.raises(OutsideError, match="ZINDI_USERNAME and ZINDI_PASSWORD") as caught:
        fetch(settings("malaria"), tmp_path / "raw", tmp_path)
    assert caught.value.__cause__ is None
    assert PASSWORD not in str(caught.value) + "".join(capfd.readouterr())


def test_unknown_challenge_is_named(settings, tmp_path, remote):
    with pytest.raises(OutsideError, match="no challenge 'other'"):
        fetch(settings("malaria", **{"download.repo": "other"}), tmp_path / "raw", tmp_path)


def test_submission_is_uploaded(remote, tmp_path, monkeypatch):
    (tmp_path / "s.csv").write_bytes(CSV)
    monkeypatch.setattr("zindi.platform_api.upload", lambda url, **_: remote.post(url))
    assert zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "s.csv", "first") == "sub-1"
    with pytest.raises(OutsideError, match="refused"):
        zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "absent.csv", "")
    monkeypatch.delenv("ZINDI_PASSWORD")
    with pytest.raises(UsageError, match="Uploading needs"):
        zindi.submit("lacuna-malaria-detection-challenge", tmp_path / "s.csv", "")
