"""Files of trained folds."""

import pytest

from tropho.files import sha256_of
from tropho.inference import trained_folds
from tropho.inference.trained_folds import FILES


@pytest.fixture
def fold(tmp_path):
    """A trained fold's folder, and its entry in run.json."""
    folder = tmp_path / "fold0"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_text("epoch,loss\n1,0.5\n")
    return folder, {"fold": 0, "sha256": {file: sha256_of(folder / file) for file in FILES}}


def test_damaged_files_differ_from_the_record(fold):
    folder, entry = fold
    assert trained_folds.damaged_files(folder, entry) == []
    assert trained_folds.damaged_files(folder, {"fold": 0}) == list(FILES)
    (folder / FILES[1]).write_text("epoch,loss\n1,2\n")
    assert trained_folds.damaged_files(folder, entry) == [FILES[1]]
    (folder / FILES[0]).unlink()
    assert trained_folds.damaged_files(folder, entry) == list(FILES)
