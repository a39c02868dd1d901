"""Searches in real storages, with objectives that cost nothing."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pandas as pd
import pytest

from tropho.errors import DataError, ExternalError, UsageError
from tropho.tracking import PrunedRunError
from tropho.tuning import Search
from tropho.tuning.search import _settings_to_use
from tropho.tuning.storage import RETRIES, open_storage, retry_running, storage_address

ROOT = Path(__file__).resolve().parents[2]
LR = {"train.lr": {"low": 1.0e-4, "high": 1.0e-2, "log": True}}
SPACE = {
    **LR,
    "train.batch_size": {"low": 8, "high": 64, "step": 8},
    "model.backbone": {"choices": ["resnet18", "resnet34"]},
}


@pytest.fixture
def search(settings, tmp_path):
    """Makes searches of cells_demo in a storage of the test's own: a journal, which is quick, by default."""

    def make(name="study", **tune):
        tune = {"storage": "journal:journal/study.log", **tune}
        return Search(settings("cells_demo", **tune_keys(**tune)), name, tmp_path)

    return make


def tune_keys(**tune):
    return {key if "." in key else f"tune.{key}": value for key, value in {"space": SPACE, "trials": 6, **tune}.items()}


def by_lr(settings, report):
    """Best at a learning rate of 0.004."""
    return 1 - abs(settings.train.lr - 0.004) * 100


def tried(study: optuna.Study) -> list[dict]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def test_run_tries_the_given_settings_first(search):
    seen = []

    def objective(settings, report):
        seen.append((settings.train.lr, settings.train.batch_size, settings.model.backbone, settings.train.momentum))
        return 1.0 - report.number / 10

    search(trials=3).run(objective)
    assert seen[0] == (1.0e-3, 32, "resnet18", 0.9)
    assert len(set(seen)) == 3


def test_choice_is_the_best_trial(search):
    study = search()
    values = []

    def objective(settings, report):
        values.append((by_lr(settings, report), report.parameters))
        return values[-1][0]

    params = study.run(objective)
    best = max(values, key=lambda each: each[0])
    assert params == best[1]
    assert set(params) == set(SPACE)
    choice = study.choice
    assert choice["value"] == best[0]
    assert choice["params"] == params
    assert choice["study_name"] == "study"
    assert choice["trials"] == {"complete": 6, "pruned": 0, "failed": 0}
    json.dumps(choice)


def test_choice_is_the_earliest_of_equal_trials(search):
    study = search(trials=4)
    study.run(lambda settings, report: 0.5)
    assert study.choice["trial"] == 0


def test_run_resumes_with_the_remaining_trials(search):
    search(storage=None, trials=3).run(by_lr)
    again = search(storage=None, trials=5)
    calls = []
    again.run(lambda settings, report: calls.append(report.number) or by_lr(settings, report))
    assert calls == [3, 4]
    search(storage=None, trials=5).run(lambda settings, report: pytest.fail("the total was reached"))
    parameters = [tuple(each.items()) for each in tried(again.study)]
    assert len(set(parameters)) == 5


def test_run_tries_the_same_when_resumed(search):
    whole = search("whole", trials=7)
    whole.run(by_lr)
    for trials in (2, 5, 7):
        parts = search("parts", trials=trials)
        parts.run(by_lr)
    assert tried(parts.study) == tried(whole.study)
    other = search("other", trials=3, **{"train.seed": 1})
    other.run(by_lr)
    assert tried(other.study)[1] != tried(whole.study)[1]


def test_run_keeps_a_failed_trial_with_its_reason(search):
    study = search(trials=4)

    def objective(settings, report):
        if report.number == 1:
            raise DataError("loss is not finite: box.")
        return float("nan") if report.number == 2 else by_lr(settings, report)

    study.run(objective)
    assert study.choice["trials"] == {"complete": 2, "pruned": 0, "failed": 2}
    trials = study.study.get_trials(deepcopy=False)
    assert trials[1].user_attrs["reason"] == "loss is not finite: box."
    assert "undefined" in trials[2].user_attrs["reason"]


def test_run_without_a_complete_trial_raises_its_reason(search):
    def objective(settings, report):
        raise DataError("no images.")

    with pytest.raises(DataError, match="no images"):
        search(trials=2).run(objective)


