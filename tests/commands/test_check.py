"""`tropho check`, and the check that a long training makes by itself."""

import pytest

from stages.test_members import SMALL, chosen, fits, paths, untracked  # noqa: F401 - fixtures
from tropho.commands.check import check_task
from tropho.errors import DataError, UsageError
from tropho.files import read_json
from tropho.stages import train
from tropho.tasks.classification_task import ClassificationTask
from tropho.training import preflight
from tropho.training.checkpoint import Checkpoint, TrainState
from tropho.training.preflight import TrainingCost, describe_cost, duration, may_take_long, measure_cost
from tropho.training.target_checks import Finding
from tropho.training.training_plan import plan_models

OK, FAULT = Finding("rate", "ok", "It suits."), Finding("rate", "fault", "It is too high.")


@pytest.fixture
def long(monkeypatch):
    """Estimates of ten minutes and more, and findings in place of checks: long([finding], seconds=601)."""
    checked = []

    def set_up(findings, seconds=601.0):
        monkeypatch.setattr(preflight, "may_take_long", lambda *_: True)
        monkeypatch.setattr(preflight, "measure_cost", lambda *_: TrainingCost(1.0, 0, seconds, 0.0))
        monkeypatch.setattr(preflight, "preflight", lambda settings, *_: checked.append(settings.name) or findings)
        return checked

    return set_up


def test_check_task_reports_every_model(chosen, paths):  # noqa: F811
    lines = list(check_task(chosen(**{"train.ensemble": {"wide": {"train.seed": 1}}}), paths.root))
    for name in ("base", "wide"):
        rows = [line for line in lines if line.startswith(f"{name}  ")]
        assert [row.split("  ")[1] for row in rows[:3]] == ["ok"] * 3
        assert rows[3] == f"{name}  picture: reports/cells_demo/check/{name}.png"
        assert "s a step of 32 images" in rows[4]
        assert (paths.check / f"{name}.png").exists()
    assert lines[-2].startswith("all 2 models take about")
    assert lines[-1].startswith("cells_demo has no fault and can be trained")
    assert ("a warning need not be corrected" in lines[-1]) == any("WARNING" in line for line in lines)
    assert lines[-1].endswith("; run `dvc repro report@cells_demo`.")
    assert not paths.models.exists()


def test_check_of_a_task_that_is_not_prepared_names_the_command(settings, tmp_path):
    with pytest.raises(DataError, match="not prepared; run `dvc repro augment@cells_demo` first"):
        list(check_task(settings("cells_demo"), tmp_path))


def test_check_task_raises_after_all_lines(chosen, paths, monkeypatch):  # noqa: F811
    monkeypatch.setattr(ClassificationTask, "compute_loss", lambda *_: pytest.fail("no need to train"))
    lines, checking = [], check_task(chosen(**{"train.lr": 1.0}), paths.root)
    monkeypatch.setattr("tropho.commands.check.measure_cost", lambda *_: TrainingCost(1.0, 0, 1.0, 0.0))
    with pytest.raises(DataError, match=r"cells_demo has 1 fault\(s\), listed above"):
        lines.extend(checking)


def test_train_stops_once_at_a_fault(chosen, paths, fits, long, capsys):  # noqa: F811
    checked = long([OK, FAULT])
    with pytest.raises(
        DataError, match=r"base of cells_demo is not trained.*It is too high\. To train it all the same"
    ):
        train.run(chosen(), paths.root)
    assert (fits, checked) == ([], ["cells_demo"])
    assert "base  FAULT  rate: It is too high." in capsys.readouterr().err
    (record,) = paths.runs.glob("*/preflight.json")
    assert [each["state"] for each in read_json(record)["findings"]] == ["ok", "fault"]
    train.run(chosen(), paths.root)
    assert (len(fits), checked) == (1, ["cells_demo"])


def test_train_checks_a_long_training_once(chosen, paths, fits, long):  # noqa: F811
    checked = long([OK])
    train.run(chosen(), paths.root)
    train.run(chosen(), paths.root)
    train.run(chosen(**{"train.seed": 2}), paths.root)
    assert (len(fits), checked) == (2, ["cells_demo"] * 2)


def test_train_checks_nothing_short_or_begun(chosen, paths, fits, long, monkeypatch):  # noqa: F811
    assert not may_take_long(chosen(), train.read_task_data(paths), 5)
    checked = long([FAULT], seconds=599.0)
    train.run(chosen(), paths.root)
    checked = long([FAULT])
    other = chosen(**{"train.seed": 3})
    (model,) = plan_models(other, train.read_task_data(paths), paths)
    Checkpoint(model.folder / "fold0").save(TrainState())
    monkeypatch.setattr(train, "Trainer", lambda *_, **__: pytest.fail("far enough"))
    with pytest.raises(pytest.fail.Exception, match="far enough"):
        train.run(other, paths.root)
    assert checked == []


def test_measure_cost_counts_steps_and_validations(chosen, paths):  # noqa: F811
    settings = chosen(**{"train.batch_size": 2, "train.epochs": 5, "train.val_interval": 2})
    (model,) = plan_models(settings, train.read_task_data(paths), paths)
    cost = measure_cost(model.task, model.data, 0)
    assert cost.train_seconds == pytest.approx(5 * 4 * cost.step_seconds)
    assert cost.val_seconds > 0
    assert "s a step of 2 images" in describe_cost(cost, settings.train, 1)


def test_duration_by_its_size():
    assert [duration(seconds) for seconds in (5.4, 99, 120, 5990, 7200)] == ["5 s", "99 s", "2 min", "100 min", "2.0 h"]


def test_check_says_what_is_not_prepared(chosen, tmp_path):  # noqa: F811
    with pytest.raises((DataError, UsageError)):
        list(check_task(chosen(), tmp_path))
