"""Box fusion: against its definition step by step, against ensemble-boxes, and on tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxes.fused import fused_boxes
from tropho.boxes import box_ops
from tropho.boxes.box_fusion import fuse
from tropho.boxes.box_ops import nms
from tropho.tables import BOX, DETECTIONS, conform, empty

SIZE = 1024.0  # a power of two: scaling to 0..1 changes no digit


def iou_of(a, b) -> float:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_fusion(models, iou: float, weights) -> np.ndarray:
    """The definition, one box after another: rows of (label, score, box), for confidence "avg"."""
    rows = [
        (int(label), score * weight, *box)
        for (boxes, scores, labels), weight in zip(models, weights, strict=True)
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]
    out = []
    for label in {row[0] for row in rows}:
        mine = np.array([row[1:] for row in rows if row[0] == label])
        clusters: list[list] = []
        fused: list = []
        for row in mine[mine[:, 0].argsort()[::-1]]:
            overlaps = [iou_of(box, row[1:]) for box in fused]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if best >= 0 and overlaps[best] > iou:
                clusters[best].append(row)
                members = np.array(clusters[best])
                fused[best] = (members[:, :1] * members[:, 1:]).sum(axis=0) / members[:, 0].sum()
            else:
                clusters.append([row])
                fused.append(row[1:])
        for members, box in zip(clusters, fused, strict=True):
            score = np.mean([row[0] for row in members]) * min(len(members), len(models)) / sum(weights)
            out.append([label, score, *box])
    return np.array(out).reshape(-1, 6)


def ordered(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(np.round(rows, 4).T)]


def result(models, **options) -> np.ndarray:
    boxes, scores, labels = fused_boxes(models, **options)
    return np.column_stack([labels, scores, boxes])


def scene(seed: int, models: int, objects: int, kind: str) -> list[tuple]:
    """Predictions of several models for an image: of the same objects, of none in common, or crowded and odd."""
    rng = np.random.default_rng(seed)
    if kind == "jittered":
        centre, size = rng.uniform(0.2, 0.8, (objects, 2)), rng.uniform(0.02, 0.2, (objects, 2))
        labels = rng.integers(0, 2, objects)
        return [
            _model(rng, centre + rng.normal(0, 0.1, centre.shape) * size, size * np.exp(rng.normal(0, 0.1)), labels)
            for _ in range(models)
        ]
    low = 0.05 if kind == "crowded" else 0.01
    out = []
    for _ in range(models):
        count = int(rng.integers(0, objects + 1))
        size = rng.uniform(low, 0.3, (count, 2)) ** (1 if kind == "random" else rng.integers(1, 3))
        out.append(_model(rng, rng.uniform(0.3, 0.7, (count, 2)), size, rng.integers(0, 2, count)))
    return out


def _model(rng, centre, size, labels) -> tuple:
    boxes = np.clip(np.hstack([centre - size / 2, centre + size / 2]), 0, 1) * SIZE
    return boxes, rng.uniform(0.01, 1, len(boxes)), labels


scenes = st.builds(
    scene,
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(0, 12),
    st.sampled_from(["jittered", "random", "crowded"]),
)
limits = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.55, 0.7, 0.95])


@settings(max_examples=60, deadline=None)
@given(scenes, limits, st.booleans())
def test_weighted_box_fusion_equals_definition(models, iou, weighted):
    weights = [1.0 + number for number in range(len(models))] if weighted else [1.0] * len(models)
    found = result(models, iou=iou, weights=weights)
    np.testing.assert_allclose(ordered(found), ordered(slow_fusion(models, iou, weights)), atol=1e-4, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    scenes,
    limits.filter(bool),
    st.booleans(),
    st.sampled_from(["avg", "max"]),
    st.sampled_from(["as they are", "equal", "tenths"]),
)
def test_weighted_box_fusion_equals_ensemble_boxes(models, iou, weighted, confidence, scores):
    reference = pytest.importorskip("ensemble_boxes").weighted_boxes_fusion
    if scores != "as they are":
        same = (lambda s: np.full(len(s), 0.5)) if scores == "equal" else (lambda s: np.round(s, 1) + 0.1)
        models = [(boxes, same(each), labels) for boxes, each, labels in models]
    weights = [1.0 + number for number in range(len(models))] if weighted else None
    boxes, confidences, labels = reference(
        [each[0] / SIZE for each in models],
        [each[1] for each in models],
        [each[2] for each in models],
        weights=weights,
        iou_thr=iou,
        conf_type=confidence,
    )
    found = result(models, iou=iou, weights=weights, conf_type=confidence)
    found[:, 2:] /= SIZE
    np.testing.assert_allclose(ordered(found), ordered(np.column_stack([labels, confidences, boxes])), atol=1e-6)


BOX_A, BOX_B = [0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0]


def test_weighted_box_fusion_mean_by_hand():
    boxes, scores, labels = fused_boxes([([BOX_A], [0.9], [3]), ([BOX_B], [0.3], [3])])
    np.testing.assert_allclose(boxes, [[0.25, 0.0, 10.25, 10.0]])
    np.testing.assert_allclose(scores, [0.6], atol=1e-7)
    assert labels.tolist() == [3]


def test_weighted_box_fusion_missing_model_halves_score():
    _, scores, _ = fused_boxes([([BOX_A], [0.8], [0]), ([], [], [])])
    np.testing.assert_allclose(scores, [0.4])


@pytest.mark.parametrize("models", [[([], [], [])], [([], [], []), ([], [], [])]])
def test_weighted_box_fusion_of_no_boxes(models):
    assert [each.shape for each in fused_boxes(models)] == [(0, 4), (0,), (0,)]


def test_weighted_box_fusion_touching_and_flat_boxes():
    flat = [[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [5, 5, 5, 9], [9, 9, 3, 3]]
    boxes, _, _ = fused_boxes([(flat, [0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5)], iou=0.0)
    assert boxes.tolist() == flat[:3]


def test_weighted_box_fusion_of_zero_scores():
    boxes, scores, _ = fused_boxes([([BOX_A], [0.0], [0]), ([BOX_B], [0.0], [0])])
    np.testing.assert_allclose(boxes, [[0.5, 0, 10.5, 10]])
    assert scores.tolist() == [0.0]


@settings(max_examples=40, deadline=None)
@given(scenes, limits, st.integers(5, 200))
def test_candidate_pairs_are_complete(models, iou, block):
    boxes = np.concatenate([each[0] for each in models])
    group = np.concatenate([each[2] for each in models]).astype(np.int64)
    before, box_ops.BLOCK = box_ops.BLOCK, block
    try:
        later, earlier = box_ops.candidate_pairs(boxes, group, iou)
    finally:
        box_ops.BLOCK = before
    pairs = set(zip(later.tolist(), earlier.tolist(), strict=True))
    assert len(pairs) == len(later)
    assert (later > earlier).all()
    over = {row: {other for other in range(len(boxes)) if group[row] == group[other] and
                  iou_of(boxes[row], boxes[other]) > iou} for row in range(len(boxes))}  # fmt: skip
    needed = {(max(a, b), min(a, b)) for third in over for a in over[third] for b in over[third] if a != b}
    assert needed <= pairs


def slow_nms(boxes, scores, group, iou):
    scores, waiting, kept = scores.copy(), list(range(len(boxes))), []
    while waiting:
        best = max(waiting, key=lambda row: (scores[row], -row))
        kept.append(best)
        waiting.remove(best)
        for row in list(waiting):
            overlap = iou_of(boxes[best], boxes[row]) if group[best] == group[row] else 0.0
            if overlap > iou:
                waiting.remove(row)
    return kept, scores[kept]


@settings(max_examples=40, deadline=None)
@given(scenes, st.sampled_from([0.1, 0.5, 0.7]))
def test_nms_equals_definition(models, iou):
    boxes, scores, group = (np.concatenate([each[part] for each in models]) for part in range(3))
    rows, left = nms(boxes, scores, group, iou)
    kept, expected = slow_nms(boxes, scores, group, iou)
    assert rows.tolist() == kept
    np.testing.assert_allclose(left, expected, atol=1e-12)


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(DETECTIONS)).astype(DETECTIONS)


FIRST = table(
    ("b", "X", 0.9, *BOX_A), ("b", "NEG", 0.2, 0, 0, 0, 0), ("a", "X", 0.4, *BOX_A), ("a", "NEG", 0.8, 0, 0, 0, 0)
)
SECOND = table(
    ("b", "X", 0.3, *BOX_B), ("b", "Y", 0.6, *BOX_A), ("b", "NEG", 0.4, 0, 0, 0, 0), ("a", "NEG", 1, 0, 0, 0, 0)
)


def test_fuse_by_image_and_class():
    fused = fuse([FIRST, SECOND], negative="NEG")
    assert fused[["image_id", "label"]].to_numpy().tolist() == [
        ["a", "X"],
        ["a", "NEG"],
        ["b", "X"],
        ["b", "Y"],
        ["b", "NEG"],
    ]
    np.testing.assert_allclose(fused["score"], [0.2, 0.9, 0.6, 0.3, 0.3], atol=1e-7)
    np.testing.assert_allclose(fused[BOX].iloc[2], [0.25, 0, 10.25, 10])
    assert (fused.loc[fused["label"] == "NEG", BOX] == 0).all(axis=None)
    assert fused.dtypes.astype(str).to_dict() == FIRST.dtypes.astype(str).to_dict()


def test_fuse_weights():
    fused = fuse([FIRST, SECOND], weights=[3, 1], negative="NEG").set_index(["image_id", "label"])
    assert fused.loc[("b", "NEG"), "score"] == pytest.approx(0.25)
    assert fused.loc[("b", "X"), "xmin"] == pytest.approx(0.3 / 3.0)


def test_fuse_nms():
    fused = fuse([FIRST, SECOND], iou=0.5, method="nms", negative="NEG")
    mine = fused[(fused["image_id"] == "b") & (fused["label"] == "X")]
    np.testing.assert_allclose(mine["score"], [0.9])


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_fuse_threshold_by_class(method):
    tables = [
        table(("a", "X", 0.9, *BOX_A), ("a", "Y", 0.9, *BOX_A)),
        table(("a", "X", 0.5, *BOX_B), ("a", "Y", 0.5, *BOX_B)),
    ]
    fused = fuse(tables, iou={"X": 0.9, "Y": 0.5}, method=method)
    for label, limit in (("X", 0.9), ("Y", 0.5)):
        alone = fuse([each[each["label"] == label] for each in tables], iou=limit, method=method)
        pd.testing.assert_frame_equal(fused[fused["label"] == label].reset_index(drop=True), alone)
    if method == "wbf":
        assert fused["label"].tolist() == ["Y", "X", "X"]


def test_fuse_images_together_equal_one_by_one(monkeypatch):
    tables = [
        table(*((f"i{image}", "XY"[label], score, *box) for image in range(6) for box, score, label in
                zip(*scene(image, 3, 8, "jittered")[model], strict=True)))
        for model in range(3)
    ]  # fmt: skip
    whole = fuse(tables)
    alone = pd.concat([fuse([each[each["image_id"] == f"i{image}"] for each in tables]) for image in range(6)])
    pd.testing.assert_frame_equal(whole, alone.reset_index(drop=True))
    monkeypatch.setattr("tropho.boxes.box_fusion.MAX_ROWS", 20)
    pd.testing.assert_frame_equal(fuse(tables), whole)


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_fuse_of_empty_tables(method):
    fused = fuse([empty(DETECTIONS), empty(DETECTIONS)], method=method, negative="NEG")
    assert list(fused) == list(DETECTIONS)
    assert len(fused) == 0
    only = fuse([FIRST[FIRST["label"] == "NEG"], empty(DETECTIONS)], method=method, negative="NEG")
    assert only["score"].tolist() == [0.8, 0.2]


def test_fuse_takes_the_rule_of_confidence_by_class():
    """Two tables find a box each: avg halves its score where one table misses it, max keeps it."""
    rows = [[name, label, 0.8, 0.0, 0.0, 10.0, 10.0] for name, label in (("a", "T"), ("a", "W"))]
    first = conform(pd.DataFrame(rows, columns=list(DETECTIONS)), DETECTIONS)
    fused = fuse([first, empty(DETECTIONS)], conf_type={"T": "max"})
    assert fused[["label", "score"]].to_numpy().tolist() == [["T", 0.8], ["W", 0.4]]
    assert fuse([first, empty(DETECTIONS)], conf_type="max")["score"].tolist() == [0.8, 0.8]