def test_run_retries_a_trial_after_an_outage(search):
    first = search(trials=3)

    def offline(settings, report):
        raise ExternalError("no network.")

    for error in (ExternalError, ExternalError):
        with pytest.raises(error):
            first.run(offline)
    second = search(trials=3)
    second.run(by_lr)
    assert second.choice["trials"]["complete"] == 3
    trials = second.study.get_trials(deepcopy=False)
    assert [trial.params for trial in trials[:3]] == [trials[0].params] * 3


@pytest.mark.parametrize("interrupts", [1, RETRIES + 3])
def test_run_retries_an_interrupted_trial(search, interrupts):
    def interrupted(settings, report):
        raise KeyboardInterrupt

    for _ in range(interrupts):
        with pytest.raises(KeyboardInterrupt):
            search(storage=None, trials=2).run(interrupted)
    study = search(storage=None, trials=2)
    study.run(by_lr)
    assert study.choice["trials"] == {"complete": 2, "pruned": 0, "failed": 0}


def test_run_gives_up_a_trial_whose_process_is_always_killed(search):
    for attempt in range(RETRIES + 1):
        study = search(storage=None, trials=2).study
        retry_running(study)
        if not attempt:
            study.enqueue_trial({"train.lr": 0.001})
        assert study.ask().suggest_float("train.lr", 1e-4, 1e-2, log=True) == 0.001
    study = search(storage=None, trials=2)
    study.run(by_lr)
    assert study.choice["trials"] == {"complete": 1, "pruned": 0, "failed": 1}


@pytest.mark.fault("a search is killed in the middle of a trial", "tries what an undisturbed search tries, each once")
def test_write_is_the_same_after_kills(search, tmp_path):
    """Trials 0 and 2 are cut off, the last of them twice; then table, choice and figures are the same."""
    whole, cuts = search(storage=None, name="whole", trials=6), {0: 1, 2: 2}

    def cut_off(settings, report):
        if cuts.get(report.number):
            cuts[report.number] -= 1
            raise KeyboardInterrupt
        return by_lr(settings, report)

    whole.run(by_lr)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search(storage=None, name="parts", trials=6).run(cut_off)
    parts = search(storage=None, name="parts", trials=6)
    parts.run(cut_off)
    assert {**parts.choice, "study_name": "whole"} == whole.choice
    for study, name in ((whole, "whole"), (parts, "parts")):
        study.write(tmp_path / name, {"train": 40, "judge": 10})
    tables = [
        pd.read_csv(tmp_path / name / "trials.csv").drop(columns=["seconds", "started"]) for name in ("whole", "parts")
    ]
    pd.testing.assert_frame_equal(*tables)
    for figure in ("history.png", "settings.png", "importance.png"):
        assert (tmp_path / "parts" / figure).read_bytes() == (tmp_path / "whole" / figure).read_bytes()


def test_run_gives_up_parameters_that_always_crash(search):
    for _ in range(RETRIES + 1):
        with pytest.raises(RuntimeError):
            search(trials=2).run(lambda settings, report: (_ for _ in ()).throw(RuntimeError("a crash")))
    study = search(trials=2)
    study.run(by_lr)
    assert study.choice["trials"] == {"complete": 1, "pruned": 0, "failed": 1}


def test_reporter_prunes_after_the_second_epoch(search):
    steps = {}

    def objective(settings, report):
        score = 1.0 if report.number < 3 else 0.1
        for epoch in (1, 2, 3):
            steps[report.number] = epoch
            report(epoch, score)
        return score

    study = search(trials=5)
    study.run(objective)
    assert steps == {0: 3, 1: 3, 2: 3, 3: 2, 4: 2}
    assert study.choice["trials"] == {"complete": 3, "pruned": 2, "failed": 0}


def test_reporter_raises_a_pruned_run_error(search):
    ends = []

    def objective(settings, report):
        try:
            for epoch in (1, 2):
                report(epoch, 1.0 - report.number)
        except PrunedRunError as error:
            ends.append(error.outcome)
            raise
        return 1.0 - report.number

    search(trials=4).run(objective)
    assert ends == ["PRUNED"]


def test_run_fails_a_trial_with_an_infinite_score(search):
    study = search(trials=2)

    def objective(settings, report):
        report(1, float("inf") if report.number else 0.5)
        return 0.5

    study.run(objective)
    assert study.choice["trials"] == {"complete": 1, "pruned": 0, "failed": 1}


