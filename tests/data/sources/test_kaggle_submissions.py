"""Submissions to a competition of Kaggle and their scores, by the real client, in front of a server on loopback."""

import math
import shutil
from pathlib import Path

import pytest

import label_writers as writers
from data.sources.kaggle_server import KaggleSet
from label_writers import drawn_set
from project import Project
from tropho.commands import new_task
from tropho.commands.next_steps import next_steps
from tropho.commands.submissions import WAITS
from tropho.config.load import load_task
from tropho.errors import DataError
from tropho.files import sha256_of, write_json
from tropho.new_task.time_estimate import Estimate
from tropho.paths import Paths
from tropho.submission.submission_log import append, read_log
from tropho.submission.target import target_of

SLUG, TASK = "leaf-rot", "leaves"
COMPLETE = {"status": "COMPLETE", "publicScore": "0.91250", "privateScore": ""}
CONTENT = b"image_id,label\n1,rot\n"
ENTRY = {"task": TASK, "written": "2026-01-02T10:00:00", "score_name": "accuracy"} | {
    "score": 0.9,
    "low": 0.88,
    "high": 0.92,
}


@pytest.fixture
def competition(kaggle, monkeypatch):
    """A competition that wants the token which is set."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", "kg_secret")
    kaggle.sets[SLUG] = KaggleSet({1: b""}, token="kg_secret", states=[{"status": "PENDING"}, COMPLETE])
    return kaggle.sets[SLUG]


@pytest.fixture
def task(tmp_path, waits):
    """A project with a task of the competition, whose submission is checked and in the log."""
    project = Project(tmp_path)
    project.add(TASK, "classification", download={"source": "kaggle", "repo": SLUG})
    paths = Paths(tmp_path, TASK)
    paths.submission.parent.mkdir()
    paths.submission.write_bytes(CONTENT)
    digest = sha256_of(paths.submission)
    score = {"name": "accuracy", "oof": 0.9}
    write_json(paths.submission.with_suffix(".json"), {"checked": True, "sha256": digest, "score": score})
    append(paths.submission_log, paths.log_copy, ENTRY | {"sha256": digest})
    return project


def logged(project):
    paths = Paths(project.root, TASK)
    return read_log(paths.submission_log, paths.log_copy)


def refused(project, code, *words):
    """The sentence that a command ends with, which records no score."""
    done = project.tropho(*words, code=code)
    sentence = done.stderr.strip().rpartition("\n")[2]
    assert sentence.startswith("tropho: ")
    assert sentence.endswith(".")
    assert "secret" not in done.text
    assert logged(project)["public"].isna().all()
    return sentence


def test_upload_records_the_score(competition, task, waits, kaggle):
    digest = logged(task)["sha256"].item()[:8]
    done = task.tropho("upload", TASK)
    assert f"Uploaded {TASK}.csv ({digest}) to '{SLUG}' as 70; waiting for its score." in done.stderr
    assert f"Recorded public 0.9125 for {TASK}'s submission {digest}" in done.stdout
    assert "cross-validated 0.9000." in done.stdout
    assert competition.uploads == [CONTENT]
    (entered,) = competition.submissions
    assert entered["description"] == f"{digest}: accuracy 0.9000 out of fold"
    assert entered["fileName"] == f"blob {TASK}.csv {len(CONTENT)}"
    assert waits == [WAITS[0]]
    assert kaggle.requests == [
        *("POST StartSubmissionUpload", "PUT upload", "POST CreateSubmission"),
        *("POST ListSubmissions", "POST ListSubmissions"),
    ]
    row = logged(task).iloc[0]
    assert row["public"] == 0.9125
    assert math.isnan(row["private"])
    assert Paths(task.root, TASK).leaderboard.exists()
    assert "0.9125" in task.tropho("leaderboard", TASK).text


def test_upload_warns_of_a_gap_to_cross_validation(competition, task):
    competition.states = [COMPLETE | {"publicScore": "0.5"}]
    assert "0.5000 lies outside the cross-validation interval" in task.tropho("upload", TASK).stderr


@pytest.mark.parametrize("score", ["1.73", "-0.2"])
def test_scores_of_other_metrics_are_recorded_without_a_warning(competition, task, score):
    competition.states = [COMPLETE | {"publicScore": score}]
    assert "cross-validation" not in task.tropho("upload", TASK).stderr
    assert logged(task)["public"].item() == float(score)
    task.tropho("record-score", TASK, "--", score)


def test_a_pending_score_is_read_later(competition, task, waits):
    competition.states = [{"status": "PENDING"}]
    done = task.tropho("upload", TASK, "--comment", "with flips")
    assert "has not scored submission" in done.stdout
    assert f"run `tropho record-score {TASK}` in some minutes." in done.stdout
    assert waits == list(WAITS)
    assert competition.submissions[0]["description"].endswith(": with flips")
    competition.states = [COMPLETE]
    assert "Recorded public 0.9125" in task.tropho("record-score", TASK).stdout
    before = logged(task)
    assert "tells no score" in task.tropho("record-score", TASK).stdout
    assert logged(task).equals(before), "nothing is written again"
    competition.states = [COMPLETE | {"privateScore": "0.875"}]
    assert "Recorded public 0.9125, private 0.875" in task.tropho("record-score", TASK).stdout
    assert logged(task)["private"].item() == 0.875


def test_scores_of_all_submissions_are_read(competition, task, waits):
    paths = Paths(task.root, TASK)
    for number in range(3):
        digest = str(number) * 64
        append(paths.submission_log, paths.log_copy, ENTRY | {"sha256": digest})
        scores = COMPLETE | {"publicScore": f"0.{number}5"}
        competition.submissions.append({"ref": number, "description": f"{digest[:8]}: mine", **scores})
    competition.submissions.append({"ref": 8, "description": "by hand", **COMPLETE})
    competition.states = []
    assert "submission 11111111" in task.tropho("record-score", TASK, "--file", "1").stdout
    assert logged(task)["public"].count() == 1
    assert task.tropho("record-score", TASK).stdout.count("Recorded") == 2
    public = logged(task).set_index("sha256")["public"].dropna()
    assert dict(public) == {"0" * 64: 0.05, "1" * 64: 0.15, "2" * 64: 0.25}
    assert waits == []


def test_a_rejected_submission_is_explained(competition, task):
    competition.states = [{"status": "PENDING"}, {"status": "ERROR", "errorDescription": "Label 'rot' is unknown"}]
    sentence = refused(task, DataError.exit_code, "upload", TASK)
    assert "Kaggle rejected submission" in sentence
    assert "(Label 'rot' is unknown); correct that and upload again." in sentence
    assert "(Label 'rot' is unknown)" in task.tropho("record-score", TASK).stdout


@pytest.mark.parametrize("path", ["StartSubmissionUpload", "CreateSubmission"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "(Your team has used its allowance (5 of 5)); correct that."),
        (401, "make a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN."),
        (403, "accept its rules at https://www.kaggle.com/competitions/leaf-rot/rules"),
        (404, "correct download.repo."),
        (429, "run again in some minutes."),
        (503, "run again later."),
    ],
)
def test_refusals_of_an_upload_are_explained(competition, task, path, status, sentence):
    competition.error, competition.error_on = status, path
    competition.message = "Your team has used\nits allowance (5 of 5)"
    assert sentence in refused(task, 3, "upload", TASK)
    assert competition.submissions == []


def test_a_failed_upload_is_explained(competition, task):
    competition.error, competition.error_on = 403, "/store/"
    assert f"The upload to '{SLUG}' failed with status 403; run again." in refused(task, 3, "upload", TASK)


def test_missing_and_wrong_tokens_are_explained(competition, task, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "kg_other")
    assert "set KAGGLE_API_TOKEN of that account" in refused(task, 3, "upload", TASK)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for words in (("upload", TASK), ("record-score", TASK)):
        assert f"opens '{SLUG}' only to those who sign in; make a token" in refused(task, 3, *words)


def test_a_lost_network_is_explained(competition, task, kaggle):
    kaggle.__exit__()
    for words in (("upload", TASK), ("record-score", TASK)):
        assert "check the network" in refused(task, 3, *words)


def test_an_upload_counts_where_its_score_can_not_be_read(competition, task):
    competition.error, competition.error_on = 503, "ListSubmissions"
    done = task.tropho("upload", TASK)
    assert len(competition.submissions) == 1
    assert "The file is uploaded, its score is not known yet: Kaggle fails with status 503" in done.stdout
    assert f"Then run `tropho record-score {TASK}`." in done.stdout


def test_new_task_takes_a_competition(competition, tmp_path, monkeypatch):
    monkeypatch.setattr(new_task, "estimate", lambda *_: Estimate(120.0, 300.0))
    pictures = drawn_set({"train": 20, "test": 4})
    for picture in pictures:
        writers.draw(picture, tmp_path / "files" / f"{picture.subset}_images")
    rows = [[picture.name, ("rot", "healthy")[number % 2]] for number, picture in enumerate(pictures)]
    writers.write_csv(tmp_path / "files" / "train.csv", [["image_id", "label"], *rows[:20]])
    writers.write_csv(tmp_path / "files" / "sample_submission.csv", [["image_id", "label"], *rows[20:]])
    archive = shutil.make_archive(str(tmp_path / "files"), "zip", tmp_path / "files")
    competition.versions[1] = Path(archive).read_bytes()
    project = Project(tmp_path)
    shown = project.tropho("new-task", TASK, f"kaggle:{SLUG}").text
    assert "test set 4 images" in shown
    assert "sample submission sample_submission.csv" in shown
    settings = load_task(TASK, tmp_path / "params.yaml")
    assert (settings.download.source, settings.download.repo) == ("kaggle", SLUG)
    assert settings.description == "20 images of 2 classes: healthy, rot"
    project.run(TASK, "download", "audit")
    target = target_of(Paths(tmp_path, TASK), settings, settings.audit.classes)
    assert target.followed.path.name == "sample_submission.csv"
    assert target.layout.header == ["image_id", "label"]
    assert len(target.rows([])) == 4
    headline = {"name": "balanced_accuracy", "subset": "oof", "value": 0.9, "low": 0.8, "high": 1.0}
    write_json(Paths(tmp_path, TASK).evaluate / "metrics.json", {"headline": headline})
    commands = [step.command for step in next_steps(settings, tmp_path)]
    assert f"tropho upload {TASK}" in commands
    data_set = settings.download.model_copy(update={"repo": "owner/leaves"})
    commands = [step.command for step in next_steps(settings.model_copy(update={"download": data_set}), tmp_path)]
    assert f"tropho upload {TASK}" not in commands


def test_other_tasks_have_nothing_to_ask(task):
    for words in (("upload", "cells_demo"), ("record-score", "cells_demo")):
        assert "names no competition (source zindi or kaggle, and repo)" in refused(task, 2, *words)
