"""Changed files at the source are noticed, whatever their times say; a mere touch is not a change."""

import json
import os
import zipfile

import pytest

from tropho.data.sources import local
from tropho.files import sha256_of

LOCAL = {"source": "local", "path": "mine"}


@pytest.fixture
def mine(project):
    """A project with a task on the folder `mine`, which holds one small table and a folder."""
    folder = project.root / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").write_text("Image_ID,class\n1,cell\n")
    (folder / "images" / "1.png").write_bytes(b"png")
    project.add("t", "classification", download=LOCAL)
    return folder


@pytest.fixture
def noted(project):
    """What the stage notes: noted()."""

    def note() -> dict:
        project.tropho("fingerprint", "t")
        return json.loads((project.root / "data/fingerprints/t.json").read_text())

    return note


@pytest.mark.parametrize("change", ["content", "same size", "added", "renamed", "removed", "unknown to times"])
def test_fingerprint_changes_with_content(mine, noted, change):
    before = noted()
    table = mine / "labels.csv"
    stat = table.stat()
    match change:
        case "content":
            table.write_text("Image_ID,class\n1,Trophozoite\n")
        case "same size":
            table.write_text("Image_ID,class\n1,call\n")
        case "added":
            (mine / "images" / "2.png").write_bytes(b"2")
        case "renamed":
            (mine / "images" / "1.png").rename(mine / "images" / "one.png")
        case "removed":
            (mine / "images" / "1.png").unlink()
        case "unknown to times":
            table.write_text("Image_ID,class\n1,call\n")
            os.utime(table, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert noted() != before


def test_fingerprint_ignores_times(mine, noted, monkeypatch):
    before = noted()
    (mine / "labels.csv").touch()
    read = []
    monkeypatch.setattr(local, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    assert noted() == before
    assert read == ["labels.csv"]
    assert noted() == before
    assert read == ["labels.csv"]


def test_a_lost_or_damaged_memory_of_times_costs_reading_alone(project, mine, noted):
    before = noted()
    memory = project.root / ".cache/fingerprints/t.json"
    for damaged in ("", "[1]", "{"):
        memory.write_text(damaged)
        assert noted() == before
    memory.unlink()
    assert noted() == before


def test_fingerprint_of_archives(project, mine, noted):
    archive = project.root / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a/1.png", b"1")
    project.add("t", "classification", download={**LOCAL, "path": "set.zip"})
    before = noted()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a/1.png", b"2")
    assert noted() != before


def test_fingerprint_of_incoming_files(project, noted):
    project.add("t", "detection", download={"source": "zindi"}, model={"name": "fcos"})
    assert noted()["files"] == 0
    incoming = project.root / "data/incoming/t"
    incoming.mkdir(parents=True)
    (incoming / "Train.csv").write_text("1")
    before = noted()
    (incoming / "Train.csv").write_text("2")
    assert noted() != before


@pytest.mark.parametrize("gone", ["moved away", "empty, as an unmounted disk is"])
def test_where_the_source_is_out_of_reach_what_was_noted_stays_and_that_is_said(project, mine, noted, gone):
    before = noted()
    mine.rename(project.root / "elsewhere")
    if gone != "moved away":
        mine.mkdir()
    said = project.tropho("fingerprint", "t").text
    assert "No files are at" in said
    assert "data/raw/t stays as it was fetched" in said
    assert json.loads((project.root / "data/fingerprints/t.json").read_text()) == before


def test_another_path_without_files_is_not_taken_for_the_old_one(project, mine, noted):
    before = noted()
    project.add("t", "classification", download={**LOCAL, "path": "yours"})
    assert noted() != before
    assert "is no folder and no archive" in project.tropho("download", "t", code=2).text


def test_sources_that_settings_pin_have_nothing_to_watch(project, noted):
    project.add("t", "classification", download={"source": "huggingface", "repo": "a/b"})
    assert noted() == {"source": "huggingface", "path": None}


def test_a_folder_that_holds_the_pipeline_is_refused(project, mine):
    project.add("t", "classification", download={**LOCAL, "path": "."})
    assert "folder of its own" in project.tropho("fingerprint", "t", code=2).text


def test_own_words_for_the_report_have_a_stamp_that_changes_with_them(mine, project):
    stamp = project.root / "data/fingerprints/t.text.json"
    project.tropho("fingerprint", "t")
    assert json.loads(stamp.read_text()) == {}
    text = project.root / "reports/t/text/literature.md"
    text.parent.mkdir(parents=True)
    text.write_text("Much has been done.")
    project.tropho("fingerprint", "t")
    assert json.loads(stamp.read_text()) == {"literature.md": sha256_of(text)}
    text.unlink()
    project.tropho("fingerprint", "t")
    assert json.loads(stamp.read_text()) == {}