def test_run_converts_choices_that_are_lists(search):
    study = search(trials=4, space={"model.fpn_levels": {"choices": [[3, 4, 5], [2, 3, 4, 5]]}})
    seen = []
    params = study.run(lambda settings, report: seen.append(settings.model.fpn_levels) or len(seen))
    assert {tuple(each) for each in seen} == {(3, 4, 5), (2, 3, 4, 5)}
    assert params["model.fpn_levels"] in ([3, 4, 5], [2, 3, 4, 5])


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "tune.space is empty"),
        ({"train.epochs": {"low": 1, "high": 2}}, "tune.space.train.epochs can't be searched"),
        ({"augment.image_size": {"low": 64, "high": 128}}, "tune.space.augment.image_size can't be searched"),
        ({"augment.grayscale": {"choices": [True, False]}}, "tune.space.augment.grayscale can't be searched"),
        ({"split.n_folds": {"low": 2, "high": 3}}, "tune.space.split.n_folds can't be searched"),
        ({"train.lr": 0.1}, "tune.space.train.lr must be"),
        ({"train.lr": {"low": 0.1}}, "needs both low and high"),
        ({"train.lr": {"low": 0.1, "high": 0.2, "choices": [1]}}, "tune.space.train.lr must be"),
        (
            {"train.lr": {"low": 0.1, "high": 0.2, "logs": True}},
            "train.lr.logs is not a known key \\(did you mean 'log'",
        ),
        ({"train.lr": {"low": 0.2, "high": 0.1}}, "train.lr.low is 0.2, which is not below"),
        ({"train.weight_decay": {"low": 0.0, "high": 0.1, "log": True}}, "with log: true it must be above 0"),
        ({"train.weight_decay": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, "weight_decay.step"),
        ({"train.optimizer": {"low": "adamw", "high": "sgd"}}, "not a number; use choices"),
        ({"train.optimizer": {"choices": []}}, "must be a list of values"),
        ({"train.optimizer": {"choices": ["sgd", "sgd"]}}, "names a value twice"),
    ],
)
def test_search_refuses_a_wrong_space_first(search, tmp_path, space, says):
    with pytest.raises(UsageError, match=says):
        search(space=space)
    assert not list(tmp_path.iterdir())


def test_run_draws_values_of_the_setting_type(search):
    space = {
        "train.weight_decay": {"low": 0, "high": 1},
        "train.batch_size": {"low": 8, "high": 30, "step": 8},
        "model.dropout": {"low": 0.0, "high": 0.5, "step": 0.2},
    }
    study = search(space=space, trials=12)
    study.run(lambda settings, report: 0.5)
    table = pd.DataFrame(tried(study.study))
    assert (table["train.weight_decay"] % 1 != 0).any()
    assert set(table["train.batch_size"]) <= {8, 16, 24}
    assert set(table["model.dropout"].round(9)) <= {0.0, 0.2, 0.4}


def test_write_saves_choice_table_and_figures(search, tmp_path):
    study = search(trials=8)

    def objective(settings, report):
        if report.number == 2:
            raise DataError("broken.")
        for epoch in (1, 2):
            report(epoch, by_lr(settings, report) * epoch)
        return by_lr(settings, report)

    study.run(objective)
    folder = tmp_path / "out"
    study.write(folder, {"train": 40, "judge": 10})
    table = pd.read_csv(folder / "trials.csv")
    assert table["number"].tolist() == list(range(8))
    assert set(SPACE) <= set(table)
    assert table.loc[2, ["state", "reason"]].tolist() == ["failed", "broken."]
    assert json.loads((folder / "choice.json").read_text()) == {**study.choice, "images": {"train": 40, "judge": 10}}
    for name in ("history.png", "settings.png", "importance.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_write_saves_no_importance_of_one_trial(search, tmp_path):
    study = search(trials=1, space=LR)
    study.run(by_lr)
    study.write(tmp_path / "out", {"train": 40, "judge": 10})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "choice.json",
        "trials.csv",
        "history.png",
        "settings.png",
    }


