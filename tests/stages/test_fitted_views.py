"""One detector viewed through two views: views are kept apart to be fitted, and what was fitted reaches every image."""

import numpy as np
import pandas as pd
import pytest

from tropho.commands.predict_images import PredictOptions, predict_files
from tropho.data.task_data import read_task_data
from tropho.evaluation.detection_evaluator import DetectionEvaluator
from tropho.files import read_json
from tropho.inference.ensemble_members import load_folds, predict_oof, predict_test
from tropho.stages import evaluate, train
from tropho.tables import BOX
from tropho.tracking import Tracker
from tropho.training.devices import make_accelerator

SMALL = {
    "model.fpn_channels": 8,
    "model.norm": "group",  # without statistics that so few steps leave unsettled
    "audit.missing_labels": "none",
    "augment.image_size": 64,
    "augment.policy": "none",
    "train.epochs": 1,
    "train.batch_size": 4,
    "train.n_folds": 2,
    "predict.tta": ["identity", "hflip"],
    "evaluate.gallery_images": 0,
}
FITTED = {
    "wbf_iou_threshold": {"Trophozoite": 0.95, "WBC": 0.95},
    "conf_type": {"WBC": "max"},
    "duplicate_iou": {"WBC": 0.9},
    "size_shrinkage": {"Trophozoite": 0.5},
}


@pytest.fixture
def chosen(settings, monkeypatch):
    """Settings of the task; nothing is tracked or drawn."""
    monkeypatch.setattr(DetectionEvaluator, "plots", lambda *_: None)
    for stage in (train, evaluate):
        monkeypatch.setattr(stage, "open_tracker", lambda root: Tracker())
    return lambda **changes: settings("smear_demo", **SMALL, **changes)


def test_evaluate_fits_and_applies_the_fusion_of_views(chosen, smear_paths, monkeypatch):
    paths, fitting = smear_paths, chosen(**{"evaluate.fit_postprocess": True})
    record = train.run(chosen(), paths.root)
    tables = {}
    for name, settings in {"as set": chosen(), "fitting": fitting}.items():
        evaluate.run(settings, paths.root)
        tables[name] = [pd.read_parquet(paths.evaluate / f"{each}.parquet") for each in ("oof", "test")]
    fitted = read_json(paths.evaluate / "postprocess.json")
    assert list(fitted) == ["gains"]
    assert list(fitted["gains"]) == ["fusion", "duplicates", "box sizes", "hard negative"]
    assert {(gain["groups"], gain["accepted"]) for gain in fitted["gains"].values()} == {(12, False)}
    by = ["image_id", "label", "score", *BOX]
    for both in zip(*tables.values(), strict=True):
        before, after = (each.sort_values(by, ignore_index=True) for each in both)
        pd.testing.assert_frame_equal(before, after, rtol=0, atol=1e-12)

    data, accelerator = read_task_data(paths), make_accelerator(fitting.train)
    members = load_folds(fitting, paths, record, accelerator.device, data)
    views = predict_oof(members, data, accelerator)
    assert len(views["base"]) == 2
    as_set = load_folds(chosen(), paths, record, accelerator.device, data)
    assert len(predict_oof(as_set, data, accelerator)["base"]) == 1
    task = next(iter(members["base"].values())).task
    assert len(task.fuse_members(views)) < len(task.fuse_members(views, FITTED)) <= sum(map(len, views["base"]))

    test = data.gt.subset(data.test_ids)
    with monkeypatch.context() as kept:
        kept.setattr(DetectionEvaluator, "postprocess_fitter", lambda *_: lambda ids: FITTED)
        evaluate.run(fitting, paths.root)
    merged = task.fuse_members(predict_test(members, test, data, accelerator, FITTED), FITTED)
    pd.testing.assert_frame_equal(pd.read_parquet(paths.evaluate / "test.parquet"), merged, rtol=0, atol=1e-12)
    assert read_json(paths.evaluate / "postprocess.json") == FITTED
    rows = [
        task.postprocess(task.fuse_members(predict_test(members, test, data, accelerator, each), each), each)
        for each in (None, FITTED)
    ]
    assert len(rows[0]) < len(rows[1])
    monkeypatch.setattr("tropho.commands.load_model.load_task", lambda task, path: fitting)
    predict_files(
        "smear_demo",
        [paths.raw / name for name in data.test_ids],
        paths.root,
        PredictOptions(out=paths.root / "out.csv"),
    )
    out, known = pd.read_csv(paths.root / "out.csv"), task.to_submission(rows[1], data.test_ids)
    assert len(out) == len(known)
    for name in data.test_ids:
        given = np.sort(out.loc[out["Image_ID"] == name, "confidence"])
        np.testing.assert_allclose(given, np.sort(known.loc[known["image_id"] == name, "score"]), atol=1e-5)
