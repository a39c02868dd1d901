"""Registration of models, and the choice of the champion."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tropho.errors import ExternalError
from tropho.evaluation import register_ensemble
from tropho.paths import Paths


@pytest.mark.parametrize(
    ("runs", "best", "told"),
    [
        ([("a", "k", 0.9), ("me", "k", 0.9)], True, False),
        ([("a", "k", 0.91), ("me", "k", 0.9)], False, False),
        ([("a", "other", 0.91), ("me", "k", 0.9)], True, True),
        ([("a", None, 0.91), ("me", "k", 0.9)], True, False),
        ([("me", "k", 0.9)], True, False),
        ([("a", "other", 0.9), ("b", "k", 0.1), ("me", "k", 0.9)], True, False),
        ([("a", "k", 0.9)], False, False),
    ],
)
def test_is_best_among_comparable_runs(tmp_path, monkeypatch, capsys, runs, best, told):
    table = pd.DataFrame(runs, columns=["id", register_ensemble.VALIDATION_HASH, "score"])
    monkeypatch.setattr(register_ensemble, "best_runs", lambda *_: table)
    assert register_ensemble._is_best(Paths(tmp_path, "t"), "me", "k") is best
    assert ("without a comparison" in capsys.readouterr().err) == told


def test_is_best_is_false_without_a_store(tmp_path, monkeypatch):
    def away(*_):
        raise ExternalError("away")

    monkeypatch.setattr(register_ensemble, "best_runs", away)
    assert register_ensemble._is_best(Paths(tmp_path, "t"), "me", "k") is False


@pytest.mark.parametrize(("run_id", "best", "alias"), [(None, True, None), ("r", True, "champion"), ("r", False, None)])
def test_register_models_sets_the_alias(tmp_path, settings, monkeypatch, run_id, best, alias):
    logged, made = [], settings("cells_demo")
    monkeypatch.setattr(register_ensemble, "_is_best", lambda *_: best)
    monkeypatch.setattr(register_ensemble, "ensemble_record", lambda members, *_: {"members": members})
    paths = Paths(tmp_path, made.name)
    (paths.models / "fold0").mkdir(parents=True)

    def log_model(folder, name, given, content):
        logged.append((sorted(each.name for each in folder.iterdir()), name, given, len(content)))

    run = SimpleNamespace(id=run_id, set_tags=lambda tags: None, log_model=log_model)
    inputs = SimpleNamespace(classes=["a"], data_hash="d")
    found = {"score_name": "m", "folds": [{"fold": 0}]}
    register_ensemble.register_models(run, made, paths, inputs, found, {})
    assert logged == [(sorted(["models", register_ensemble.FILE]), made.name, alias, 16)]
