"""The Kaggle source in front of a stand-in for the client."""

import sys
import types

import pytest

from tropho.errors import OutsideError, UsageError
from tropho.sources import fetch


@pytest.fixture
def kaggle(settings, monkeypatch, tmp_path):
    """kaggle(result) -> settings whose client gives `result`: a folder of files, or an error."""

    def make(result, **overrides):
        def dataset_download(handle: str) -> str:
            asked.append(handle)
            if isinstance(result, Exception):
                raise result
            return str(result)

        asked: list[str] = []
        client = types.SimpleNamespace(dataset_download=dataset_download, asked=asked)
        monkeypatch.setitem(sys.modules, "kagglehub", client)
        task = settings("brain_tumor", **{"download.source": "kaggle", "download.repo": "owner/name"} | overrides)
        return task, asked

    return make


def test_data_set_is_copied_out_of_the_cache_with_its_version(kaggle, tmp_path):
    cache = tmp_path / "owner" / "name" / "versions" / "3"
    (cache / "train" / "a").mkdir(parents=True)
    (cache / "train" / "a" / "1.jpg").write_bytes(b"1")
    task, asked = kaggle(cache)
    provenance = fetch(task, tmp_path / "raw", tmp_path)
    assert (tmp_path / "raw" / "train" / "a" / "1.jpg").read_bytes() == b"1"
    assert (provenance["version"], asked) == ("3", ["owner/name"])
    task, asked = kaggle(cache, **{"download.revision": "3"})
    fetch(task, tmp_path / "raw", tmp_path)
    assert asked == ["owner/name/versions/3"]


class RefusedError(Exception):
    def __init__(self, status):
        self.response = types.SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RefusedError(403), "accept its terms"),
        (RefusedError(404), "correct download.repo"),
        (RefusedError(429), "some minutes"),
        (ConnectionError("secret=1"), "check the network"),
    ],
)
def test_failures_say_what_to_do(kaggle, tmp_path, error, sentence):
    with pytest.raises(OutsideError, match=sentence) as caught:
        fetch(kaggle(error)[0], tmp_path / "raw", tmp_path)
    assert "secret" not in str(caught.value)


def test_missing_client_and_bad_names_are_usage_errors(kaggle, tmp_path, monkeypatch):
    task, _ = kaggle(tmp_path, **{"download.repo": "noowner"})
    with pytest.raises(UsageError, match="owner/name"):
        fetch(task, tmp_path / "raw", tmp_path)
    task, _ = kaggle(tmp_path)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UsageError, match=r"pip install 'tropho\[kaggle\]'"):
        fetch(task, tmp_path / "raw", tmp_path)
