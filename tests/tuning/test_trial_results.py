"""The table, the figures and the lines of trials."""

from types import SimpleNamespace

import matplotlib as mpl
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tropho.errors import DataError
from tropho.tuning import Search, TrialReporter
from tropho.tuning.space import SearchParam
from tropho.tuning.trial_results import best_trial, log_trial, merge_attempts, plot_trials, trials_table

PARAMS = [
    SearchParam("train.lr", FloatDistribution(1e-4, 1e-2, log=True)),
    SearchParam(
        "model.backbone",
        CategoricalDistribution(["resnet18", "resnet34"]),
        {each: each for each in ("resnet18", "resnet34")},
    ),
]


def trial(state: TrialState, value: float | None, rate: float, backbone: str = "resnet18", epochs: int = 0):
    return create_trial(
        state=state,
        value=value,
        params={"train.lr": rate, "model.backbone": backbone},
        distributions={param.key: param.distribution for param in PARAMS},
        intermediate_values=dict.fromkeys(range(1, epochs + 1), value or 0.1),
    )


COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
SOME = [
    trial(COMPLETE, 0.2, 0.001),
    trial(COMPLETE, 0.5, 0.002, "resnet34", epochs=3),
    trial(PRUNED, 0.3, 0.003, epochs=2),
    trial(FAIL, None, 0.004),
    trial(COMPLETE, 0.4, 0.005),
    trial(COMPLETE, 0.5, 0.006),
]


def study_of(trials) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


@pytest.mark.parametrize(
    ("trials", "has_importance"),
    [(SOME, True), (SOME[:5], False), ([trial(COMPLETE, 0.5, rate / 1000) for rate in range(1, 6)], False)],
)
def test_plot_trials_draws_importance_of_four_different_scores(tmp_path, trials, has_importance):
    before = dict(mpl.rcParams)
    plot_trials(study_of(trials), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"history.png", "settings.png"} | ({"importance.png"} if has_importance else set())
    assert dict(mpl.rcParams) == before


def test_plot_trials_without_a_complete_trial(tmp_path):
    plot_trials(study_of([trial(FAIL, None, 0.001), trial(PRUNED, 0.3, 0.003)]), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"history.png"}


def test_trials_table():
    study = study_of(SOME)
    table = trials_table(study, PARAMS)
    assert table["state"].tolist() == ["complete", "complete", "pruned", "failed", "complete", "complete"]
    assert table["train.lr"].tolist() == [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
    assert table["steps"].tolist()[1:3] == [3, 2]
    assert table["steps"].isna().sum() == 4
    assert table["reason"].dropna().to_dict() == {3: "interrupted"}


def test_best_trial_is_the_first_of_equals():
    assert best_trial(study_of(SOME)).number == 1
    assert best_trial(study_of(SOME[2:4])) is None


def test_merge_attempts_numbers_a_retry_as_its_first_attempt():
    study = study_of([trial(FAIL, None, 0.001), trial(COMPLETE, 0.2, 0.002)])
    retry = trial(COMPLETE, 0.3, 0.001)
    retry.system_attrs = {"retry_history": [0]}
    study.add_trial(retry)
    assert [each.value for each in merge_attempts(study).trials] == [0.3, 0.2]


def test_log_trial_prints_place_and_best_on_a_terminal(capsys, monkeypatch):
    def line(study, number):
        log_trial(study, number, 9, PARAMS)
        return capsys.readouterr().err.strip()

    study = study_of(SOME)
    assert line(study, 0) == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert line(study, 0) == "trial 0 (1 of 9)  complete  0.2000  best 0.5000  train.lr=0.001  model.backbone=resnet18"
    assert line(study, 1).startswith("trial 1 (2 of 9)  complete  0.5000  best so far  ")
    assert line(study, 3).startswith("trial 3 (4 of 9)  failed  interrupted  best 0.5000  ")
    assert line(study_of([SOME[3]]), 0).startswith("trial 0 (1 of 9)  failed  interrupted  train.lr")


@pytest.mark.parametrize("is_bad", [True, False])
def test_reporter_prunes_where_optuna_says_so(is_bad):
    reported = []
    fake = SimpleNamespace(report=lambda *values: reported.append(values), should_prune=lambda: is_bad)
    report = TrialReporter(fake, 3, {})
    if is_bad:
        with pytest.raises(optuna.TrialPruned, match="below the median after epoch 2"):
            report(2, 0.5)
    else:
        report(2, 0.5)
    assert reported == [(0.5, 2)]
    with pytest.raises(DataError, match="after epoch 3 is undefined"):
        report(3, float("nan"))


@pytest.mark.parametrize(("n_trials", "n_startup"), [(6, 3), (12, 4), (60, 10)])
def test_search_draws_a_third_of_the_trials_at_random(settings, tmp_path, n_trials, n_startup):
    space = {"train.lr": {"low": 1.0e-4, "high": 1.0e-2}}
    changes = {"tune.storage": "journal:study.log", "tune.trials": n_trials, "tune.space": space}
    search = Search(settings("cells_demo", **changes), "study", tmp_path)
    assert search.study.sampler._n_startup_trials == n_startup
