"""Fusion of members' predictions."""

import numpy as np
import pandas as pd
import pytest

from member_predictions import found_in
from tropho.boxes.box_fusion import fuse
from tropho.tables import DETECTIONS, conform, empty
from tropho.tasks import build_task


def test_fuse_members_by_class_weights(detecting):
    *_, tables, _ = detecting
    [base], [bad] = tables.values()
    fused = fuse([base, bad], 0.55, [{"WBC": 1.0, "NEG": 0.0}, {"WBC": 3.0, "NEG": 1.0}], "wbf", "NEG")
    for label, weights in (("WBC", [1.0, 3.0]), ("NEG", [0.0, 1.0])):
        alone = fuse([each[each["label"] == label] for each in (base, bad)], 0.55, weights, "wbf", "NEG")
        pd.testing.assert_frame_equal(fused[fused["label"] == label].reset_index(drop=True), alone)
    left_out = fuse([base, bad], 0.55, [1.0, 0.0], "wbf", "NEG").sort_values(["image_id", "label"], ignore_index=True)
    pd.testing.assert_frame_equal(left_out, base.sort_values(["image_id", "label"], ignore_index=True))


@pytest.mark.parametrize("silent", ["base", "other"])
def test_fuse_members_counts_a_member_without_detections(without_negative, silent):
    task, _ = without_negative
    speaks = "other" if silent == "base" else "base"
    fused = {}
    for elsewhere in ([], ["b"]):
        tables = {speaks: found_in(["a"], 0.8), silent: found_in(elsewhere, 0.6)}
        table = task.fuse_members({name: [tables[name]] for name in ("base", "other")})
        fused[len(elsewhere)] = table[table["image_id"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fused[0], fused[1])
    np.testing.assert_allclose(fused[0]["score"], 0.4, atol=1e-9)


def test_fuse_members_of_empty_tables(without_negative):
    task, _ = without_negative
    assert task.fuse_members({"base": [empty(DETECTIONS)], "other": [empty(DETECTIONS)]}).empty


VIEWS = {"predict.tta": ["identity", "hflip"]}


@pytest.mark.parametrize("members", [[], ["other"]])
@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_fuse_members_fuses_views_first(settings, rng, members, method):
    chosen = {
        **VIEWS,
        "predict.ensemble_method": method,
        "train.ensemble": {name: {"train.seed": 1} for name in members},
    }
    task = build_task(settings("smear_demo", **chosen), ["Trophozoite", "WBC"])
    views = {name: [jittered(rng, 30), jittered(rng, 30)] for name in ["base", *members]}
    at_once = {name: [task.fuse_views(tables)] for name, tables in views.items()}
    fused = task.fuse_members(views)
    assert len(fused) < sum(len(table) for tables in views.values() for table in tables)
    pd.testing.assert_frame_equal(fused, task.fuse_members(at_once), rtol=0, atol=1e-12)


def jittered(rng: np.random.Generator, images: int) -> pd.DataFrame:
    """In every image a WBC and a parasite, about where they are, and a NEG row."""
    rows: list[list] = []
    for number in range(images):
        name = f"i{number:02d}"
        for label, box in (("WBC", [10.0, 10.0, 40.0, 40.0]), ("Trophozoite", [60.0, 60.0, 90.0, 90.0])):
            rows.append([name, label, rng.uniform(0.2, 0.9), *(np.array(box) + rng.normal(0, 2, 4))])
        rows.append([name, "NEG", rng.uniform(0.2, 0.8), 0, 0, 0, 0])
    return conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)


def test_fuse_members_counts_a_view_without_detections(settings):
    task = build_task(settings("smear_demo", **VIEWS, **{"audit.negative": None}), ["Trophozoite", "WBC"])
    for tables in ([found_in(["a"], 0.8), empty(DETECTIONS)], [empty(DETECTIONS), found_in(["a"], 0.8)]):
        fused = task.fuse_members({"base": tables})
        np.testing.assert_allclose(fused["score"], [0.4], atol=1e-9)
