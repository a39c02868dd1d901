import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tropho.errors import DataError
from tropho.files import atomic_folder, atomic_path, fingerprint, read_json, read_yaml, sha256_of, write_json


def save_frame(path):
    pd.DataFrame({"a": np.random.default_rng(0).random(9000)}).to_parquet(path)


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_fingerprint_ignores_key_order_but_not_values():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert len(fingerprint(None)) == 16


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "a").write_text("half")
        raise RuntimeError
    assert (folder / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_new_folder_replaces_the_old_one(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_folder(folder) as temporary:
        (temporary / "new").touch()
    assert [each.name for each in folder.iterdir()] == ["new"]


def test_the_old_folder_is_there_until_the_new_one_is(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def full(self, target):
        if Path(target) == folder and "replaced" not in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"), atomic_folder(folder) as temporary:
        (temporary / "new").touch()
    assert [each.name for each in folder.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.fault("a kill while a folder replaces another", "puts the old content back")
def test_a_crash_between_the_two_renames_loses_nothing(tmp_path):
    (tmp_path / ".models.replaced").mkdir()
    (tmp_path / ".models.replaced" / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "models"):
        raise RuntimeError
    assert [each.name for each in (tmp_path / "models").iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [tmp_path / "models"]


def test_a_link_to_a_larger_disk_stays(tmp_path):
    (tmp_path / "disk" / "models").mkdir(parents=True)
    (tmp_path / "models").symlink_to(tmp_path / "disk" / "models")
    with atomic_folder(tmp_path / "models") as temporary:
        (temporary / "new").touch()
    assert (tmp_path / "models").is_symlink()
    assert [each.name for each in (tmp_path / "disk" / "models").iterdir()] == ["new"]


HOLDS_A_FOLDER = """
import sys
from pathlib import Path
from tropho.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as temporary:
    (temporary / "half").touch()
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.fault("temporary folders of killed stages", "removes them, and none of a living process")
def test_folders_of_killed_processes_are_removed_and_those_of_living_ones_are_not(tmp_path):
    folder, other = tmp_path / "t", tmp_path / "t.x"
    command = [sys.executable, "-c", HOLDS_A_FOLDER]
    killed, alive, others = (
        subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for path in (folder, folder, other)
    )
    for process in (killed, alive, others):
        process.stdout.readline()
    for process in (killed, others):
        process.kill()
        process.wait()
    assert len(list(tmp_path.glob(".t.*"))) == 3
    with atomic_folder(folder) as temporary:
        (temporary / "new").touch()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3  # what the living process writes, and what belongs to the other folder
    assert left[-1] == "t"
    assert sum(name.startswith(".t.x.") for name in left) == 1
    alive.communicate()
    assert [each.name for each in folder.iterdir()] == ["half"]


@pytest.mark.fault("a kill during a write", "the old file stays whole")
def test_a_killed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"epoch": 1}')
    code = f"""
import os, signal
from pathlib import Path
from tropho.files import atomic_path
with atomic_path(Path({str(path)!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert json.loads(path.read_text()) == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 2  # what the killed process was writing
    write_json(path, {"epoch": 2})
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [lambda path: path.write_bytes(bytes(9000)), save_frame])
def test_a_full_disk_is_named_with_the_file(tmp_path, write, full_disk):
    path = tmp_path / "state.parquet"
    with pytest.raises(OSError, match=r"too large|Error writing") as error, full_disk(), atomic_path(path) as part:
        write(part)
    assert error.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="too large") as error, full_disk(), atomic_folder(path) as folder:
        (folder / "images.bin").write_bytes(bytes(9000))
    assert error.value.filename == str(path)


def test_an_error_of_another_kind_keeps_its_words(tmp_path):
    with pytest.raises(ConnectionError) as error, atomic_folder(tmp_path / "raw"):
        raise ConnectionError(111, "refused")
    assert error.value.filename is None


def test_two_processes_write_one_file_at_a_time(tmp_path):
    code = f"""
from pathlib import Path
from tropho.files import write_json
for number in range(25):
    write_json(Path({str(tmp_path / "state.json")!r}), number)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == [b"", b"", b""]
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_json_round_trip_refuses_nan(tmp_path):
    path = tmp_path / "deep" / "metrics.json"
    write_json(path, {"a": 0.1 + 0.2})
    assert read_json(path) == {"a": 0.1 + 0.2}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 0.1 + 0.2}


@pytest.mark.parametrize(("read", "content"), [(read_json, "{"), (read_json, ""), (read_yaml, "a: [1\n<<<<<<< HEAD")])
def test_a_damaged_file_is_named(tmp_path, read, content):
    (tmp_path / "state").write_text(content)
    with pytest.raises(DataError, match="state is damaged"):
        read(tmp_path / "state")


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("data/audit/t/images.csv", "dvc repro audit@t"),
        ("models/x/data/splits/t.csv", "dvc repro split@t"),
        ("models/t/run.json", "dvc repro train@t"),
        ("reports/t/evaluate/metrics.json", "dvc repro evaluate@t"),
        ("elsewhere/t.json", "dvc repro"),
    ],
)
def test_a_missing_file_names_the_stage_that_writes_it(tmp_path, place, command):
    with pytest.raises(DataError) as caught:
        read_json(tmp_path / place)
    assert str(caught.value) == f"{tmp_path / place} is not there; run `{command}`."
