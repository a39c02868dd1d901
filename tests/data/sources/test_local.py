"""Local folders and archives: all or nothing lands, and the user's files stay as they are."""

import os
import zipfile

import pytest

from tropho.data.sources import fetch
from tropho.data.sources.local import copy_folder, list_files
from tropho.errors import DataError, UsageError
from tropho.stages import download


@pytest.fixture
def local(settings):
    return lambda path: settings("brain_tumor", **{"download.source": "local", "download.path": path})


def test_fetch_copies_folder_without_links(local, tmp_path):
    original = tmp_path / "mine" / "train" / "a" / "1.jpg"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"content")
    original.chmod(0o444)
    before = original.stat()
    provenance = download.run(local("mine"), tmp_path)
    copy = tmp_path / "data" / "raw" / "brain_tumor" / "train" / "a" / "1.jpg"
    assert copy.read_bytes() == b"content"
    copy.write_bytes(b"changed")
    assert original.read_bytes() == b"content"
    assert (original.stat().st_nlink, original.stat().st_mode, original.stat().st_mtime) == (
        1,
        before.st_mode,
        before.st_mtime,
    )
    assert provenance == {"source": "local", "path": "mine", "files": 1}


def test_copy_folder_follows_links(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "1.jpg").write_bytes(b"1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "images").symlink_to(tmp_path / "far")
    (tmp_path / "mine" / "2.jpg").symlink_to(tmp_path / "far" / "1.jpg")
    (tmp_path / "mine" / ".DS_Store").touch()
    assert copy_folder(tmp_path / "mine", tmp_path / "copy") == 2
    assert (tmp_path / "copy" / "images" / "1.jpg").read_bytes() == b"1"
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))


def test_list_files_leaves_out_links_to_folders_above(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a/b").symlink_to(tmp_path / "b")
    (tmp_path / "b/a").symlink_to(tmp_path / "a")
    assert list_files(tmp_path) == ["a/1.jpg", "a/b/1.jpg", "b/1.jpg", "b/a/1.jpg"]


def test_list_files_refuses_broken_links_and_devices(tmp_path):
    (tmp_path / "broken").symlink_to(tmp_path / "absent")
    with pytest.raises(DataError, match="broken is a broken link"):
        list_files(tmp_path)
    (tmp_path / "broken").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is a broken link or no file"):
        list_files(tmp_path)


def test_fetch_drops_wrapping_folder(local, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr("my set/train/a/1.jpg", b"1")
        packed.writestr("my set/test/a/2.jpg", b"2")
    provenance = fetch(local("set.zip"), tmp_path / "raw", tmp_path)
    assert (tmp_path / "raw" / "train" / "a" / "1.jpg").read_bytes() == b"1"
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["provenance.json", "test", "train"]
    assert len(provenance["sha256"]) == 64


def test_fetch_keeps_folder_named_like_a_split(local, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr("train/a/1.jpg", b"1")
    fetch(local("set.zip"), tmp_path / "raw", tmp_path)
    assert (tmp_path / "raw" / "train" / "a" / "1.jpg").exists()


def test_fetch_keeps_old_data_on_failure(local, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "old").write_text("old")
    (tmp_path / "bad.zip").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="cut short or no archive"):
        fetch(local("bad.zip"), raw, tmp_path)
    assert [path.name for path in raw.iterdir()] == ["old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "raw"]


def test_fetch_refuses_wrong_paths(local, tmp_path):
    with pytest.raises(
        UsageError, match=r"tasks\.brain_tumor\.download\.path: 'absent' .* is no folder and no archive"
    ):
        fetch(local("absent"), tmp_path / "raw", tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(UsageError, match="is no folder and no archive"):
        fetch(local("a.txt"), tmp_path / "raw", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        fetch(local("empty"), tmp_path / "raw", tmp_path)
    with pytest.raises(UsageError, match="folder of its own"):
        fetch(local("."), tmp_path / "data" / "raw", tmp_path)
