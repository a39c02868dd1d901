"""What a run's end says: results, and experiments whose settings are valid and differ."""

import re

import pytest
import yaml

from conftest import ROOT
from tropho.commands.next_steps import MAX_EXPERIMENTS, describe_run, experiments, next_steps
from tropho.config.load import load_params, with_overrides
from tropho.files import write_json
from tropho.paths import Paths


@pytest.mark.parametrize("task", load_params(ROOT / "params.yaml")["tasks"])
def test_suggested_experiments_are_valid_and_differ(settings, tmp_path, task):
    present = settings(task)
    assert [step.command for step in next_steps(present, tmp_path)] == [f"dvc repro report@{task}"]
    write_json(Paths(tmp_path, task).metrics, {})
    found = experiments(present, Paths(tmp_path, task))
    assert 0 < len(found) <= MAX_EXPERIMENTS
    for changes, why in found:
        parsed = {key: yaml.safe_load(value) for key, value in changes.items()}
        assert with_overrides(present, parsed) != present
        assert why
    for step in next_steps(present, tmp_path)[: len(found)]:
        assert re.fullmatch(rf"dvc exp run( -S ('?)\+\+tasks\.{task}\.[a-z_.]+=[^ ]+)+", step.command)
    assert next_steps(present, tmp_path)[-1].command == f"tropho leaderboard {task}"


def test_suggestions_follow_the_settings_and_the_training(settings, tmp_path):
    paths = Paths(tmp_path, "cells_demo")

    def keys(**overrides):
        return [key for changes, _ in experiments(settings("cells_demo", **overrides), paths) for key in changes]

    assert keys() == ["model.pretrained", "train.lr", "train.n_folds", "predict.tta"]
    assert keys(**{"model.residual": False}) == ["train.n_folds", "predict.tta"]  # published weights don't fit
    assert keys(**{"model.name": "lenet", "train.n_folds": None}) == ["model.name", "predict.tta"]
    write_json(paths.models / "run.json", {"folds": [{"best_epoch": 9, "epochs": 9}, {"best_epoch": 9, "epochs": 9}]})
    assert keys()[0] == "train.epochs"
    assert keys(**{"train.val_interval": 8})[0] == "train.epochs"
    assert keys(**{"train.val_interval": 9})[0] == "model.pretrained"  # validated once, so nothing was compared
    write_json(paths.models / "run.json", {"folds": [{"best_epoch": 9, "epochs": 9}, {"best_epoch": 8, "epochs": 9}]})
    assert keys()[0] == "model.pretrained"


def test_a_run_is_described_by_its_score_report_and_submission(settings, tmp_path):
    paths, cells = Paths(tmp_path, "cells_demo"), settings("cells_demo")
    lines = describe_run(cells, tmp_path)
    assert lines == [
        "cells_demo: Parasitized or uninfected, in generated cell crops",
        "Try next:",
        "  # train and evaluate it",
        "  dvc repro report@cells_demo",
    ]
    headline = {"name": "balanced_accuracy", "subset": "test", "value": 0.9512, "low": 0.9241, "high": 0.9777}
    write_json(paths.metrics, {})
    write_json(paths.evaluate / "metrics.json", {"headline": headline})
    write_json(paths.submission.with_suffix(".json"), {"rows": 3, "checked": False})
    for path in (paths.submission, paths.report):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert describe_run(cells, tmp_path)[1:4] == [
        "  score       balanced accuracy 0.951 (95 % interval 0.924 to 0.978), test images",
        "  report      reports/cells_demo/index.html (open it in a browser)",
        "  submission  submissions/cells_demo.csv",
    ]
    assert describe_run(settings("cells_demo", **{"download.source": "zindi", "download.repo": "c"}), tmp_path)[
        3
    ].endswith(", without a sample to check it against")
    write_json(paths.evaluate / "metrics.json", {"headline": {**headline, "value": None}})
    write_json(paths.submission.with_suffix(".json"), {"rows": 3, "checked": True})
    assert describe_run(cells, tmp_path)[1] == "  score       balanced accuracy is undefined on the test images"
    assert describe_run(cells, tmp_path)[3].endswith(".csv, checked")
    assert "  tropho new-task NAME FOLDER" in describe_run(cells, tmp_path)
    assert "  tropho new-task NAME FOLDER" not in describe_run(settings("brain_tumor"), tmp_path)


@pytest.mark.parametrize(
    ("task", "headline", "is_found"),
    [
        ("cells_demo", {"value": 0.5, "low": 0.5}, True),
        ("cells_demo", {"value": 0.6, "low": 0.48}, True),
        ("cells_demo", {"value": 0.6, "low": 0.52}, False),
        ("cells_demo", {"value": 0.5, "low": None}, True),
        ("cells_demo", {"value": None, "low": None}, False),
        ("smear_demo", {"value": 0.01, "low": 0.0}, True),
        ("smear_demo", {"value": 0.3, "low": 0.0}, False),
    ],
)
def test_a_score_of_guessing_is_said_before_other_advice(settings, tmp_path, task, headline, is_found):
    paths, present = Paths(tmp_path, task), settings(task, **{"train.epochs": 2})
    write_json(paths.evaluate / "metrics.json", {"headline": headline})
    write_json(paths.audit / "summary.json", {"classes": ["a", "b"]})
    rows = [f"i{number},train,{number % 5},g{number}\n" for number in range(1000)]
    paths.splits.parent.mkdir(parents=True)
    paths.splits.write_text("image_id,subset,fold,group\n" + "".join(rows))
    step = next_steps(present, tmp_path)[0]
    epochs = 25 if task == "cells_demo" else 6
    assert (step.command == f"dvc exp run -S ++tasks.{task}.train.epochs={epochs}") == is_found
    assert step.why.startswith("no better than guessing: train longer (2 epochs; new-task ") == is_found
    longer = settings(task, **{"train.epochs": 30})
    assert (next_steps(longer, tmp_path)[0].command == f"tropho check {task}") == is_found


@pytest.mark.parametrize("content", ["", "{}", '{"headline": {}, "folds": [{}]}'])
def test_a_damaged_file_is_named_in_place_of_its_result(settings, tmp_path, content):
    paths, cells = Paths(tmp_path, "cells_demo"), settings("cells_demo")
    write_json(paths.metrics, {})
    headline = {"name": "balanced_accuracy", "subset": "test", "value": 0.9, "low": None, "high": None}
    write_json(paths.evaluate / "metrics.json", {"headline": headline})
    healthy = describe_run(cells, tmp_path)
    for path in (paths.metrics, paths.submission):
        write_json(path, {})
    files = (paths.evaluate / "metrics.json", paths.submission.with_suffix(".json"), paths.models / "run.json")
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    _, score, submission, *steps = describe_run(cells, tmp_path)
    assert f"{files[0]} is damaged" in score
    assert (f"{files[1]} is damaged" in submission) == (not content)
    assert steps == healthy[2:]
