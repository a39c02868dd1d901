"""Fusion by class, fitted out of fold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tropho.boxes.wbf import fuse
from tropho.evaluation.fusion_search import (
    FusionParams,
    OofPredictions,
    best_by_class,
    describe_gains,
    fold_weights,
    paired_gain,
    search_fusion,
)
from tropho.metrics.bootstrap import FEW_GROUPS
from tropho.metrics.leaderboard_map import rank_images
from tropho.tables import BOX

COLUMNS = ["image_id", "label", "score", *BOX]


EQUAL = (1.0, 1.0)


def scene(rng: np.random.Generator, images: int, harmful: bool = True) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """True boxes, and the tables of two members.

    Every third image is empty. Each member finds all boxes, and false ones with the same confidences; if `harmful`,
    the second's T are displaced and surer than the first's, and its P(NEG) is drawn by lot.
    """
    truth: list[tuple] = []
    found: dict[str, list[tuple]] = {"one": [], "two": []}
    for number in range(images):
        name, is_empty = f"i{number:03}", number % 3 == 0
        for place, label in enumerate("TTWW"):
            box = np.array([60.0 * place, 10, 60 * place + 30, 40])
            if not is_empty:
                truth.append((name, label, *box))
            for member, rows in found.items():
                spoilt = harmful and member == "two" and label == "T"
                drawn = rng.uniform(0.5, 0.9) if spoilt else rng.uniform(0.2, 0.4 if is_empty else 0.6)
                rows.append(
                    (name, label, drawn, *(box + (np.array([0, 300, 0, 300]) if spoilt else rng.normal(0, 1, 4))))
                )
        for member, rows in found.items():
            lot = harmful and member == "two"
            rows.append(
                (name, "NEG", rng.uniform() if lot else (0.6 if is_empty else 0.4) + rng.normal(0, 0.1), *[0] * 4)
            )
    tables = {member: pd.DataFrame(rows, columns=COLUMNS) for member, rows in found.items()}
    return pd.DataFrame(truth, columns=["image_id", "label", *BOX]), tables


def members_of(truth: pd.DataFrame, tables: dict[str, pd.DataFrame], **changes) -> OofPredictions:
    ids = sorted(tables["one"]["image_id"].unique())
    groups = pd.Series([f"g{number // 2}" for number in range(len(ids))], index=ids)
    as_set = {"T": FusionParams(0.55, EQUAL), "W": FusionParams(0.55, EQUAL), "NEG": FusionParams(1.0, EQUAL)}
    known = {"groups": groups, "negative": "NEG", "method": "wbf", "default": as_set, **changes}
    return OofPredictions({name: [table] for name, table in tables.items()}, ids, truth, **known)


def test_search_fusion_accepts_a_planted_gain(rng):
    members = members_of(*scene(rng, 45))
    fitted = search_fusion(members, 24)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["gains"]["fusion"]["value"] > 0.1
    one, two = fitted["weights"]["one"], fitted["weights"]["two"]
    assert two["T"] < one["T"]
    assert two["NEG"] < one["NEG"]
    assert set(fitted["wbf_iou_threshold"]) == {"T", "W"}
    assert search_fusion(members, 24) == fitted


@pytest.mark.parametrize(("images", "groups"), [(38, 19), (40, 20)])
def test_search_fusion_needs_20_groups(rng, images, groups):
    fitted = search_fusion(members_of(*scene(rng, images)), 24)
    found = fitted["gains"]["fusion"]
    assert found["groups"] == groups
    assert found["low"] > 0.05
    assert found["accepted"] == (groups >= 20)
    assert ("weights" in fitted) == ("wbf_iou_threshold" in fitted) == found["accepted"]


def test_search_fusion_rejects_chance():
    """Where the members are alike, a choice fits noise: out of ten searches at most one may be taken in."""
    gains = []
    for seed in range(10):
        truth, tables = scene(np.random.default_rng(seed), 42, harmful=False)
        gains.append(search_fusion(members_of(truth, tables), 8)["gains"]["fusion"])
    assert sum(each["accepted"] for each in gains) <= 1
    assert np.mean([each["value"] for each in gains]) < 0.02


def test_search_fusion_fits_on_the_other_folds(rng, monkeypatch):
    """Images of a part have no say in how they are fused: with their truth gone, they are fused as before."""
    truth, tables = scene(rng, 30)
    asked: list[tuple] = []
    plain = OofPredictions.fuse

    def noted(self, ways, image_ids=None):
        if image_ids is not None:
            asked.append((list(image_ids), dict(ways)))
        return plain(self, ways, image_ids)

    monkeypatch.setattr(OofPredictions, "fuse", noted)
    search_fusion(members_of(truth, tables), 12)
    before, mine = asked[0][1], asked[0][0]
    assert sorted(each for ids, _ in asked for each in ids) == sorted(tables["one"]["image_id"].unique())
    asked.clear()
    spoilt = {name: table.copy() for name, table in tables.items()}
    rows = spoilt["one"]["image_id"].isin(mine)
    spoilt["one"].loc[rows, "score"] = rng.random(int(rows.sum()))
    search_fusion(members_of(truth, spoilt), 12)
    assert asked[0] == (mine, before)


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_search_fusion_without_a_negative_class(rng, method):
    truth, tables = scene(rng, 45)
    tables = {name: table[table["label"] != "NEG"].reset_index(drop=True) for name, table in tables.items()}
    as_set = {"T": FusionParams(0.55, EQUAL), "W": FusionParams(0.55, EQUAL)}
    members = members_of(truth, tables, negative=None, default=as_set, method=method)
    fitted = search_fusion(members, 12)
    assert fitted["gains"]["fusion"]["accepted"]
    weights = [fitted["weights"][name] for name in tables]
    fused = fuse(list(tables.values()), fitted["wbf_iou_threshold"], weights, method)
    before = fuse(list(tables.values()), 0.55, None, method)
    scores = [float(rank_images(members.image_ids, truth, each, None).score()) for each in (before, fused)]
    assert scores[1] > scores[0] + 0.1


def test_search_fusion_keeps_zero_weights(rng):
    truth, tables = scene(rng, 45)
    as_set = {"T": FusionParams(0.55, EQUAL), "W": FusionParams(0.4, (1.0, 0.0)), "NEG": FusionParams(1.0, (0.0, 1.0))}
    fitted = search_fusion(members_of(truth, tables, default=as_set), 12)
    assert (fitted["weights"]["one"]["W"], fitted["weights"]["two"]["W"]) == (1.0, 0.0)
    assert (fitted["weights"]["one"]["NEG"], fitted["weights"]["two"]["NEG"]) == (0.0, 1.0)
    assert fitted["wbf_iou_threshold"]["W"] == 0.4


def test_search_fusion_fits_the_iou_of_views(rng):
    """Neighbours that overlap by 0.6 are two objects: as set they are fused to one, which the search undoes."""
    members = neighbours(rng, images=45)
    fitted = search_fusion(members, 12)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["gains"]["fusion"]["value"] > 0.1
    assert fitted["wbf_iou_threshold"]["T"] > 0.65
    assert fitted["wbf_iou_threshold"]["W"] == 0.55  # W's two views agree whatever the overlap
    assert fitted["weights"] == {"one": {"T": 1.0, "W": 1.0, "NEG": 1.0}}


def test_search_fusion_fits_one_iou_for_views_and_members(rng):
    members = neighbours(rng, images=45)
    both = replace(
        members,
        tables={"one": members.tables["one"], "two": members.tables["one"][::-1]},
        default={label: FusionParams(way.iou, EQUAL) for label, way in members.default.items()},
    )
    fitted = search_fusion(both, 12)
    assert fitted["gains"]["fusion"]["accepted"]
    assert fitted["wbf_iou_threshold"]["T"] > 0.65
    overlaps = {**fitted["wbf_iou_threshold"], "NEG": 1.0}
    viewed = [fuse(tables, overlaps, None, "wbf", "NEG") for tables in both.tables.values()]
    ways = {label: FusionParams(overlaps[label], EQUAL) for label in both.default}
    pd.testing.assert_frame_equal(both.fuse(ways), fuse(viewed, overlaps, None, "wbf", "NEG"))


def test_is_tunable_skips_views_without_weight(rng):
    members = neighbours(rng, images=45)
    quiet = members.tables["one"][0].iloc[:0]
    as_set = {
        "T": FusionParams(0.55, (0.0, 1.0)),
        "W": FusionParams(0.55, (1.0, 0.0)),
        "NEG": FusionParams(1.0, (1.0, 0.0)),
    }
    beside = replace(members, tables={**members.tables, "two": [quiet]}, default=as_set)
    assert [label for label in as_set if beside.is_tunable(label)] == ["W"]


def neighbours(rng: np.random.Generator, images: int) -> OofPredictions:
    """One model's two views; every third image is empty, the others hold a W and two T that overlap by 0.6."""
    truth: list[tuple] = []
    views: list[list[tuple]] = [[], []]
    boxes = [("T", (10.0, 10.0, 50.0, 50.0)), ("T", (20.0, 10.0, 60.0, 50.0)), ("W", (100.0, 10.0, 140.0, 50.0))]
    for number in range(images):
        name, is_empty = f"i{number:03}", number % 3 == 0
        for rows in views:
            rows += [(name, label, rng.uniform(0.3, 0.9), *box) for label, box in boxes if not is_empty]
            rows.append((name, "NEG", 0.6 if is_empty else 0.4, 0, 0, 0, 0))
        truth += [(name, label, *box) for label, box in boxes if not is_empty]
    tables = [pd.DataFrame(rows, columns=COLUMNS) for rows in views]
    boxes_table = pd.DataFrame(truth, columns=["image_id", "label", *BOX])
    as_set = {"T": FusionParams(0.55, (1.0,)), "W": FusionParams(0.55, (1.0,)), "NEG": FusionParams(1.0, (1.0,))}
    return replace(members_of(boxes_table, {"one": tables[0]}, default=as_set), tables={"one": tables})


