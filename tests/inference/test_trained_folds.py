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


def test_published_fold_is_used_only_whole(fold, capsys):
    folder, _ = fold
    assert trained_folds.published_fold(folder, False) is None  # nothing was published
    record = trained_folds.publish_fold(folder, {"fold": 0})
    assert trained_folds.published_fold(folder, False) == record
    assert trained_folds.published_fold(folder, True) is None  # its history lacks the layers
    assert capsys.readouterr().err == ""
    for name in (*FILES, trained_folds.RECORD):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole + b" 1")
        assert trained_folds.published_fold(folder, False) is None
        assert capsys.readouterr().err == f"{folder / name} is missing or damaged; this fold is trained again.\n"
        (folder / name).write_bytes(whole)
    assert trained_folds.published_fold(folder, False) == record
