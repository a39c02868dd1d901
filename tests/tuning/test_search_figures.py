"""What the pictures of a search show: each trial once, the best so far, the best by setting."""

import os
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console

from tropho.errors import DataError
from tropho.tuning import Search, search_plots
from tropho.tuning.search import TrialReporter
from tropho.tuning.search_space import SearchParam
from tropho.tuning.trial_log import TrialLines
from tropho.tuning.trial_table import best_of, trials_table

KNOBS = [
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
        distributions={knob.key: knob.distribution for knob in KNOBS},
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


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The axes of each picture by its file's name."""

    def draw(trials):
        found = {}
        monkeypatch.setattr(search_plots.style, "save", lambda figure, to: found.update({to.name: figure.axes}))
        search_plots.draw(study_of(trials), KNOBS, tmp_path)
        return found

    return draw


def points(axes) -> list[list[list[float]]]:
    return [np.asarray(each.get_offsets()).tolist() for each in axes.collections]


def test_a_history_shows_each_trial_and_the_best_so_far(drawn):
    (axes,) = drawn(SOME)["history.png"]
    assert points(axes) == [[[0, 0.2], [1, 0.5], [4, 0.4], [5, 0.5]], [[2, 0.3]]]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["failed"].get_xdata() == [3]
    assert lines["best so far"].get_xydata().tolist() == [[0, 0.2], [1, 0.5], [4, 0.5], [5, 0.5]]


def test_a_history_without_a_complete_trial_says_so(drawn):
    (axes,) = drawn([trial(FAIL, None, 0.001), trial(PRUNED, 0.3, 0.003)])["history.png"]
    assert [line.get_label() for line in axes.lines] == ["failed"]
    assert any("No trial came to its end." in text.get_text() for text in axes.texts)
    (axes,) = drawn(SOME[:3])["history.png"]
    assert [line.get_label() for line in axes.lines] == ["best so far"]


def test_settings_show_what_each_trial_tried_and_the_best(drawn):
    rate, backbone = (axes for axes in drawn(SOME)["settings.png"] if axes.get_visible() and axes.collections)
    assert points(rate) == [[[0.001, 0.2], [0.002, 0.5], [0.005, 0.4], [0.006, 0.5]], [[0.003, 0.3]], [[0.002, 0.5]]]
    assert points(backbone) == [[[0, 0.2], [1, 0.5], [0, 0.4], [0, 0.5]], [[0, 0.3]], [[1, 0.5]]]
    assert rate.get_xscale() == "log"
    assert rate.get_xlim() == pytest.approx((0.9e-4, 1.1e-2))
    assert backbone.get_xlim() == (-0.5, 1.5)


@pytest.mark.parametrize(
    ("trials", "told"),
    [(SOME, True), (SOME[:5], False), ([trial(COMPLETE, 0.5, rate / 1000) for rate in range(1, 6)], False)],
)
def test_importance_is_told_from_four_trials_of_different_scores_on(drawn, trials, told):
    assert ("importance.png" in drawn(trials)) is told


def test_importance_is_shown_as_shares(drawn):
    (axes,) = drawn(SOME)["importance.png"]
    assert axes.get_xlim() == (0, 1)
    widths = [bar.get_width() for bar in axes.patches]
    assert sum(widths) == pytest.approx(1.0)
    assert widths == sorted(widths)  # the most important on top


def test_the_table_of_trials():
    study = study_of(SOME)
    table = trials_table(study, KNOBS)
    assert table["state"].tolist() == ["complete", "complete", "pruned", "failed", "complete", "complete"]
    assert table["train.lr"].tolist() == [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
    assert table["steps"].tolist()[1:3] == [3, 2]
    assert table["steps"].isna().sum() == 4
    assert table["reason"].dropna().to_dict() == {3: "interrupted"}
    assert best_of(study.get_trials()).number == 1
    assert best_of([each for each in study.get_trials() if each.state != COMPLETE]) is None


def test_the_picture_of_importance_grows_with_the_settings(drawn):
    (axes,) = drawn(SOME)["importance.png"]
    assert axes.figure.get_figheight() == pytest.approx(1.4 + 2 * 0.35)


def said(study: optuna.Study, number: int) -> str:
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        console = Console(file=nowhere, force_terminal=True, record=True, width=200)
        TrialLines(9, console).done(study, study.get_trials()[number], {"train.lr": 0.25, "model.backbone": "x"})
        return console.export_text().strip()


def test_a_trial_s_line_tells_its_place_and_the_best():
    study = study_of(SOME)
    assert said(study, 0) == "trial 1/9  complete  0.2000  best 0.5000  train.lr=0.25  model.backbone=x"
    assert said(study, 1).startswith("trial 2/9  complete  0.5000  best so far  ")
    assert said(study, 3).startswith("trial 4/9  failed  interrupted  best 0.5000  ")
    assert said(study_of([SOME[3]]), 0).startswith("trial 1/9  failed  interrupted  train.lr")


@pytest.mark.parametrize(("prune", "bad", "ends"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_trial_ends_early_where_pruning_is_set_and_it_does_badly(prune, bad, ends):
    told = []
    trial_ = SimpleNamespace(number=3, report=lambda *given: told.append(given), should_prune=lambda: bad)
    report = TrialReporter(trial_, {}, prune)
    if ends:
        with pytest.raises(optuna.TrialPruned, match="below the median after epoch 2"):
            report(2, 0.5)
    else:
        report(2, 0.5)
    assert told == [(0.5, 2)]
    with pytest.raises(DataError, match="after epoch 3 is undefined"):
        report(3, float("nan"))


@pytest.mark.parametrize(("trials", "random"), [(6, 3), (12, 4), (60, 10)])
def test_a_third_of_the_trials_but_three_to_ten_are_drawn_at_random(settings, tmp_path, trials, random):
    space = {"train.lr": {"low": 1.0e-4, "high": 1.0e-2}}
    changes = {"tune.storage": "journal:study.log", "tune.trials": trials, "tune.space": space}
    assert Search(settings("cells_demo", **changes), "study", tmp_path).study.sampler._startup == random
