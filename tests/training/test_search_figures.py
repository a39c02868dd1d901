"""What the pictures of a search show: each trial once, the best so far, the best by setting."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tropho.training.search import figures
from tropho.training.search.results import best_of, trials_table
from tropho.training.search.space import Knob

KNOBS = [
    Knob("train.lr", FloatDistribution(1e-4, 1e-2, log=True)),
    Knob(
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
        monkeypatch.setattr(figures.style, "save", lambda figure, to: found.update({to.name: figure.axes}))
        figures.draw(study_of(trials), KNOBS, tmp_path)
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
