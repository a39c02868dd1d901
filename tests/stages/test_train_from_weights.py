"""The weights that a training starts from are recorded, and a changed file of them trains anew."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from stages.test_members import chosen, paths, untracked  # noqa: F401 - fixtures
from tropho.errors import DataError, UsageError
from tropho.files import read_json, sha256_of
from tropho.stages import fingerprint, train


@pytest.fixture
def source(chosen, paths):  # noqa: F811
    """The folder of a trained fold, outside models/T."""
    train.run(chosen(), paths.root)
    folder = paths.root / "elsewhere" / "fold0"
    shutil.copytree(paths.models / "fold0", folder)
    return folder


def change(source):
    weights = load_file(source / "weights.safetensors")
    save_file({name: value + 0.5 for name, value in weights.items()}, source / "weights.safetensors")


def test_train_records_its_start_and_notices_another(chosen, paths, source, capsys):  # noqa: F811
    settings = chosen(**{"model.weights": "elsewhere/fold0"})
    before = read_json(paths.models / "run.json")
    first = train.run(settings, paths.root)
    digest = sha256_of(source / "weights.safetensors")
    assert first["folds"][0]["start_sha256"] == digest
    assert "start_sha256" not in before["folds"][0]
    assert first["fingerprint"] != before["fingerprint"]
    assert f"starts from {source}/weights.safetensors (SHA-256 {digest[:12]})" in capsys.readouterr().err

    moved = source.rename(source.with_name("fold1"))  # the place is no matter
    assert train.run(chosen(**{"model.weights": "elsewhere"}), paths.root)["folds"] == first["folds"]
    assert "taken from" in capsys.readouterr().err

    change(moved)
    again = train.run(chosen(**{"model.weights": "elsewhere"}), paths.root)
    assert again["fingerprint"] != first["fingerprint"]
    assert again["folds"][0]["start_sha256"] == sha256_of(moved / "weights.safetensors")


def test_train_refuses_a_start_that_it_replaces(chosen, paths, source):  # noqa: F811
    with pytest.raises(UsageError, match="which this training replaces; copy it elsewhere"):
        train.run(chosen(**{"model.weights": str(paths.models / "fold0")}), paths.root)
    with pytest.raises(DataError, match="holds no trained model"):
        train.run(chosen(**{"model.weights": "models/none"}), paths.root)


def test_fingerprint_shows_dvc_a_changed_start(chosen, paths, source):  # noqa: F811
    ensemble = {"plain": {"model.weights": None}, "same": {"train.seed": 5}}

    def noted(place):
        fingerprint.run(chosen(**{"model.weights": place, "train.ensemble": ensemble}), paths.root)
        return json.loads(paths.weights_fingerprint.read_text())

    digest = sha256_of(source / "weights.safetensors")
    assert noted("elsewhere") == {"base": digest, "plain": None, "same": digest}
    written = paths.weights_fingerprint.stat().st_mtime_ns
    assert noted("elsewhere")["base"] == digest
    assert paths.weights_fingerprint.stat().st_mtime_ns == written  # so that DVC sees no change
    change(source)
    assert noted("elsewhere")["base"] == sha256_of(source / "weights.safetensors") != digest
    assert noted("models/none") == {"base": None, "plain": None, "same": None}  # not trained yet
