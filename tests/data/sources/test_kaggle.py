"""The Kaggle source, by the real client, in front of a server on loopback."""

import io
import json
import logging
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from data.sources.kaggle_server import KaggleSet
from tropho.data.sources import fetch
from tropho.errors import DataError, ExternalError, UsageError
from tropho.submission.sample_file import find_sample

REPO = "owner/leaves"
SLUG = "leaf-rot"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def tarred(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        packed.addfile(tarfile.TarInfo(name), io.BytesIO())
    return buffer.getvalue()


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def task(settings):
    """task() -> settings that ask Kaggle for REPO; overrides as for `settings`."""

    def make(**overrides):
        return settings("brain_tumor", **{"download.source": "kaggle", "download.repo": REPO} | overrides)

    return make


@pytest.fixture
def leaves(kaggle, picture):
    """A data set of two versions."""
    versions = {number: zipped({"train/rust/1.jpg": picture(number)}) for number in (1, 2)}
    kaggle.sets[REPO] = KaggleSet(versions)
    return kaggle.sets[REPO]


@pytest.fixture
def competition(kaggle, picture, monkeypatch):
    """A competition that wants the token which is set."""
    files = {
        **{f"train_images/{number}.jpg": picture(number) for number in range(3)},
        "test_images/7.jpg": picture(7),
        "train.csv": b"image_id,label\n0.jpg,rot\n1.jpg,rot\n2.jpg,healthy\n",
        "sample_submission.csv": b"image_id,label\n7.jpg,rot\n",
    }
    monkeypatch.setenv("KAGGLE_API_TOKEN", "kg_secret")
    kaggle.sets[SLUG] = KaggleSet({1: zipped(files)}, token="kg_secret")
    return kaggle.sets[SLUG]


@pytest.fixture
def rot(task):
    """Settings that ask Kaggle for the competition."""
    return task(**{"download.repo": SLUG})


def refused(task, tmp_path, kind=ExternalError) -> str:
    """The sentence that a fetch ends with, which leaves nothing beside the client's cache."""
    before = set(tmp_path.iterdir())
    with pytest.raises(kind) as caught:
        fetch(task, tmp_path / "raw", tmp_path)
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"kagglehub_cache"}
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "secret" not in sentence
    return sentence


def test_fetch_records_newest_version(kaggle, leaves, task, tmp_path, picture, caplog):
    import kagglehub  # drops the handlers of its logger

    logger = logging.getLogger(kagglehub.__name__)
    logger.addHandler(caplog.handler)
    try:
        provenance = fetch(task(), tmp_path / "raw", tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert provenance == {"source": "kaggle", "repo": REPO, "version": "2", "files": 1}
    files = files_below(tmp_path / "raw")
    assert json.loads(files.pop("provenance.json")) == provenance
    assert files == {"train/rust/1.jpg": picture(2)}
    assert kaggle.authorizations == {None}
    assert caplog.messages == [], "the client logs on standard output"


def test_fetch_unpacks_archives(kaggle, task, tmp_path, picture):
    inner = {"train.zip": zipped({"rust/1.jpg": picture(1)}), "train.csv.zip": zipped({"train.csv": b"t"})}
    kaggle.sets[REPO] = KaggleSet({1: zipped(inner)})
    provenance = fetch(task(), tmp_path / "raw", tmp_path)
    assert set(files_below(tmp_path / "raw")) == {"train/rust/1.jpg", "train.csv", "provenance.json"}
    assert provenance["archives"] == {"train.csv.zip": 1, "train.zip": 1}


def test_fetch_caches_pinned_version(kaggle, leaves, task, tmp_path, picture):
    pinned = task(**{"download.revision": "1"})
    provenance = fetch(pinned, tmp_path / "raw", tmp_path)
    assert provenance["version"] == "1"
    assert files_below(tmp_path / "raw")["train/rust/1.jpg"] == picture(1)
    assert kaggle.requests == ["POST DownloadDataset", "GET 1"]
    assert fetch(pinned, tmp_path / "again", tmp_path) == provenance
    assert len(kaggle.requests) == 2, "the cache has it"


def test_fetch_never_stores_token(kaggle, leaves, task, tmp_path, monkeypatch):
    leaves.token = "kg_secret"
    assert "set KAGGLE_API_TOKEN" in refused(task(), tmp_path)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "kg_secret")
    provenance = fetch(task(), tmp_path / "raw", tmp_path)
    assert provenance["version"] == "2"
    assert kaggle.authorizations >= {None, "Bearer kg_secret"}
    assert not any(b"kg_secret" in content for content in files_below(tmp_path).values())