def test_search_fusion_with_nothing_to_tune(rng):
    truth, tables = scene(rng, 12)
    groups = pd.Series("g", index=sorted(tables["one"]["image_id"].unique()))
    assert search_fusion(members_of(truth, tables, groups=groups), 4) == {}
    alone = {
        "T": FusionParams(0.55, (1.0, 0.0)),
        "W": FusionParams(0.55, (1.0, 0.0)),
        "NEG": FusionParams(1.0, (0.0, 1.0)),
    }
    assert search_fusion(members_of(truth, tables, default=alone), 4) == {}


def test_fold_weights_leave_each_fold_out():
    part = pd.Series({"a": 0, "b": 1, "c": 0, "d": 2})
    assert fold_weights(["a", "b", "c", "d"], part).tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 0]]


def test_best_by_class_takes_the_first_of_equals():
    def tried(way: str, *precisions: float):
        return {"x": way, "y": way, "never": way}, {"x": np.array(precisions), "y": np.array([np.nan, 0.5])}

    ways = [tried("one", 0.1, 0.9), tried("two", 0.3, 0.9), tried("three", 0.3, 0.1)]
    assert best_by_class(ways, 0) == {"x": "two"}  # y and never have no true box there
    assert best_by_class(ways, 1) == {"x": "one", "y": "one"}


@pytest.mark.parametrize(
    ("low", "groups", "kept"),
    [(0.01, FEW_GROUPS, True), (0.01, FEW_GROUPS - 1, False), (0.0, FEW_GROUPS, False), (float("nan"), 99, False)],
)
def test_paired_gain_accepts_above_zero_with_enough_groups(monkeypatch, low, groups, kept):
    monkeypatch.setattr(
        "tropho.evaluation.fusion_search.score_gain", lambda *_: {"value": 0.1, "low": low, "high": 0.2}
    )
    found = paired_gain(None, None, pd.Series([*range(groups), 0]))
    assert (found["groups"], found["accepted"]) == (groups, kept)


def test_describe_gains():
    found = {"value": 0.0123, "low": -0.001, "high": 0.02, "groups": 9, "accepted": False}
    assert describe_gains({"gains": {"fusion": found}}) == [
        "Fitted fusion: the out-of-fold score changes by +0.0123 (95 % interval -0.0010 to +0.0200, 9 groups, at least "
        "20 needed); it is not used."
    ]
    assert describe_gains({"gains": {"x": {**found, "accepted": True}}})[0].endswith("it is used.")
    assert describe_gains({}) == []
