"""Files that users bring, change and lose, through the stages that they run."""

import shutil

import pytest

pytestmark = pytest.mark.real


def test_case_13_mended_labels_are_fetched(case):
    project, task = case("13")
    folder = next(project.root.glob("13-*"))
    project.run(task, "fingerprint", "download", "audit")
    assert set(project.table(task, "boxes")["label"]) == {"cell"}
    before = (project.root / f"data/fingerprints/{task}.json").read_text()
    shutil.copy(folder / "Train.after.csv", folder / "data" / "Train.csv")
    project.run(task, "fingerprint", "download", "audit")
    assert (project.root / f"data/fingerprints/{task}.json").read_text() != before
    assert project.table(task, "boxes")["label"].tolist() == ["Trophozoite"] * 8