@pytest.mark.parametrize("path", ["GetDataset", "DownloadDataset", "/store/"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "accept its terms"),
        (403, "accept its terms"),
        (404, "correct download.repo or download.revision"),
        (429, "some minutes"),
        (503, "fails with status 503"),
    ],
)
def test_fetch_explains_refusals(leaves, task, tmp_path, path, status, sentence):
    leaves.error, leaves.error_on = status, path
    found = refused(task(), tmp_path)
    assert sentence in found
    assert REPO in found


def test_fetch_takes_a_competition_by_its_slug(kaggle, competition, rot, tmp_path):
    provenance = fetch(rot, tmp_path / "raw", tmp_path)
    assert provenance == {"source": "kaggle", "repo": SLUG, "files": 6}
    assert find_sample(tmp_path / "raw") == tmp_path / "raw" / "sample_submission.csv"
    assert kaggle.authorizations == {"Bearer kg_secret"}
    assert kaggle.requests == ["POST DownloadDataFiles", "GET 1"]
    assert rot.download.is_competition


@pytest.mark.parametrize("path", ["DownloadDataFiles", "/store/"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "with status 400 for 'leaf-rot' (secre); correct that."),
        (401, "the token is not valid: make a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN."),
        (403, "accept its rules at https://www.kaggle.com/competitions/leaf-rot/rules"),
        (404, "; correct download.repo."),
        (429, "run again in some minutes."),
        (503, "run again later."),
    ],
)
def test_fetch_explains_refusals_of_a_competition(competition, rot, tmp_path, path, status, sentence):
    competition.error, competition.error_on, competition.message = status, path, "secre"
    assert sentence in refused(rot, tmp_path)


def test_fetch_explains_missing_token_and_unknown_competition(competition, rot, task, tmp_path, monkeypatch):
    assert "'leaf-rust'; correct download.repo." in refused(task(**{"download.repo": "leaf-rust"}), tmp_path)
    versioned = task(**{"download.repo": SLUG, "download.revision": "3"})
    assert "competitions have no versions" in refused(versioned, tmp_path, UsageError)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert f"opens '{SLUG}' only to those who sign in; make a token" in refused(rot, tmp_path)


def test_fetch_continues_broken_download_of_a_competition(kaggle, competition, rot, tmp_path):
    competition.versions[1] = zipped({"train.bin": bytes(3 * 2**20)})
    competition.breaks = True
    assert "run again: a broken download goes on" in refused(rot, tmp_path)
    competition.breaks = False
    assert fetch(rot, tmp_path / "raw", tmp_path)["files"] == 1
    assert kaggle.requests[-1] == f"GET 1 bytes={2**20}-"


def test_fetch_explains_damaged_competition(competition, rot, tmp_path):
    competition.versions[1] = b"no archive"
    assert f"remove competitions/{SLUG} from Kaggle's cache" in refused(rot, tmp_path, DataError)


def test_fetch_explains_unknown_set_and_version(leaves, task, tmp_path):
    assert "'owner/roots'; correct download.repo" in refused(task(**{"download.repo": "owner/roots"}), tmp_path)
    assert "or download.revision" in refused(task(**{"download.revision": "9"}), tmp_path)


def test_fetch_explains_unreachable_server(kaggle, task, tmp_path):
    kaggle.__exit__()
    assert "check the network" in refused(task(), tmp_path)


