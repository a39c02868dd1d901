"""A detector with a presence classifier beside it, through train, evaluate, submit and predict."""

import numpy as np
import pandas as pd
import pytest

from tropho.commands.predict_images import PredictOptions, predict_files
from tropho.errors import DataError
from tropho.evaluation.detection_evaluator import DetectionEvaluator
from tropho.files import read_json, write_json
from tropho.stages import evaluate, submit, train
from tropho.tables import BOX
from tropho.tracking import Tracker

SMALL = {
    "model.fpn_channels": 8,
    "model.norm": "group",  # without statistics that so few steps leave unsettled
    "audit.missing_labels": "none",
    "augment.image_size": 64,
    "augment.policy": "none",
    "train.epochs": 1,
    "train.batch_size": 4,
    "train.ensemble": {"empty": {"model.name": "negative_classifier", "augment.image_size": 32, "model.dropout": 0.1}},
    "predict.negative_members": ["empty"],
    "evaluate.fit_postprocess": True,
    "evaluate.gallery_images": 0,
}


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setattr(DetectionEvaluator, "plots", lambda *_: None)
    for stage in (train, evaluate, submit):
        monkeypatch.setattr(stage, "open_tracker", lambda root: Tracker())


@pytest.mark.slow
def test_evaluate_combines_detector_and_negative_classifier(settings, smear_paths, monkeypatch):
    paths = smear_paths
    chosen = settings("smear_demo", **SMALL, **{"train.n_folds": 2})
    record = train.run(chosen, paths.root)
    assert all(0 < fold["score"] <= 1 for fold in record["members"]["empty"]["folds"])
    metrics = evaluate.run(chosen, paths.root)
    assert list(metrics["members"]["empty"]) == ["ap/NEG"]
    notes = read_json(paths.evaluate / "notes.json")["oof"]
    assert any(f"empty {metrics['members']['empty']['ap/NEG']:.3f} (ap/NEG)" in note for note in notes)
    base, empty = (pd.read_parquet(paths.evaluate / "members" / f"{name}.parquet") for name in ("base", "empty"))
    assert set(empty["label"]) == {"NEG"}
    oof = pd.read_parquet(paths.evaluate / "oof.parquet")
    negative = oof[oof["label"] == "NEG"].set_index("image_id")["score"]
    pd.testing.assert_series_equal(negative, empty.set_index("image_id")["score"].loc[negative.index])
    by = ["image_id", "label", "score", *BOX]
    boxes = [each.loc[each["label"] != "NEG", by].sort_values(by, ignore_index=True) for each in (oof, base)]
    pd.testing.assert_frame_equal(boxes[0], boxes[1])
    fitted = read_json(paths.evaluate / "postprocess.json")  # one member for boxes, one for NEG: no weights to fit
    assert list(fitted["gains"]) == ["duplicates", "box sizes", "hard negative"]
    assert list(fitted) == ["gains"]  # too few groups

    submit.run(chosen, paths.root)
    monkeypatch.setattr("tropho.commands.load_model.load_task", lambda task, path: chosen)
    files = [paths.raw / f"im{number}.png" for number in range(12, 15)]
    predict_files("smear_demo", files, paths.root, PredictOptions(out=paths.root / "out.csv"))
    handed_in, found = pd.read_csv(paths.submission), pd.read_csv(paths.root / "out.csv")
    both = [each[each["class"] == "NEG"].set_index("Image_ID")["confidence"] for each in (handed_in, found)]
    assert len(both[0]) == 3
    # The member sees images resized once here and twice in the pack.
    np.testing.assert_allclose(both[0].loc[both[1].index], both[1], atol=0.05)


def test_evaluate_refuses_untrained_members(settings, smear_paths):
    paths = smear_paths
    write_json(
        paths.models / "run.json",
        {"run_id": None, "folds": [{"fold": 0}], "score_name": "leaderboard_map"},
    )
    with pytest.raises(DataError, match=r"holds base, and params\.yaml asks for base, empty; .*tropho train"):
        evaluate.run(settings("smear_demo", **SMALL), paths.root)
