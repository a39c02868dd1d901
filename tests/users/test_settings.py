"""Settings that people tried on their own files (../shared/cases)."""

import pytest

pytestmark = pytest.mark.real


@pytest.mark.parametrize("entry", ["entry", "entry_b"])
def test_case_12_a_batch_of_one_through_batch_norm(case, entry):
    project, task = case("12", entry)
    said = project.tropho("download", task, code=2).text
    assert "train.batch_size 1 leaves batch norm only one value a channel to average" in said
    assert "set train.batch_size to 2 or more, or model.norm to layer" in said
    assert "Traceback" not in said
    assert not (project.root / "data" / "raw" / task).exists()
