"""Models and settings that an evaluation is of."""

import pytest

from tropho.errors import DataError
from tropho.inference.ensemble_members import check_manifest, write_manifest
from tropho.stages import evaluate


def test_check_manifest_refuses_other_models_and_settings(tmp_path, settings):
    made = settings("cells_demo")
    paths = evaluate.Paths(tmp_path, made.name)
    record = {"folds": [{"fold": 0, "score": 0.5}]}
    with pytest.raises(DataError, match="does not say which"):
        check_manifest(paths, record, made)
    write_manifest(paths.evaluate, record, made)
    check_manifest(paths, record, made)
    with pytest.raises(DataError, match=r"changed since: member base\)"):
        check_manifest(paths, {"folds": [{"fold": 0, "score": 0.6}]}, made)
    other = settings("cells_demo", **{"predict.tta": ["identity", "hflip"]})
    with pytest.raises(DataError, match=r"changed since: predict\.tta\)"):
        check_manifest(paths, record, other)
