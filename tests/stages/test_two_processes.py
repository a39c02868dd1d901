"""Train and evaluate in two processes on the CPU: one of them writes, and what it writes is what one alone does."""

import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pipeline.reduce import reduce
from project import ROOT
from stages.test_members import NO_PICTURES, OTHER, SMALL, chosen, paths, untracked  # noqa: F401 - fixtures
from training.test_processes import run_together
from tropho.files import read_json
from tropho.stages import evaluate, train

PLAIN = {
    **SMALL,
    **NO_PICTURES,
    "train.n_folds": 2,
    "train.batch_size": 4,
    "train.optimizer": "sgd",
    "model.norm": "none",
    "predict.batch_size": 3,
    "tune.trials": 0,
    "train.ensemble": {"other": {**OTHER["other"], "model.norm": "layer"}},
}


def run(paths, stage: str, code: int = 0, **changes):  # noqa: F811
    """What two processes print of a stage of cells_demo with PLAIN and these settings."""
    shutil.copy2(ROOT / "params.yaml", paths.root / "params.yaml")
    sections: dict = {}
    for key, value in {**PLAIN, **changes}.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    reduce(paths.root / "params.yaml", {"cells_demo": sections})
    command = "from tropho.cli import main; main()"
    return run_together(["--no-python", sys.executable, "-c", command, stage, "cells_demo"], paths.root, code)


@pytest.mark.slow
def test_train_with_two_processes_equals_one(chosen, paths):  # noqa: F811
    run(paths, "train")
    run(paths, "evaluate")
    record = read_json(paths.models / "run.json")
    assert record["processes"] == 2
    assert {path.name for path in paths.evaluate.parent.iterdir()} == {"evaluate"}
    metrics = read_json(paths.evaluate / "metrics.json")

    alone = replace(paths, root=paths.root.parent / "alone")
    shutil.copytree(paths.root / "data", alone.root / "data")
    train.run(chosen(**PLAIN), alone.root)
    for member, number in (("base", 0), ("base", 1), ("other", 0), ("other", 1)):
        found, expected = (load_file(each.fold(number, member) / "weights.safetensors") for each in (paths, alone))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5)
    evaluate.run(chosen(**PLAIN), paths.root)
    for subset, values in read_json(paths.evaluate / "metrics.json").items():
        if subset in ("oof", "test"):
            assert metrics[subset].keys() == values.keys()
            known = {name: value for name, value in values.items() if value is not None}
            assert {name: metrics[subset][name] for name in known} == pytest.approx(known, rel=1e-5)


@pytest.mark.slow
def test_train_refuses_an_indivisible_batch(paths):  # noqa: F811
    said = run(paths, "train", code=2, **{"train.batch_size": 5})
    assert "tropho: train.batch_size 5 of base can't be divided among 2 processes; make it a multiple of 2" in said
    assert not paths.models.exists()


def test_evaluate_writes_on_the_first_process(chosen, paths, monkeypatch):  # noqa: F811
    train.run(chosen(), paths.root)
    make = evaluate.make_accelerator

    class Second(SimpleNamespace):
        is_main_process = False

        def __getattr__(self, name):
            return getattr(self.real, name)

    monkeypatch.setattr(evaluate, "make_accelerator", lambda settings: Second(real=make(settings)))
    assert evaluate.run(chosen(), paths.root) == {}
    assert not paths.evaluate.exists()