def test_fetch_continues_broken_download(kaggle, leaves, task, tmp_path, picture):
    megabyte = 2**20  # the client writes so much at a time, and loses what came of the next
    content = picture(2) + bytes(3 * megabyte)
    leaves.versions[2] = zipped({"train/rust/1.jpg": content})
    leaves.breaks = True
    assert "run again: a broken download goes on" in refused(task(), tmp_path)
    leaves.breaks = False
    fetch(task(), tmp_path / "raw", tmp_path)
    assert files_below(tmp_path / "raw")["train/rust/1.jpg"] == content
    assert kaggle.requests[-1] == f"GET 2 bytes={megabyte}-"


def test_fetch_downloads_altered_archive_again(kaggle, leaves, task, tmp_path):
    leaves.altered = True
    assert "(DataCorruptionError); check the network" in refused(task(), tmp_path)
    leaves.altered = False
    assert fetch(task(), tmp_path / "raw", tmp_path)["files"] == 1


@pytest.mark.parametrize("archive", [b"no archive", zipped({"a.jpg": b"1" * 99}).replace(b"1" * 99, b"2" * 99)])
def test_fetch_explains_damaged_archive(kaggle, task, tmp_path, archive):
    kaggle.sets[REPO] = KaggleSet({1: archive})
    assert f"remove datasets/{REPO} from Kaggle's cache" in refused(task(), tmp_path, DataError)
    shutil.rmtree(tmp_path / "kagglehub_cache" / "datasets" / REPO)
    kaggle.sets[REPO] = KaggleSet({1: zipped({"a.jpg": b"1"})})
    assert fetch(task(), tmp_path / "raw", tmp_path)["files"] == 1


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Kaggle's client reads tar from Python 3.11.4 on")
@pytest.mark.parametrize("name", ["../../../../../raw/escape.jpg", "/../../../../../../raw/escape.jpg"])
def test_fetch_refuses_tar_with_paths_outside(kaggle, task, tmp_path, name):
    kaggle.sets[REPO] = KaggleSet({1: tarred(name)})
    assert "unsafe or of an unknown kind" in refused(task(), tmp_path, DataError)
    assert not list(tmp_path.rglob("escape.jpg"))


def test_fetch_keeps_zip_inside_its_folder(kaggle, task, tmp_path):
    kaggle.sets[REPO] = KaggleSet({1: zipped({"../../../../../raw/escape.jpg": b"1", "../../a.jpg": b"2"})})
    fetch(task(), tmp_path / "data" / "raw", tmp_path)
    cache = tmp_path / "kagglehub_cache" / "datasets" / "owner" / "leaves" / "versions" / "1"
    expected = {cache / "raw/escape.jpg", tmp_path / "data" / "raw" / "raw" / "escape.jpg"}
    assert set(tmp_path.rglob("escape.jpg")) == expected


def test_fetch_refuses_empty_set(kaggle, task, tmp_path):
    kaggle.sets[REPO] = KaggleSet({1: zipped({})})
    assert "holds no files" in refused(task(), tmp_path, DataError)


def test_fetch_explains_damaged_credentials_file(leaves, task, tmp_path, monkeypatch):
    (tmp_path / "kaggle.json").write_text("kg_secret")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    assert "check the network, ~/.kaggle" in refused(task(), tmp_path)


def test_fetch_explains_unusable_cache(leaves, task, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "file"))
    assert "the cache (KAGGLEHUB_CACHE)" in refused(task(), tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("repo", "a/b/c", "owner/name"),
        ("repo", "https://kaggle.com/c/rot", "as in its address"),
        ("revision", "v3", "download.revision is 'v3'"),
    ],
)
def test_fetch_refuses_bad_names(kaggle, task, tmp_path, key, value, sentence):
    assert sentence in refused(task(**{f"download.{key}": value}), tmp_path, UsageError)
    assert kaggle.requests == []


def test_fetch_explains_missing_client(task, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert "pip install -e '.[kaggle]'" in refused(task(), tmp_path, UsageError)
