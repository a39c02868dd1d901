"""Members of the ensemble: loading and prediction."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from tropho.data.audit.missing_labels import ignored_in
from tropho.errors import DataError, UsageError
from tropho.files import sha256_of, write_json
from tropho.inference import ensemble_members
from tropho.inference.ensemble_members import missing_label_findings
from tropho.inference.trained_folds import CONFIG, FILES
from tropho.paths import BASE, Paths


def folds(*scores):
    return [{"fold": number, "score": score} for number, score in enumerate(scores)]


def test_load_member_folds_checks_config(fold, settings, monkeypatch):
    folder, entry = fold
    monkeypatch.setattr(ensemble_members, "load_predictor", lambda *_: "model")
    paths = SimpleNamespace(fold=lambda number, name: folder)
    made = settings("cells_demo")

    def load(**more):
        return ensemble_members.load_member_folds(BASE, {"folds": [entry], **more}, made, paths, None)

    assert load() == {0: "model"}
    with pytest.raises(DataError, match=f"{CONFIG} is missing or damaged"):
        load(config_sha256="0" * 64)
    (folder / CONFIG).write_text("a: 1\n")
    assert load(config_sha256=sha256_of(folder / CONFIG)) == {0: "model"}
    with pytest.raises(DataError, match=f"{CONFIG} is missing or damaged"):
        load(config_sha256="0" * 64)
    (folder / FILES[1]).unlink()
    with pytest.raises(DataError, match=f"{FILES[1]} is missing or damaged"):
        load()


def test_check_members_refuses_other_members(settings, tmp_path):
    made = settings("cells_demo", **{"train.ensemble": {"b": {"train.seed": 1}}})
    paths = SimpleNamespace(models=tmp_path, audit=tmp_path)
    record = {"folds": [], "members": {"b": {"folds": []}}}
    assert list(ensemble_members.check_members(made, paths, record)) == [BASE, "b"]
    for other in ({"folds": []}, {**record, "members": {"b": {}, "c": {}}}):
        with pytest.raises(DataError, match="asks for base, b; run"):
            ensemble_members.check_members(made, paths, other)
    with pytest.raises(DataError, match="was trained on other images"):
        ensemble_members.load_folds(made, paths, {**record, "data_hash": "x"}, None, SimpleNamespace(data_hash="y"))


@pytest.mark.parametrize(
    ("protocol", "there", "found"), [("detect", True, [{"class": "a"}]), ("off", True, []), ("detect", False, [])]
)
def test_missing_label_findings_follow_the_setting(settings, tmp_path, protocol, there, found):
    made = settings("smear_demo")
    made = made.model_copy(update={"audit": made.audit.model_copy(update={"missing_labels": protocol})})
    if there:
        write_json(tmp_path / "summary.json", {"missing_labels": [{"class": "a"}]})
    assert ensemble_members.missing_label_findings(made, SimpleNamespace(audit=tmp_path)) == found


@pytest.mark.parametrize(
    ("fits", "views", "apart"), [(False, 1, False), (False, 2, False), (True, 1, False), (True, 2, True)]
)
def test_predict_oof_keeps_views_where_fusion_is_fitted(monkeypatch, fits, views, apart):
    frame = pd.DataFrame({"image_id": ["a"]})
    made = SimpleNamespace(evaluate=SimpleNamespace(fit_postprocess=fits))
    predictor = SimpleNamespace(task=SimpleNamespace(settings=made, fuse_views=lambda tables: frame))
    data = SimpleNamespace(train_val=lambda number: (None, None))
    monkeypatch.setattr(ensemble_members, "predict_views", lambda *_: [[frame] * views])
    assert len(ensemble_members.predict_oof({BASE: {0: predictor}}, data, None)[BASE]) == (2 if apart else 1)


FINDING = {"class": "WBC", "attribute": "size", "value": "832x624"}


def test_ignored_in_applies_findings_to_any_image(settings, tmp_path: Path) -> None:
    paths = Paths(tmp_path, "smear_demo")
    files = {}
    for name, size in {"wide.png": (832, 624), "tall.png": (624, 832), "other.png": (640, 360)}.items():
        files[name] = tmp_path / name
        Image.new("RGB", size).save(files[name])
    files["gone.png"] = tmp_path / "gone.png"
    detect = settings("smear_demo", **{"audit.missing_labels": "detect"})
    assert ignored_in(files, missing_label_findings(detect, paths)) is None  # no audit
    paths.audit.mkdir(parents=True)
    (paths.audit / "summary.json").write_text(json.dumps({"missing_labels": [FINDING]}))
    found = ignored_in(files, missing_label_findings(detect, paths))
    assert found.dropna().to_dict() == {"wide.png": '["WBC"]', "tall.png": '["WBC"]'}
    assert missing_label_findings(settings("smear_demo", **{"audit.missing_labels": "list"}), paths) == []
    assert isinstance(found, pd.Series)


def test_postprocess_members_without_a_negative_class(settings) -> None:
    with pytest.raises(UsageError, match=r"audit\.negative"):
        settings("smear_demo", **{"audit.negative": None, "predict.negative_members": ["base"]})
