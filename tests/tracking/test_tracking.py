"""Runs as they stand in a real sqlite store."""

import hashlib
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.errors import ExternalError
from tropho.tracking import PrunedRunError, Tracker, best_runs, flatten, open_tracker, tracking_uri
from tropho.tracking.mlflow_tracker import PAUSE
from tropho.tracking.tracker import mlflow_name

pytestmark = pytest.mark.usefixtures("own_environment")


def git(root, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_run_records_params_metrics_tags_and_files(root, client):
    note = root / "note.txt"
    note.write_text("hello")
    with open_tracker(root).run("fold 0", "smear_demo", tags={"stage": "train", "empty": None}) as run:
        run.log_params({"train.lr": 0.001, "model.fpn_levels": [3, 4]})
        run.log_metrics({"val/mAP@50": 0.25, "none": None}, step=1)
        run.log_metrics({"val/mAP@50": 0.5}, step=2)
        run.log_artifact(note, "texts")
    kept = client.get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "fold 0"
    assert kept.data.params == {"train.lr": "0.001", "model.fpn_levels": "[3, 4]"}
    assert kept.data.metrics == {"val/mAP_50": 0.5}
    assert [(m.step, m.value) for m in client.get_metric_history(run.id, "val/mAP_50")] == [
        (1, 0.25),
        (2, 0.5),
    ]
    assert kept.data.tags["stage"] == "train"
    assert "empty" not in kept.data.tags
    assert (root / "mlartifacts").as_uri() in kept.info.artifact_uri
    assert [each.path for each in client.list_artifacts(run.id, "texts")] == ["texts/note.txt"]


def test_run_splits_large_batches(root, client):
    with open_tracker(root).run("big", "t") as run:
        run.log_params({f"p{i}": i for i in range(250)})
        run.log_metrics({f"m{i}": i for i in range(1700)}, step=3)
        run.set_tags({f"t{i}": i for i in range(120)})
    kept = client.get_run(run.id).data
    assert len(kept.params) == 250
    assert len(kept.metrics) == 1700
    assert {f"t{i}" for i in range(120)} <= set(kept.tags)


def test_run_nests_under_its_parent(root, client):
    tracker = open_tracker(root)
    with tracker.run("training", "t") as parent, tracker.run("fold 0", "t", parent=parent.id) as fold:
        pass
    assert client.get_run(fold.id).data.tags["mlflow.parentRunId"] == parent.id


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_run_status_follows_the_error(root, client, error, status):
    with pytest.raises(error), open_tracker(root).run("r", "t") as run:
        raise error("x")
    assert client.get_run(run.id).info.status == status


def test_run_reopens_that_of_a_killed_process(root, client):
    script = (
        "import os, signal, sys; from pathlib import Path; from tropho.tracking import open_tracker\n"
        "with open_tracker(Path(sys.argv[1])).run('r', 't') as run:\n"
        "    run.log_params({'lr': 1}); run.log_metrics({'loss': 3.0}, step=1)\n"
        "    print(run.id, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    run_id = killed.stdout.strip()
    assert client.get_run(run_id).info.status == "RUNNING"
    with open_tracker(root).run("r", "t", run_id=run_id) as run:
        run.log_params({"lr": 2, "epochs": 5})
        run.log_metrics({"loss": 2.0}, step=2)
    kept = client.get_run(run_id)
    assert run.id == run_id
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"lr": "1", "epochs": "5"}
    assert [each.step for each in client.get_metric_history(run_id, "loss")] == [1, 2]


def test_run_stays_finished_when_a_later_stage_fails(root, client):
    tracker = open_tracker(root)
    with tracker.run("r", "t") as first:
        pass
    statuses = []

    def later_stage():
        with tracker.run("r", "t", run_id=first.id):
            statuses.append(client.get_run(first.id).info.status)
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        later_stage()
    assert statuses == ["RUNNING"]
    assert client.get_run(first.id).info.status == "FINISHED"


def test_child_is_nested_and_killed_ones_are_marked(root, client):
    tracker = open_tracker(root)
    with tracker.run("study", "t") as parent:
        with parent.child("trial 0", tags={"trial": 0}) as done:
            pass
        killed = client.create_run(
            client.get_run(parent.id).info.experiment_id, tags={"mlflow.parentRunId": parent.id}
        ).info.run_id
    assert client.get_run(done.id).data.tags["mlflow.parentRunId"] == parent.id
    assert client.get_run(done.id).data.tags["trial"] == "0"
    with tracker.run("study", "t", run_id=parent.id):
        assert client.get_run(killed).info.status == "KILLED"
    assert client.get_run(done.id).info.status == "FINISHED"


@pytest.mark.fault("a trial or fold is killed and done again", "goes on in the MLflow run that it has, each epoch once")
def test_child_reopens_a_killed_one(root, client):
    tracker = open_tracker(root)
    ids = set()
    for killed in (True, False):
        with suppress(KeyboardInterrupt), tracker.run("study", "t", run_id=max(ids, default=None)) as parent:
            ids = {parent.id}
            with parent.child("trial 0") as trial:
                trial.log_metrics({"loss": 3.0}, step=1)
                trial.log_metrics({"total": 1.0})
                if killed:
                    raise KeyboardInterrupt
                trial.log_metrics({"loss": 2.0}, step=2)
                trial.log_metrics({"total": 2.0})
            with parent.child("trial 1"):
                pass
    runs = client.search_runs([client.get_experiment_by_name("t").experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["study", "trial 0", "trial 1"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert [(each.step, each.value) for each in client.get_metric_history(trial.id, "loss")] == [(1, 3.0), (2, 2.0)]
    assert [each.value for each in client.get_metric_history(trial.id, "total")] == [1.0, 2.0]


def test_run_pruned_is_finished(root, client):
    class PrunedError(PrunedRunError):
        outcome = "PRUNED"

    with pytest.raises(PrunedError), open_tracker(root).run("r", "t") as run:
        raise PrunedError
    kept = client.get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["outcome"] == "PRUNED"


def test_run_replaces_a_deleted_one(root, client):
    tracker = open_tracker(root)
    with tracker.run("r", "t") as deleted:
        pass
    client.delete_run(deleted.id)
    for gone in (deleted.id, "0" * 32):
        with tracker.run("again", "t", run_id=gone) as run:
            assert run.id not in (None, gone)


def test_run_restores_a_deleted_experiment(root, client):
    tracker = open_tracker(root)
    with tracker.run("r", "t"):
        pass
    client.delete_experiment(client.get_experiment_by_name("t").experiment_id)
    with tracker.run("r", "t") as run:
        pass
    assert client.get_experiment_by_name("t").lifecycle_stage == "active"
    assert client.get_run(run.id).info.status == "FINISHED"


def test_run_uses_the_experiment_of_a_faster_process(root, client, monkeypatch):
    """Both ask, neither finds it, both make it: the slower one must take the other's."""
    from mlflow.tracking import MlflowClient

    made = client.create_experiment("t")
    look_up = MlflowClient.get_experiment_by_name
    answers = iter([None])
    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", lambda self, name: next(answers, look_up(self, name)))
    with open_tracker(root).run("r", "t") as run:
        pass
    assert client.get_run(run.id).info.experiment_id == made


def test_run_tags_commit_and_data(root, client):
    git(root, "init", "-q")
    (root / "code.py").write_text("1")
    (root / "dvc.lock").write_text("a")
    git(root, "add", "code.py", "dvc.lock")
    git(root, "commit", "-qm", "x")
    (root / "dvc.lock").write_text("b")
    tracker = open_tracker(root)
    with tracker.run("clean", "t") as run:
        pass
    tags = client.get_run(run.id).data.tags
    assert tags["git_commit"] == git(root, "rev-parse", "HEAD")
    assert tags["git_dirty"] == "false"
    assert tags["dvc_lock"] == hashlib.sha256(b"b").hexdigest()
    (root / "code.py").write_text("2")
    with tracker.run("dirty", "t") as run:
        pass
    assert client.get_run(run.id).data.tags["git_dirty"] == "true"


def test_run_in_a_new_store_prints_nothing(tmp_path):
    script = (
        "import sys; from pathlib import Path; from tropho.tracking import open_tracker\n"
        "tracker = open_tracker(Path(sys.argv[1])); assert 'mlflow' not in sys.modules\n"
        "with tracker.run('r', 't') as run: run.log_metrics({'a': 1.0})\n"
        "assert run.id\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


def test_open_tracker_switched_off(root, monkeypatch):
    monkeypatch.setenv("TROPHO_TRACKING", "off")
    tracker = open_tracker(root)
    assert type(tracker) is Tracker
    with tracker.run("r", "t") as run:
        run.log_params({"a": 1})
        run.log_metrics({"b": 1.0}, step=1)
        run.set_tags({"c": 1})
        run.log_artifact(root)
        run.log_model(root, "t")
        with run.child("fold 0") as child:
            assert child.id is None
    assert run.id is None


def test_run_in_a_damaged_store_warns_once(tmp_path, capsys):
    (tmp_path / "mlflow.db").write_text("this is no database" * 100)
    tracker = open_tracker(tmp_path)
    for _ in range(2):
        with tracker.run("r", "t") as run:
            run.log_metrics({"a": 1.0})
    assert capsys.readouterr().err.count("Warning") == 1
    with pytest.raises(ExternalError, match="can't be read"):
        best_runs(tmp_path)


def test_run_drops_a_refused_record(root, client, capsys):
    tracker = open_tracker(root)
    with tracker.run("r", "t") as run:
        client.log_param(run.id, "lr", "1")  # another process, with another value
        run.log_params({"lr": 2})
        run.log_params({"epochs": 3})
    assert client.get_run(run.id).data.params == {"lr": "1", "epochs": "3"}
    assert capsys.readouterr().err.count("Warning") == 1


def test_best_runs_ranks_within_tasks(root):
    assert best_runs(root).empty
    tracker = open_tracker(root)
    for name, task, score in [("a", "one", 0.5), ("b", "one", 0.9), ("c", "two", 0.7)]:
        with tracker.run(name, task, tags={"stage": "train", "score_name": "map"}) as run:
            run.log_params({"train.epochs": 4})
            run.log_metrics({"score": score, "seconds": 12.5})
        with tracker.run("fold 0", task, parent=run.id) as fold:
            fold.log_metrics({"score": 1.0}, step=1)
    with tracker.run("search", "one", tags={"stage": "tune"}) as search:
        search.log_metrics({"score": 1.0})
    with tracker.run("unscored", "one"):
        pass
    table = best_runs(root)
    assert list(zip(table["task"], table["run"], table["score"], strict=True)) == [
        ("one", "b", 0.9),
        ("one", "a", 0.5),
        ("two", "c", 0.7),
    ]
    assert table["epochs"].tolist() == [4, 4, 4]
    assert set(table["score_name"]) == {"map"}
    assert table["seconds"].tolist() == [12.5, 12.5, 12.5]
    assert best_runs(root, "two")["run"].tolist() == ["c"]
    assert best_runs(root, "three").empty


def test_best_runs_creates_no_store(tmp_path):
    assert best_runs(tmp_path).empty
    assert not list(tmp_path.iterdir())


def test_tracking_uri(tmp_path, monkeypatch):
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    assert tracking_uri(tmp_path) == "http://example.org"


def test_run_sends_missed_records_after_an_outage(root, client, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("tropho.tracking.mlflow_tracker.monotonic", lambda: clock.now)
    with open_tracker(root).run("r", "t") as run:
        with monkeypatch.context() as outage:
            outage.setattr(type(client), "log_batch", lambda *_, **__: (_ for _ in ()).throw(ConnectionError()))
            run.log_metrics({"loss": 3.0}, step=1)
            run.log_params({"late": 1})
        run.log_metrics({"loss": 2.0}, step=2)
        assert client.get_metric_history(run.id, "loss") == []
        clock.now = PAUSE
        run.log_metrics({"loss": 1.0}, step=3)
    assert [each.step for each in client.get_metric_history(run.id, "loss")] == [1, 2, 3]
    assert client.get_run(run.id).data.params == {"late": "1"}


@given(st.text(max_size=300))
def test_mlflow_name_is_accepted_by_mlflow(name):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

    for check in (_validate_metric_name, _validate_param_name, _validate_tag_name):
        check(mlflow_name(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val/map50", "val/map50"),
        ("mAP@50", "mAP_50"),
        ("../x", "x"),
        ("/a//b/", "a/b"),
        ("", "_"),
        ("é", "_"),
    ],
)
def test_mlflow_name_examples(name, expected):
    assert mlflow_name(name) == expected


def test_flatten():
    nested = {"train": {"lr": 1, "x": {"y": None}}, "space": {}, "n": [1]}
    assert flatten(nested) == {"train.lr": 1, "train.x.y": None, "space": {}, "n": [1]}


def test_import_loads_no_heavy_library():
    script = "import tropho.tracking, sys; sys.exit(any(m in sys.modules for m in ('mlflow', 'torch', 'cv2')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
