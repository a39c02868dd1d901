"""From a folder of a user's own images to a report, with no edit between."""

import pytest

import label_writers as writers
from label_writers import drawn_set
from pipeline.conftest import new_checkout

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.mark.parametrize("write", [writers.yolo, writers.one_label_table], ids=lambda write: write.__name__)
def test_a_new_task_runs_from_folder_to_report(tmp_path, write):
    checkout = new_checkout(tmp_path / "tropho", {})
    write(tmp_path / "mine", drawn_set({"train": 24, "val": 6, "test": 6}))
    said = checkout.run("tropho", "new-task", "mine", "../mine").stdout
    assert "dvc repro report@mine" in said
    assert "on this machine" in said
    params = checkout.run("git", "diff", "--stat", "params.yaml").stdout
    assert "1 file changed" in params
    checkout.commit("my task")
    done = checkout.run("dvc", "repro", "report@mine")
    for line in ("  score       ", "  report      reports/mine/index.html", "  submission  submissions/mine.csv"):
        assert line in done.stdout
    assert "is empty" not in done.stdout + done.stderr
    assert "goes on" not in done.stderr
    assert (checkout.path / "reports/mine/index.html").stat().st_size > 100_000
