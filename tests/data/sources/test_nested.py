"""Archives among a data set's files are unpacked, whatever their names, kinds and depth."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tropho.data.sources import fetch
from tropho.data.sources.archives import MAX_DEPTH, unpack_archives
from tropho.errors import DataError


def packed(members: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, files: dict) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


PNG = {"1.png": b"1", "2.png": b"2"}
CASES = {
    "images in no folder": ({"train.zip": packed(PNG), "train.csv": b"t"}, {"train/1.png", "train/2.png", "train.csv"}),
    "a folder of its own name": (
        {"train.zip": packed({f"train/{name}": b"x" for name in PNG}), "train.csv": b"t"},
        {"train/1.png", "train/2.png", "train.csv"},
    ),
    "its own name twice, spelled otherwise": (
        {"Train.zip": packed({"train/Train/1.png": b"x"}), "train.csv": b"t"},
        {"Train/1.png", "train.csv"},
    ),
    "class folders": (
        {"train.zip": packed({"a/1.png": b"1", "b/2.png": b"2"}), "test.zip": packed(PNG)},
        {"train/a/1.png", "train/b/2.png", "test/1.png", "test/2.png"},
    ),
    "perhaps a class": ({"train.zip": packed({"a/1.png": b"1"}), "x.csv": b""}, {"train/a/1.png", "x.csv"}),
    "folders around the whole": (
        {"images.zip": packed({"content/drive/images/1.png": b"1"}), "x.csv": b""},
        {"images/1.png", "x.csv"},
    ),
    "tar": ({"train_images.tar.gz": tarred(PNG), "x.csv": b""}, {"train_images/1.png", "train_images/2.png", "x.csv"}),
    "a table": ({"train.csv.zip": packed({"train.csv": b"t"}), "1.png": b"1"}, {"train.csv", "1.png"}),
    "a table under another name": ({"labels.zip": packed({"train.csv": b"t"}), "1.png": b"1"}, {"train.csv", "1.png"}),
    "a folder with one table": (
        {"annotations.zip": packed({"annotations/train.json": b"{}"}), "1.png": b"1"},
        {"annotations/train.json", "1.png"},
    ),
    "below other folders": (
        {"data/raw/train.zip": packed(PNG), "x.csv": b""},
        {"data/raw/train/1.png", "data/raw/train/2.png", "x.csv"},
    ),
    "an archive in an archive": (
        {"all.zip": packed({"train.zip": packed(PNG), "train.csv": b"t"})},
        {"train/1.png", "train/2.png", "train.csv"},
    ),
    "alone": (
        {"PetImages.zip": packed({"PetImages/Cat/1.png": b"1", "PetImages/Dog/1.png": b"2"}), "LICENSE": b""},
        {"Cat/1.png", "Dog/1.png", "LICENSE"},
    ),
    "alone, a split": ({"train.zip": packed({"a/1.png": b"1", "b/2.png": b""})}, {"train/a/1.png", "train/b/2.png"}),
    "one a class": (
        {"cat.zip": packed(PNG), "dog.zip": packed({"1.png": b""})},
        {"cat/1.png", "cat/2.png", "dog/1.png"},
    ),
    "junk": (
        {
            "train.zip": packed({"Thumbs.db": b"", "__MACOSX/._a": b"", ".ipynb_checkpoints/1.png": b"", "1.png": b""}),
            "x.csv": b"",
        },
        {"train/1.png", "x.csv"},
    ),
    "no data": (
        {"code.zip": packed({"main.py": b"", "README": b""}), "x.csv": b""},
        {"code/main.py", "code/README", "x.csv"},
    ),
    "unpacked by hand": (
        {"train.zip": packed(PNG), "train/1.png": b"1", "x.csv": b""},
        {"train/1.png", "train/2.png", "x.csv"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_unpack_archives_replaces_archives_by_content(tmp_path, case):
    files, wanted = CASES[case]
    write(tmp_path, files)
    unpack_archives(tmp_path, "mine")
    assert names(tmp_path) == wanted


def test_unpack_archives_refuses_another_file_of_the_same_name(tmp_path):
    write(tmp_path, {"train.zip": packed(PNG), "train/1.png": b"other"})
    with pytest.raises(DataError, match=r"mine/train\.zip holds '1\.png', which differs from the mine/train/1\.png"):
        unpack_archives(tmp_path, "mine")


def test_unpack_archives_joins_archives_of_one_stem(tmp_path):
    write(tmp_path, {"train.zip": packed({"1.png": b"1"}), "train.tar.gz": tarred({"2.png": b"2"}), "x.csv": b""})
    assert unpack_archives(tmp_path, "mine") == {"train.tar.gz": 1, "train.zip": 1}
    assert names(tmp_path) == {"train/1.png", "train/2.png", "x.csv"}
    write(tmp_path, {"train.zip": packed({"1.png": b"1"}), "train.tar.gz": tarred({"1.png": b"2"})})
    with pytest.raises(DataError, match=r"train\.tar\.gz holds '1\.png'"):
        unpack_archives(tmp_path, "mine")


def test_unpack_archives_refuses_a_file_named_like_the_folder(tmp_path):
    write(tmp_path, {"train.zip": packed(PNG), "train": b"a file"})
    with pytest.raises(DataError, match=r"mine/train\.zip holds '1\.png'"):
        unpack_archives(tmp_path, "mine")


def test_unpack_archives_refuses_deep_nesting(tmp_path):
    content = packed(PNG)
    for _ in range(MAX_DEPTH):
        content = packed({"inner.zip": content})
    write(tmp_path, {"outer.zip": content, "x.csv": b""})
    with pytest.raises(DataError, match=f"lies in {MAX_DEPTH} nested archives"):
        unpack_archives(tmp_path, "mine")


def test_fetch_names_unsafe_archive_by_its_original_path(settings, tmp_path):
    local = settings("brain_tumor", **{"download.source": "local", "download.path": "mine"})
    for content in (packed(PNG)[:-30], packed({"../1.png": b"1"})):
        write(tmp_path / "mine", {"a/train.zip": content})
        with pytest.raises(DataError, match=rf"{tmp_path}/mine/a/train\.zip"):
            fetch(local, tmp_path / "raw", tmp_path)
        assert not (tmp_path / "raw").exists()


def test_fetch_counts_files_of_archives(settings, tmp_path):
    local = settings("brain_tumor", **{"download.source": "local", "download.path": "mine"})
    write(tmp_path / "mine", {"train.zip": packed(PNG), "train.csv": b"t"})
    provenance = fetch(local, tmp_path / "raw", tmp_path)
    assert provenance["archives"] == {"train.zip": 2}
    assert (tmp_path / "mine" / "train.zip").is_file()
    assert names(tmp_path / "raw") == {"train/1.png", "train/2.png", "train.csv", "provenance.json"}


def test_fetch_unpacks_archives_in_an_archive(settings, tmp_path):
    local = settings("brain_tumor", **{"download.source": "local", "download.path": "set.zip"})
    write(tmp_path, {"set.zip": packed({"set/train.zip": packed(PNG), "set/train.csv": b"t"})})
    fetch(local, tmp_path / "raw", tmp_path)
    assert names(tmp_path / "raw") == {"train/1.png", "train/2.png", "train.csv", "provenance.json"}
