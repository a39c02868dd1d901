"""Files that a user changes after the first run, through real `dvc` commands."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.conftest import ROOT, Checkout, new_checkout
from tropho.config.retired import rewrite

pytestmark = pytest.mark.pipeline

TABLE = "filename,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(8))
CASE = ROOT.parent / "shared" / "cases" / "13-edited-labels-are-stale"


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([\w@]+)'", output)


def add_task(checkout: Checkout, name: str, task: dict) -> None:
    path = checkout.path / "params.yaml"
    params = yaml.safe_load(path.read_text())
    sections = {key: {} for key in params["tasks"]["cells_demo"] if key not in ("kind", "description")}
    params["tasks"][name] = {"description": name, **sections, **task}
    params["active"] = [name]
    path.write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture
def classified(tmp_path):
    """A committed checkout whose task `mine` has run to the split, and its data set beside it."""
    source = tmp_path / "mine"
    (source / "images").mkdir(parents=True)
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / "images" / f"{number}.png")
    (source / "labels.csv").write_text(TABLE)
    checkout = new_checkout(tmp_path / "tropho", {})
    add_task(
        checkout,
        "mine",
        {
            "kind": "classification",
            "download": {"source": "local", "path": "../mine"},
            "audit": {"format": "label_csv"},
            "split": {"n_folds": 2, "test_fraction": 0.0},
        },
    )
    checkout.run("dvc", "repro", "split@mine")
    checkout.commit("split")
    return checkout, source


def test_changed_files_rerun_what_they_must_and_no_more(classified):
    checkout, source = classified
    repro = ("dvc", "repro", "split@mine")
    assert stages_run(checkout.run(*repro).stdout) == ["fingerprint@mine"]
    (source / "labels.csv").touch()
    assert stages_run(checkout.run(*repro).stdout) == ["fingerprint@mine"]
    assert checkout.run("git", "status", "--porcelain").stdout == ""
    status = checkout.run("dvc", "status", "fingerprint@mine", "download@mine", "audit@mine", "split@mine").stdout
    assert [line for line in status.splitlines() if not line.startswith("\t")] == ["fingerprint@mine:"]

    (checkout.path / "data/raw/mine/images/3.png").unlink()
    assert stages_run(checkout.run(*repro).stdout) == ["fingerprint@mine"]  # DVC's cache has it
    assert (checkout.path / "data/raw/mine/images/3.png").is_file()

    (source / "labels.csv").write_text(TABLE.replace(",b", ",c"))
    wanted = ["fingerprint@mine", "download@mine", "audit@mine", "split@mine"]
    assert stages_run(checkout.run(*repro).stdout) == wanted
    assert sorted(pd.read_csv(checkout.path / "data/audit/mine/images.csv")["label"].unique()) == ["a", "c"]

    shutil.rmtree(source)
    done = checkout.run(*repro)
    assert stages_run(done.stdout) == ["fingerprint@mine"]
    assert "data/raw/mine stays as it was fetched" in done.stderr + done.stdout
    assert len(list((checkout.path / "data/raw/mine/images").iterdir())) == 8


@pytest.mark.slow
def test_an_experiment_in_a_temporary_folder_keeps_the_data(classified):
    checkout, _ = classified
    checkout.run("dvc", "exp", "run", "--temp", "--name", "three", "-S", "tasks.mine.split.n_folds=3", "split@mine")
    assert "three" in checkout.run("dvc", "exp", "show", "--csv").stdout
    done = checkout.run("dvc", "exp", "run", "--name", "four", "-S", "tasks.mine.split.n_folds=4", "split@mine")
    assert stages_run(done.stdout) == ["fingerprint@mine", "split@mine"]


@pytest.mark.slow
@pytest.mark.real
def test_case_13_mended_labels_rerun_the_audit(tmp_path):
    if not CASE.is_dir():
        pytest.skip("the cases (../shared/cases) are not beside this checkout")
    checkout = new_checkout(tmp_path / "tropho", {})
    source = tmp_path / "data"
    shutil.copytree(CASE / "data", source, copy_function=shutil.copyfile)
    (name, task), *_ = yaml.safe_load(rewrite((CASE / "entry.yaml").read_text())[0]).items()
    add_task(checkout, name, {**task, "download": {"source": "local", "path": "../data"}})
    checkout.run("dvc", "repro", f"audit@{name}")
    shutil.copyfile(CASE / "Train.after.csv", source / "Train.csv")
    checkout.run("dvc", "repro", f"audit@{name}")
    boxes = pd.read_csv(checkout.path / f"data/audit/{name}/boxes.csv")
    assert boxes["label"].tolist() == ["Trophozoite"] * 8