def test_run_id_is_kept_in_the_study(search):
    first = search(storage=None)
    assert first.run_id is None
    first.run_id = "abc"
    first.run_id = None
    assert search(storage=None).run_id == "abc"


def test_storage_address(tmp_path):
    assert storage_address(None, tmp_path) == f"sqlite:///{tmp_path}/optuna.db"
    assert storage_address("sqlite:///a/b.db", tmp_path) == f"sqlite:///{tmp_path}/a/b.db"
    assert storage_address("journal:a.log", tmp_path) == f"journal:{tmp_path}/a.log"
    assert storage_address("journal:/a.log", tmp_path) == "journal:/a.log"
    assert storage_address("postgresql://u:p@h/d", tmp_path) == "postgresql://u:p@h/d"


def test_open_storage_raises_without_the_password(tmp_path):
    with pytest.raises(UsageError, match="can't be used"):
        open_storage("nonsense")
    (tmp_path / "x.db").write_text("no database" * 100)
    with pytest.raises(ExternalError, match="can't be opened"):
        open_storage(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises((UsageError, ExternalError)) as caught:
        open_storage("postgresql://user:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


WORKER = textwrap.dedent(
    """
    import json, os, signal, sys
    from pathlib import Path
    from tropho.config.load import load_params, task_settings, with_overrides
    from tropho.tuning import Search
    root, out, tune, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
    settings = with_overrides(task_settings("cells_demo", load_params(Path("params.yaml"))), tune)

    def objective(settings, report):
        with out.open("a") as file:
            file.write(json.dumps([os.getpid(), report.number, report.parameters]) + "\\n")
        report(1, 0.5)
        if report.number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return settings.train.lr

    Search(settings, "study", root).run(objective)
    """
)


def worker(tmp_path, tune, kill_at=-1):
    arguments = [
        sys.executable,
        "-c",
        WORKER,
        str(tmp_path),
        str(tmp_path / "out"),
        json.dumps(tune),
        str(kill_at),
    ]
    return subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def attempts(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]


def test_run_retries_a_killed_trial(search, tmp_path):
    killed = worker(tmp_path, tune_keys(trials=4), kill_at=2)
    killed.communicate()
    assert killed.returncode == -9
    resumed = search(storage=None, trials=4)
    resumed.run(lambda settings, report: settings.train.lr)
    trials = resumed.study.get_trials(deepcopy=False)
    states = [trial.state.name for trial in trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials[3].params == trials[2].params
    assert len({json.dumps(trial.params) for trial in trials}) == 4
    assert resumed.choice["trials"] == {"complete": 4, "pruned": 0, "failed": 0}
    table = pd.DataFrame({"reason": [trial.user_attrs.get("reason") for trial in trials]})
    assert table["reason"].isna().all()


def test_run_in_two_processes_shares_a_journal(search, tmp_path):
    tune = tune_keys(trials=8, storage="journal:shared/study.log")
    workers = [worker(tmp_path, tune) for _ in range(2)]
    for each in workers:
        _, errors = each.communicate(timeout=120)
        assert each.returncode == 0, errors
    done = attempts(tmp_path)
    assert len(done) in (8, 9)  # both may begin a last trial at the same moment
    assert len({number for _, number, _ in done}) == len(done)
    study = search(trials=8, storage="journal:shared/study.log")
    assert study.choice["trials"] == {"complete": len(done), "pruned": 0, "failed": 0}


@pytest.mark.parametrize(("score", "is_kept"), [(0.5, True), (0.59, True), (0.61, False)])
def test_a_search_at_chance_level_keeps_the_given_settings(settings, capsys, score, is_kept):
    params = {"train.lr": 0.002}
    assert _settings_to_use(settings("cells_demo"), params, score, 2) == ({} if is_kept else params)
    assert ("so the given ones are kept" in capsys.readouterr().err) == is_kept


def test_given_values_that_the_search_replaces_are_told(settings, capsys):
    given = settings("cells_demo", **{"train.weight_decay": 0.0, "train.lr": 1.0e-3})
    params = {"train.lr": 1.0e-3, "train.weight_decay": 0.05}
    assert _settings_to_use(given, params, 0.9, 2) == params
    told = capsys.readouterr().err
    assert "train.weight_decay is 0 in params.yaml, but tune.space searches it: 0.05 is used" in told
    assert "train.lr" not in told
