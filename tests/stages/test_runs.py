"""What was trained stays in runs/TASK, whatever becomes of models/TASK, and is taken from there."""

import shutil
import threading

import pandas as pd
from filelock import FileLock

from stages.test_members import OTHER, chosen, fits, paths, untracked  # noqa: F401 - fixtures
from tropho.files import read_json, sha256_of
from tropho.inference import trained_folds
from tropho.inference.trained_folds import copy_results, locked_runs
from tropho.paths import Paths
from tropho.stages import evaluate, train


def test_train_reuses_folds_of_earlier_settings(chosen, paths, fits, capsys):  # noqa: F811
    train.run(chosen(), paths.root)
    before = sha256_of(paths.fold(0) / "weights.safetensors")
    record = read_json(paths.models / "run.json")
    train.run(chosen(**{"train.lr": 0.5}), paths.root)
    shutil.rmtree(paths.models)  # as `dvc exp run` does where the task is not active
    fits.clear()
    train.run(chosen(), paths.root)
    assert fits == []
    assert sha256_of(paths.fold(0) / "weights.safetensors") == before
    assert read_json(paths.models / "run.json")["folds"] == record["folds"]
    assert f"fold0  taken from {paths.runs / record['training']}" in capsys.readouterr().err


def test_models_are_copies_of_runs(chosen, paths):  # noqa: F811
    record = train.run(chosen(), paths.root)
    for file in ("weights.safetensors", "history.csv"):
        kept, laid = (folder / file for folder in (paths.runs / record["training"] / "fold0", paths.fold(0)))
        assert kept.stat().st_ino != laid.stat().st_ino
        assert kept.read_bytes() == laid.read_bytes()


def test_train_again_after_a_changed_record(chosen, paths, fits):  # noqa: F811
    record = train.run(chosen(), paths.root)
    file = paths.runs / record["training"] / "fold0" / "fold.json"
    file.write_text(file.read_text().replace('"epochs": 1', '"epochs": 3'))
    train.run(chosen(), paths.root)
    assert len(fits) == 2


def test_a_history_without_layers_is_written_again_where_they_are_asked_for(chosen, paths, fits):  # noqa: F811
    for log_layers in (False, True, False, True):
        train.run(chosen(**{"train.log_layer_stats": log_layers}), paths.root)
    assert len(fits) == 2


def test_a_temporary_experiment_keeps_its_runs_in_the_main_checkout(tmp_path):
    temporary = Paths(tmp_path / ".dvc" / "tmp" / "exps" / "tmp1", "smear_demo")
    assert temporary.runs == tmp_path / "runs" / "smear_demo"
    assert temporary.models == temporary.root / "models" / "smear_demo"


def test_copy_results_beside_the_training(chosen, paths):  # noqa: F811
    settings = chosen(**{"train.ensemble": OTHER})
    record = train.run(settings, paths.root)
    metrics = evaluate.run(settings, paths.root)
    copies = paths.runs / record["training"]
    assert read_json(copies / "metrics.json") == read_json(paths.evaluate / "metrics.json")
    assert read_json(copies / "run.json") == record
    assert not (copies / "fold0").exists()  # its members' folds lie in folders of their own
    shown = read_json(paths.metrics)
    assert list(shown) == ["score", "low", "high", "out_of_fold"]
    assert shown["out_of_fold"] == metrics["oof"]["balanced_accuracy"]
    (paths.models / "run.json").unlink()
    copy_results(paths, {"metrics.json": paths.metrics})
    assert read_json(copies / "metrics.json") != shown


def test_write_curves_averages_folds(chosen, paths):  # noqa: F811
    train.run(chosen(**{"train.n_folds": 2, "train.epochs": 3, "train.val_interval": 2}), paths.root)
    histories = [pd.read_csv(paths.fold(number) / "history.csv") for number in (0, 1)]
    curves = pd.read_csv(paths.curves)
    assert list(curves) == ["epoch", "score", "loss", "val_loss", "lr"]
    assert list(curves["epoch"]) == [2, 3]
    for name in ("score", "loss"):
        expected = (histories[0][name] + histories[1][name])[1:] / 2
        pd.testing.assert_series_equal(curves[name], expected, check_index=False, atol=1e-6)  # six digits are written


def test_locked_runs_admit_one_process(tmp_path, monkeypatch):
    entered, told = [], threading.Event()
    monkeypatch.setattr(trained_folds, "info", lambda sentence: told.set())

    def enter():
        with locked_runs([tmp_path / "b", tmp_path / "a", tmp_path / "a"]):
            entered.append(True)

    (tmp_path / "a").mkdir()
    other = threading.Thread(target=enter)
    with FileLock(tmp_path / "a" / ".lock"):
        other.start()
        assert told.wait(30)
        assert entered == []
    other.join(30)
    assert entered == [True]
