"""Damage in what stages wrote, through real `dvc repro`: it is made again, never taken for whole."""

import hashlib
import json

import pandas as pd
import pytest

from pipeline.conftest import Checkout, new_checkout
from pipeline.reduce import TINY_CELLS

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

TASK = "cells_demo"
OUTPUTS = {
    "fingerprint": [f"data/fingerprints/{TASK}.json"],
    "download": [f"data/raw/{TASK}"],
    "audit": [f"data/audit/{TASK}"],
    "split": [f"data/splits/{TASK}.csv", f"data/splits/{TASK}.json"],
    "augment": [f"data/augmented/{TASK}"],
    "tune": [f"data/tuned/{TASK}", f"data/tuned/{TASK}.yaml"],
    "train": [f"models/{TASK}", f"curves/{TASK}.csv"],
    "evaluate": [f"reports/{TASK}/evaluate", f"metrics/{TASK}.json"],
    "submit": [f"submissions/{TASK}.csv", f"submissions/{TASK}.json"],
    "report": [f"reports/{TASK}/index.html"],
}
OF_THE_RUN = ("run_id", "seconds", "written", "sha256", "git_commit", "git_dirty", "stages_lock", "dvc_lock")
"""What differs where the same is done a second time."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small checkout in which `dvc repro` has run; every test leaves it as it was."""
    checkout = new_checkout(tmp_path_factory.mktemp("damage") / "tropho", {TASK: TINY_CELLS}, [TASK])
    checkout.run("dvc", "repro")
    checkout.commit("built")
    return checkout


def files_of(checkout: Checkout, stage: str):
    """The files of a stage's outputs, all of which hold something."""
    places = [checkout.path / output for output in OUTPUTS[stage]]
    inside = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    return sorted(path for path in inside if path.is_file() and path.stat().st_size)


def content(path):
    """What a file says, apart from what is of the run that wrote it."""
    if path.suffix == ".json":
        return without_run(json.loads(path.read_text()))
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv()
    return path.read_bytes() if path.suffix != ".html" else b""


def without_run(value):
    if isinstance(value, dict):
        return {key: without_run(each) for key, each in value.items() if key not in OF_THE_RUN}
    return [without_run(each) for each in value] if isinstance(value, list) else value


def flip(path):
    """Change one bit in place, as a disk may."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x40]))


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def damaged_objects(checkout: Checkout):
    """Objects of DVC's cache that are not what their name says."""
    root = checkout.path / ".dvc" / "cache" / "files" / "md5"
    named = {path: (path.parent.name + path.name).removesuffix(".dir") for path in root.rglob("*") if path.is_file()}
    return [path for path, name in named.items() if hashlib.md5(path.read_bytes()).hexdigest() != name]


@pytest.mark.fault(
    "a flipped bit in every output of a stage",
    "`dvc repro` makes the same bytes again; DVC's cache stays whole",
)
@pytest.mark.parametrize("stage", OUTPUTS)
def test_flipped_outputs_are_made_again(whole, stage):
    before = {path: content(path) for path in files_of(whole, stage)}
    for path in before:
        flip(path)
    assert damaged_objects(whole) == []  # none shares its bytes with the workspace
    whole.run("dvc", "repro", "--single-item", f"{stage}@{TASK}")
    assert {path: content(path) for path in files_of(whole, stage)} == before
    assert damaged_objects(whole) == []


@pytest.mark.fault("every output cut short", "`dvc repro` makes the same bytes again")
def test_outputs_that_are_cut_short_are_made_again(whole):
    before = {path: content(path) for stage in OUTPUTS for path in files_of(whole, stage)}
    for path in before:
        cut(path)
    whole.run("dvc", "repro")
    assert {path: content(path) for stage in OUTPUTS for path in files_of(whole, stage)} == before
    assert damaged_objects(whole) == []


@pytest.mark.fault(
    "a flipped bit in DVC's cache",
    "the stage that reads the file refuses it and says how to make it again",
)
@pytest.mark.parametrize(
    ("file", "stage"),
    [(f"models/{TASK}/fold0/weights.safetensors", "train"), (f"data/augmented/{TASK}/cache/images.bin", "augment")],
)
def test_damage_in_the_cache_is_noticed_by_who_reads_it(whole, file, stage):
    path = whole.path / file
    before = path.read_bytes()
    digest = hashlib.md5(before).hexdigest()
    object_ = whole.path / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    object_.chmod(0o644)
    flip(object_)
    object_.chmod(0o444)  # DVC trusts objects that nobody may write to
    path.unlink()
    whole.run("dvc", "checkout", OUTPUTS[stage][0])
    assert path.read_bytes() == object_.read_bytes()
    refused = whole.run("tropho", "evaluate", TASK, check=False)
    assert refused.returncode == 1
    assert f"{path.name} is" in refused.stderr
    assert f"tropho {stage}" in refused.stderr
    whole.run("tropho", stage, TASK)
    assert path.read_bytes() == before
    object_.unlink()
    object_.write_bytes(before)
