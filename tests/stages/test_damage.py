"""Damaged state is noticed and made again, never taken for whole."""

import pytest

from stages.test_members import chosen, fits, paths, untracked  # noqa: F401 - fixtures
from tropho.errors import DataError
from tropho.files import read_json
from tropho.stages import evaluate, train


def flip(path, place=-1):
    """Change one bit of a file in place."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.fault(
    "a flipped bit in a fold's weights, or a file cut short, emptied or gone",
    "trains that fold again, and no other",
)
@pytest.mark.parametrize("harm", [flip, cut_short, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("file", ["weights.safetensors", "history.csv"])
def test_train_again_after_damage(chosen, paths, fits, capsys, harm, file):  # noqa: F811
    settings = chosen(**{"train.n_folds": 2})
    train.run(settings, paths.root)
    before = {number: (paths.fold(number) / "weights.safetensors").read_bytes() for number in (0, 1)}
    harm(paths.fold(0) / file)
    with pytest.raises(DataError, match=rf"fold0/{file} is missing or damaged.*tropho train cells_demo"):
        evaluate.run(settings, paths.root)
    fits.clear()
    train.run(settings, paths.root)
    assert len(fits) == 0
    (kept,) = paths.runs.glob(f"*/fold0/{file}")
    harm(kept)
    train.run(settings, paths.root)
    assert len(fits) == 1
    assert f"fold0/{file} is missing or damaged; this fold is trained again" in capsys.readouterr().err
    assert {number: (paths.fold(number) / "weights.safetensors").read_bytes() for number in (0, 1)} == before
    evaluate.run(settings, paths.root)


@pytest.mark.fault("models/T/run.json emptied, cut short or with conflict marks", "trains again")
@pytest.mark.parametrize("content", ["", '{"folds": [', "<<<<<<< HEAD\n"])
def test_train_rewrites_a_damaged_record(chosen, paths, fits, content):  # noqa: F811
    train.run(chosen(), paths.root)
    record = paths.models / "run.json"
    record.write_text(content)
    with pytest.raises(DataError, match=r"run\.json is damaged"):
        evaluate.run(chosen(), paths.root)
    train.run(chosen(), paths.root)
    assert len(fits) == 1
    (kept,) = paths.runs.glob("*/fold0/fold.json")
    kept.write_text(content)
    train.run(chosen(), paths.root)
    assert len(fits) == 2
    assert read_json(record)["folds"][0]["sha256"].keys() == {"weights.safetensors", "history.csv"}
