"""Tests of the chapters on results: what they claim, and only where a record shows it."""

import json

import pytest
import yaml

from stage_outputs import draw_photo, label_issues, submission_rows
from tropho.files import sha256_of
from tropho.paths import Paths
from tropho.report import reproduce as reproduce_chapter
from tropho.report import result_chapters
from tropho.report.blocks import Code, Pictures, Table, Text
from tropho.report.page import read_report
from tropho.report.reader import Reader
from tropho.submission.submission_log import SUBMISSIONS
from tropho.tables import LABEL_ISSUES, empty, write_table


def texts(blocks):
    return " ".join(block.text for block in blocks if isinstance(block, Text))


@pytest.mark.parametrize(("source", "checked"), [("zindi", True), ("zindi", False), ("generator", False)])
def test_submission_says_whether_it_was_checked(cells_reader, source, checked):
    download = cells_reader.task.download.model_copy(update={"source": source})
    cells_reader.task = cells_reader.task.model_copy(update={"download": download})
    path = cells_reader.paths.submission
    path.with_suffix(".json").write_text(json.dumps({"sha256": sha256_of(path), "checked": checked}))
    text = texts(result_chapters.submission(cells_reader))
    assert ("found no fault" in text) == checked
    assert ("was not checked" in text) == (not checked and source == "zindi")


def test_submission_warns_of_another_file_than_its_record(cells_reader):
    cells_reader.paths.submission.with_suffix(".json").write_text(json.dumps({"sha256": "0" * 64}))
    assert "was changed after it was written" in texts(result_chapters.submission(cells_reader))


def write_log(reader, **changes):
    log = submission_rows().assign(task=reader.task.name, **changes)
    write_table(log, reader.paths.submission_log, SUBMISSIONS)
    return log


def test_leaderboard_lists_warns_and_plots(cells_reader):
    score = submission_rows()["score"]
    write_log(cells_reader, low=score - 0.01, high=score + 0.01)
    warning, table, plot = result_chapters.leaderboard(cells_reader)
    assert isinstance(plot, Pictures)
    assert warning.warn
    assert [row[0] for row in table.rows] == ["cccccccc", "bbbbbbbb", "aaaaaaaa"]
    assert "tropho record-score cells_demo" in table.note


def test_leaderboard_is_shown_for_a_competition_or_public_scores(tmp_path, settings):
    for task, kinds in (("cells_demo", []), ("malaria", ["Table"])):
        reader = Reader(settings(task), Paths(tmp_path, task))
        assert result_chapters.leaderboard(reader) == []
        write_log(reader, public=float("nan"))
        assert [block.kind for block in result_chapters.leaderboard(reader)] == kinds


def test_a_log_of_another_version_is_named(cells_reader):
    cells_reader.paths.submission_log.write_text("x\n1\n")
    assert result_chapters.leaderboard(cells_reader) == []
    (fault,) = cells_reader.faults
    assert cells_reader.paths.submission_log.name in fault


@pytest.fixture
def issue_blocks(tmp_path, settings):
    """A function that gives the blocks of these label issues."""

    def make(rows, **overrides):
        reader = Reader(settings("smear_demo", **overrides), Paths(tmp_path, "smear_demo"))
        if rows is not None:
            write_table(rows, reader.paths.evaluate / "label_issues.csv", LABEL_ISSUES)
            draw_photo(reader.paths.evaluate / "label_issues.png")
        return result_chapters.label_issues(reader)

    return make


SPURIOUS = ("a", "spurious", "WBC", (100, 100, 150, 150), None, ())


def test_label_issues_are_counted_with_how_to_correct(issue_blocks):
    blocks = issue_blocks(label_issues(SPURIOUS, SPURIOUS, ("a", "duplicate", "WBC", (0, 0, 9, 9), None, ())))
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert [[row[0], *row[2:]] for row in table.rows] == [["spurious", "drop", "2"], ["duplicate", "drop", "1"]]
    assert "contradict 3 labels" in texts(blocks)
    assert "into corrections/smear_demo.csv" in texts(blocks)
    (code,) = [block for block in blocks if isinstance(block, Code)]
    assert "corrections: corrections/smear_demo.csv" in code.lines[0]
    assert len([block for block in blocks if isinstance(block, Pictures)]) == 1


def test_label_issues_name_the_table_in_use(issue_blocks):
    blocks = issue_blocks(label_issues(SPURIOUS), **{"audit.corrections": "corrections/mine.csv"})
    assert "into corrections/mine.csv" in texts(blocks)


def test_label_issues_may_be_none(issue_blocks):
    assert issue_blocks(None) == []
    assert "No label contradicts" in texts(issue_blocks(empty(LABEL_ISSUES)))


def test_a_weak_model_should_correct_no_labels(issue_blocks, tmp_path):
    folder = Paths(tmp_path, "smear_demo").evaluate
    folder.mkdir(parents=True)
    for value, weak in ((0.59, True), (0.61, False)):
        metrics = {"headline": {"name": "leaderboard_map"}, "oof": {"leaderboard_map": value}}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        told = [block for block in issue_blocks(label_issues(SPURIOUS)) if isinstance(block, Text) and block.warn]
        assert bool(told) == weak
        assert not told or "Don't correct labels by it" in told[0].text


def test_headline_warns_of_leaks_in_the_test(cells_reader):
    path = cells_reader.paths.evaluate / "metrics.json"
    metrics = json.loads(path.read_text())
    assert result_chapters.headline(cells_reader).warning == ""
    path.write_text(json.dumps({**metrics, "test_leaks": {"images": 3, "of": 12}}))
    assert "3 of 12 test images share a patient" in result_chapters.headline(cells_reader).warning


def test_a_task_without_a_leaderboard_has_predictions_and_no_submission(cells_reader, settings):
    competition = cells_reader.task.model_copy(update={"download": settings("malaria").download})
    titles = [
        next(section.title for section in read_report(task, cells_reader.paths).sections if section.id == "submission")
        for task in (cells_reader.task, competition)
    ]
    assert titles == ["Predictions of the test images", "Submission"]


def test_provenance_holds_commands_and_the_edited_settings(cells_reader):
    code, details = reproduce_chapter.provenance(cells_reader)[:2]
    assert any(line.startswith("git clone ") for line in code.lines)
    assert "git checkout 0123456789abcdef0123" in code.lines
    assert code.lines[-1] == "dvc repro report@cells_demo"
    entry = yaml.safe_load("\n".join(details.blocks[0].lines))["cells_demo"]
    assert entry["kind"] == "classification"
    assert entry["train"]["lr"] == 0.0021


def test_provenance_warns_of_uncommitted_changes(cells_reader):
    path = cells_reader.paths.models / "run.json"
    run = json.loads(path.read_text())
    assert texts(reproduce_chapter.provenance(cells_reader)) == ""
    path.write_text(json.dumps({**run, "git_dirty": "true"}))
    assert "changes that are not in this commit" in texts(reproduce_chapter.provenance(cells_reader))
