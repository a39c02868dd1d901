"""Unpacking: what is honest comes out byte for byte, what is not leaves nothing behind."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.data.sources import archives
from tropho.data.sources.archives import is_archive, stem_of, unpack
from tropho.errors import DataError, ExternalError

FILES = {"train/a/1.jpg": b"one" * 500, "train/b/2.jpg": b"", "notes.txt": bytes(range(256))}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    mode = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for info in extra:
            packed.addfile(info)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(archive: Path, match: str, error: type[Exception] = DataError) -> None:
    """Unpacking fails with the sentence, names the archive, and leaves nothing behind."""
    before = set(archive.parent.iterdir())
    with pytest.raises(error, match=match) as caught:
        unpack(archive, archive.parent / "out")
    assert str(archive) in str(caught.value)
    assert set(archive.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.xz", "x.tar.bz2"])
def test_unpack_keeps_bytes(tmp_path, name):
    make: Callable[[Path, dict[str, bytes]], Path] = make_zip if name.endswith("zip") else make_tar
    archive = make(tmp_path / name, FILES)
    assert unpack(archive, tmp_path / "out") == 3
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil", "a/\x01b", "./.."])
def test_unpack_refuses_paths_outside(tmp_path, make, name):
    archive = make(tmp_path / ("x.zip" if make is make_zip else "x.tar"), {"good.jpg": b"1", name: b"2"})
    refused(archive, "would be written outside its folder")
    assert not (tmp_path.parent / "evil").exists()


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b", "c:", "\\", "…", " "]), min_size=1, max_size=6))
def test_unpack_never_writes_outside(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("x")
    archive = make_zip(folder / "x.zip", {"/".join(parts) or "a": b"content"})
    try:
        unpack(archive, folder / "in" / "out")
    except DataError:
        assert not (folder / "in" / "out").exists()
    else:
        assert list(contents(folder / "in" / "out").values()) == [b"content"]
    assert {path.name for path in folder.iterdir()} <= {"x.zip", "in"}
    assert {path.name for path in folder.glob("in/*")} <= {"out"}


def test_unpack_copies_links_inside_a_tar(tmp_path):
    archive = make_tar(
        tmp_path / "x.tar",
        {"a/real.jpg": b"bytes"},
        special("b/soft.jpg", tarfile.SYMTYPE, "../a/real.jpg"),
        special("hard.jpg", tarfile.LNKTYPE, "a/real.jpg"),
        special("twice.jpg", tarfile.SYMTYPE, "b/soft.jpg"),
    )
    unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == dict.fromkeys(["a/real.jpg", "b/soft.jpg", "hard.jpg", "twice.jpg"], b"bytes")
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../etc/passwd"),
        (tarfile.SYMTYPE, "link"),
        (tarfile.SYMTYPE, "absent.jpg"),
        (tarfile.LNKTYPE, "../evil"),
    ],
)
def test_unpack_refuses_links_outside_circular_and_broken(tmp_path, kind, target):
    refused(make_tar(tmp_path / "x.tar", FILES, special("link", kind, target)), "'link' leads out")


def test_unpack_refuses_devices_and_zipped_links(tmp_path):
    for number, kind in enumerate((tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)):
        refused(make_tar(tmp_path / f"{number}.tar", FILES, special("dev", kind)), "'dev' is a link or a device")
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    refused(tmp_path / "x.zip", "'link' is a link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unpack_refuses_duplicate_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a/1.jpg", b"1")
        packed.writestr("./a//1.jpg", b"2")
    refused(tmp_path / "x.zip", "'./a//1.jpg' twice")
    refused(make_zip(tmp_path / "y.zip", {"a": b"file", "a/1.jpg": b"1"}), "twice, or as a file and a folder")


def test_unpack_refuses_bombs_and_full_disks(tmp_path, monkeypatch):
    monkeypatch.setattr("tropho.data.sources.archives.RATIO_FREE_BYTES", 10_000)
    zeros = {"zeros.bin": bytes(2_000_000)}
    refused(make_zip(tmp_path / "x.zip", zeros), "no honest data set")
    refused(make_tar(tmp_path / "x.tar.gz", zeros), "no honest data set")
    monkeypatch.setattr(archives, "DISK_MARGIN_BYTES", 2**62)
    refused(make_zip(tmp_path / "y.zip", FILES), "make room", ExternalError)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_unpack_refuses_truncated_archives(tmp_path, name):
    whole = (make_zip if name == "x.zip" else make_tar)(tmp_path / name, FILES).read_bytes()
    for share in (0, 0.1, 0.3):  # a whole tar ends in more zeros than it needs
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        refused(tmp_path / name, "fetch it again")


def test_unpack_refuses_tar_without_end_mark(tmp_path):
    whole = make_tar(tmp_path / "x.tar", FILES).read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[: 512 + 1536])  # the first header and its content
    refused(tmp_path / "x.tar", "its end mark is missing")


def test_unpack_names_corrupt_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("good.jpg", b"good")
        packed.writestr("bad.jpg", b"fragile bytes")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[content.index(b"fragile")] ^= 1
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", "'bad.jpg' is corrupt")


def test_unpack_skips_hidden_files_and_reads_windows_paths(tmp_path):
    files = {"__MACOSX/a/._1.jpg": b"", "a/.DS_Store": b"", "a/._1.jpg": b"", "a\\1.jpg": b"1", "b\\": b""}
    assert unpack(make_zip(tmp_path / "x.zip", files), tmp_path / "out") == 1
    assert contents(tmp_path / "out") == {"a/1.jpg": b"1"}


def test_unpack_reads_tar_that_ends_with_a_zip(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", {"wrong.txt": b""}).read_bytes()
    unpack(make_tar(tmp_path / "x.tar", {"right.txt": b"", "inner.zip": inner}), tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"right.txt", "inner.zip"}


@pytest.mark.parametrize(
    ("name", "stem"), [("a/train.tar.gz", "train"), ("b.zip", "b"), ("c.d.tgz", "c.d"), ("plain.jpg", None)]
)
def test_stem_of_strips_archive_endings(name, stem):
    assert is_archive(name) == (stem is not None)
    if stem is not None:
        assert stem_of(name) == stem
