"""Runs are named by what sets them apart and by their score, and MLflow's page gets a view of them."""

import json

import pytest

from tropho.tracking import open_tracker
from tropho.tracking.run_names import (
    KIND,
    NOTE,
    VIEW_TAG,
    Training,
    describe_values,
    name_trainings,
    page_of,
    view,
    with_score,
)

pytestmark = pytest.mark.usefixtures("own_environment")


def train(root, score, **settings):
    """A tracked training; `lr=1` is its setting train.lr."""
    with open_tracker(root).run("train t", "t", tags={"stage": "train"}) as run:
        run.log_params({f"train.{key}": value for key, value in settings.items()})
        run.log_metrics({"score": score})
        run.name_trainings("Cells, good or bad")
    return run.id


def trainings(*settings, **more):
    return [Training({f"train.{key}": str(value) for key, value in each.items()}, 0.5, **more) for each in settings]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ([{"lr": 1, "epochs": 2}], ["base"]),
        ([{"lr": 1}, {"lr": 2}], ["base", "lr 2"]),  # of equally common values, the oldest is usual
        ([{"lr": 1}, {"lr": 2}, {"lr": 2}], ["lr 1", "base", "base"]),
        ([{"lr": 1, "epochs": 2}, {"lr": 1, "epochs": 9}, {"lr": 3, "epochs": 9}, {"lr": 1, "epochs": 9}],
         ["epochs 2", "base", "lr 3", "base"]),
        ([{"lr": 1}, {"lr": 1, "new": 3}], ["base", "base"]),  # a setting that an older version lacks
        ([{"lr": 1}, {"lr": 1, "ensemble.wide": "x", "ensemble.deep": "y"}], ["base", "ensemble deep and wide"]),
    ],
)  # fmt: skip
def test_names_say_what_differs_from_most(settings, names):
    assert name_trainings(trainings(*settings))[0] == [f"{name} (0.5000)" for name in names]


def test_the_most_varied_settings_come_first():
    settings = [{"lr": 1, "epochs": 1, "seed": 0}, {"lr": 2, "epochs": 1, "seed": 0}, {"lr": 3, "epochs": 2, "seed": 0}]
    assert name_trainings(trainings(*settings))[1] == ["train.lr", "train.epochs"]


@pytest.mark.parametrize("what", ["data", "code"])
def test_equal_settings_are_told_apart_by_data_or_code(what):
    same = [Training({"train.lr": "1"}, 0.5, **{what: value}) for value in ("1234567890", "abcdefghij")]
    other = [Training({"train.lr": "2"}, 0.5, **{what: "1234567890"})]
    names = name_trainings(same + other)[0]
    assert names == [f"base, {what} 1234567 (0.5000)", f"base, {what} abcdefg (0.5000)", "lr 2 (0.5000)"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"train.lr": 0.00031622776, "train.epochs": "4"}, "epochs 4, lr 0.0003162"),
        ({"model.name": "fcos", "train.ema": True}, "ema True, model fcos"),
        ({"a.p": 1, "b.p": 2}, "a.p 1, b.p 2"),
        ({f"train.s{i}": i for i in range(6)}, "s0 0, s1 1, s2 2, s3 3, 2 more"),
        ({"augment.policy": "x" * 40}, f"policy {'x' * 29}…"),
        ({}, ""),
    ],
)
def test_describe_values(values, text):
    assert describe_values(values) == text


def test_with_score():
    assert with_score("fold0", 0.81234) == "fold0 (0.8123)"
    assert with_score("fold0", None) == "fold0"


def test_runs_are_renamed_when_others_join_them(root, client):
    first = train(root, 0.5, lr=0.1)
    assert client.get_run(first).info.run_name == "base (0.5000)"
    mine = train(root, 0.25, lr=0.2)
    client.update_run(mine, name="my favourite")
    train(root, 0.75, lr=0.2)
    names = {client.get_run(run).info.run_name for run in (first, mine)}
    assert names == {"lr 0.1 (0.5000)", "my favourite"}


def test_the_experiment_opens_as_model_training(root, client):
    train(root, 0.5, lr=0.1)
    train(root, 0.6, lr=0.2)
    experiment = client.get_experiment_by_name("t")
    assert experiment.tags.items() >= KIND.items()
    assert experiment.tags[NOTE].startswith("Cells, good or bad [")
    assert page_of(experiment.experiment_id) in experiment.tags[NOTE]
    state = json.loads(json.loads(experiment.tags[VIEW_TAG])["state"])
    assert state["selectedColumns"] == ["metrics.`score`", "params.`train.lr`"]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`score`", False)
    assert len(client.search_runs([experiment.experiment_id], state["searchFilter"])) == 2


def test_what_a_user_wrote_of_an_experiment_stays(root, client):
    client.create_experiment("t", tags={NOTE: "mine", "mlflow.experimentKind": "regression"})  # as by an older version
    train(root, 0.5)
    tags = client.get_experiment_by_name("t").tags
    assert (tags[NOTE], tags["mlflow.experimentKind"]) == ("mine", "regression")
    assert tags["mlflow.experiment.primaryMetric.name"] == "score"


def test_a_view_fits_into_a_tag():
    assert len(view([f"train.{'s' * 60}{number}" for number in range(200)], 0)) < 20_000


def test_folds_searches_and_undefined_scores_keep_their_names(root, client):
    tracker = open_tracker(root)
    with (
        tracker.run("train t", "t", tags={"stage": "train"}) as run,
        run.child("fold0", tags={"stage": "fold"}) as fold,
    ):
        fold.log_metrics({"score": 0.5})
        fold.rename(with_score("fold0", 0.5))
        run.name_trainings("t")
    with tracker.run("tune t", "t", tags={"stage": "tune"}) as tune:
        tune.log_metrics({"score": 0.5})
    train(root, 0.5)
    names = {client.get_run(each.id).info.run_name for each in (run, fold, tune)}
    assert names == {"train t", "fold0 (0.5000)", "tune t"}


def test_a_killed_trial_is_found_by_its_name_before_the_score(root, client):
    with open_tracker(root).run("tune t", "t") as parent:
        with parent.child("trial 1") as first:
            first.rename("trial 1: lr 0.1 (0.5000)")
        with parent.child("trial 10") as other:
            pass
        with parent.child("trial 1") as again:
            pass
    assert again.id == first.id != other.id
