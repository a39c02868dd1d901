"""Files of trained folds."""

from tropho.inference import trained_folds
from tropho.inference.trained_folds import FILES


def test_damaged_files_differ_from_the_record(fold):
    folder, entry = fold
    assert trained_folds.damaged_files(folder, entry) == []
    assert trained_folds.damaged_files(folder, {"fold": 0}) == list(FILES)
    (folder / FILES[1]).write_text("epoch,loss\n1,2\n")
    assert trained_folds.damaged_files(folder, entry) == [FILES[1]]
    (folder / FILES[0]).unlink()
    assert trained_folds.damaged_files(folder, entry) == list(FILES)
