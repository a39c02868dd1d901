"""Find label issues of boxes: annotations that models contradict, and detections where nothing is annotated.

The score is the probability that the label is wrong, made of two curves fitted to the same out-of-fold predictions:
`precision_at_score` (is the detection right?) and `prob_background` (is the annotated box empty?).

| kind | what it is | score |
|---|---|---|
| overlooked | a detection where nothing is annotated | precision |
| not_negative | the same in an image that is annotated as empty | precision |
| spurious | a box without a confident detection of any class near it | P(background) |
| swap | a box on which another class is detected | precision * (1 - precision of the best detection of its own class) |
| badloc | a box beside a detection of its class, with too low an IoU | precision * share of pairs with a higher IoU |
| duplicate | a second box under a detection that has a box already | precision |
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from tropho.boxes.box_ops import Floats, nms
from tropho.metrics.matching import close_pairs, match
from tropho.tables import BOX, GIVEN, LABEL_ISSUES, SUGGESTED, conform
from tropho.tasks.postprocess import drop_ignored_classes

NEAR_IOU = 0.25  # least IoU at which a detection and a box can mean the same object
MIN_SCORE = 0.5  # an issue is more probably wrong than right
PRIOR_BACKGROUND = 0.25  # of a box; a model that misses a third of all boxes then makes none of them spurious
REASONS = {
    "overlooked": "{label} found with {score:.2f}",
    "not_negative": "{label} found with {score:.2f}",
    "spurious": "the best score there is {score:.2f}",
    "swap": "found as {label} with {score:.2f}",
    "badloc": "found here with {score:.2f}",
    "duplicate": "one detection of {score:.2f} has two boxes",
}

ACTIONS: Mapping[str, tuple[str, str, str]] = {  # kind: action, side of the label and side of the box that it names
    "spurious": ("drop", "given", "given"),
    "duplicate": ("drop", "given", "given"),
    "swap": ("relabel", "suggested", "given"),
    "badloc": ("move", "suggested", "suggested"),
    "overlooked": ("add", "suggested", "suggested"),
    "not_negative": ("add", "suggested", "suggested"),
}


@dataclass(frozen=True)
class Evidence:
    """Annotated boxes (gt) and detections (pred), indexed from 0, with the columns of `metrics.matching`."""

    gt: pd.DataFrame  # also `best`, the highest score of a detection near, and `empty`, P(background)
    pred: pd.DataFrame  # also `precision`
    # pairs of an image from `near_iou` on: `pred` and `gt` (rows), `overlap`, `same` (class), and the detection's
    # `score`, `precision` and `hit`
    near: pd.DataFrame
    iou: float  # least IoU of a true positive
    near_iou: float  # NEAR_IOU, or `iou` if that is lower


def find_box_issues(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    negative: str | None = None,
    iou: float = 0.5,
) -> pd.DataFrame:
    """Find label issues, at most one for each annotated box and each detection.

    Args:
        images: columns image_id, width, height (pixels) and maybe ignore_classes, which have no issues there.
        boxes: annotated, tables.BOXES.
        predictions: post-processed out-of-fold tables.DETECTIONS of the same images.
        negative: name of the negative class, whose rows are no detections.
        iou: least IoU of a true positive.

    Returns: tables.LABEL_ISSUES.
    """
    pred = predictions[predictions["label"] != negative] if negative else predictions
    with_boxes = set(boxes["image_id"])
    images = images.set_index("image_id")
    if "ignore_classes" in images and images["ignore_classes"].notna().any():
        boxes, pred = (drop_ignored_classes(table, images["ignore_classes"]) for table in (boxes, pred))
    evidence = collect_evidence(images, boxes, pred, iou)
    of_boxes = pd.concat([find(evidence) for find in (_spurious, _swap, _badloc, _duplicate)])
    of_boxes = of_boxes.sort_values("score", ascending=False, kind="stable").drop_duplicates("gt")
    overlooked = _overlooked(evidence)
    if negative:
        is_empty = ~evidence.pred["image_id"].reindex(overlooked["pred"]).isin(with_boxes).to_numpy(bool)
        overlooked["kind"] = np.where(is_empty, "not_negative", "overlooked")
    issues = pd.concat([of_boxes, overlooked], ignore_index=True)
    return rank_issues(_rows(issues[issues["score"] >= MIN_SCORE].reset_index(drop=True), evidence))


def collect_evidence(images: pd.DataFrame, boxes: pd.DataFrame, pred: pd.DataFrame, iou: float) -> Evidence:
    """Match boxes and detections, and fit precision and P(background); arguments as for `find_box_issues`."""
    matches, near_iou = match(boxes, pred, iou), min(NEAR_IOU, iou)
    gt, pred = matches.truths, matches.detections
    pred = pred.assign(precision=precision_at_score(pred))
    pred_row, gt_row, overlap = close_pairs(pred, gt, ["image_id"], near_iou)  # (P,) each
    same = pred["label"].to_numpy(str)[pred_row] == gt["label"].to_numpy(str)[gt_row]
    near = pd.DataFrame({"pred": pred_row, "gt": gt_row, "overlap": overlap, "same": same})
    of_pred = pred[["score", "precision", "hit"]].take(pred_row).reset_index(drop=True)
    decoys = mirror_boxes(images, gt)
    best, by_chance = best_score_near(gt, pred, near_iou), best_score_near(decoys, pred, near_iou)
    gt = gt.assign(best=best, empty=prob_background(gt["label"], best, decoys["label"], by_chance))
    return Evidence(gt, pred, pd.concat([near, of_pred], axis=1), iou, near_iou)


def mirror_boxes(images: pd.DataFrame, gt: pd.DataFrame) -> pd.DataFrame:
    """Mirror each annotated box horizontally, vertically and both ways; drop what touches an annotated box.

    `images` gives width and height, pixels, by image_id. Returns image_id, label and BOX of boxes on unlabelled places.
    """
    width, height = (gt["image_id"].map(images[side]).to_numpy(np.float64) for side in ("width", "height"))
    xmin, ymin, xmax, ymax = gt[BOX].to_numpy(np.float64).T
    flipped_x, flipped_y = (width - xmax, width - xmin), (height - ymax, height - ymin)
    corners = [(*flipped_x, ymin, ymax), (xmin, xmax, *flipped_y), (*flipped_x, *flipped_y)]
    parts = [
        gt[["image_id", "label"]].assign(xmin=left, xmax=right, ymin=top, ymax=bottom)
        for left, right, top, bottom in corners
    ]
    decoys = pd.concat(parts, ignore_index=True)  # (3m,)
    touching, _, _ = close_pairs(decoys, gt, ["image_id"], 0.0)
    return decoys[~decoys.index.isin(touching)].reset_index(drop=True)


def best_score_near(boxes: pd.DataFrame, pred: pd.DataFrame, near_iou: float) -> Floats:
    """Compute the highest score of any class that overlaps each box by `near_iou`, (N,); 0 without any."""
    box_row, pred_row, _ = close_pairs(boxes, pred, ["image_id"], near_iou)
    best = np.zeros(len(boxes))
    np.maximum.at(best, box_row, pred["score"].to_numpy(np.float64)[pred_row])
    return best


def prob_background(labels: pd.Series, best: Floats, decoy_labels: pd.Series, by_chance: Floats) -> Floats:
    """Estimate the probability that a box holds nothing, per class, by isotonic regression on the best score near.

    Args:
        labels: of N annotated boxes.
        best: (N,) best score near each.
        decoy_labels: of M boxes where nothing is annotated.
        by_chance: (M,) best score near each of these.

    Returns: (N,) float64 in 0..1, non-increasing in `best` within a class.
    """
    empty = np.zeros(len(labels))
    for name in labels.unique():
        of_class, decoys = (labels == name).to_numpy(bool), (decoy_labels == name).to_numpy(bool)
        n, n_decoys = of_class.sum(), decoys.sum()
        scores = np.concatenate([best[of_class], by_chance[decoys]])  # (n + n_decoys,)
        is_decoy = np.repeat([0.0, 1.0], [n, n_decoys])
        weight = np.where(is_decoy, PRIOR_BACKGROUND / max(1, n_decoys), (1 - PRIOR_BACKGROUND) / n)
        curve = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=False)
        empty[of_class] = curve.fit_transform(scores, is_decoy, sample_weight=weight)[:n]
    return empty


def precision_at_score(pred: pd.DataFrame) -> Floats:
    """Estimate precision as a function of score, per class, by isotonic regression on hits out of fold.

    Returns: (N,) float64 in 0..1, non-decreasing in score within a class. Each detection is in its own fit.
    """
    precision = pd.Series(0.0, index=pred.index)
    for _, of_class in pred.groupby("label"):
        score, hit = of_class["score"].to_numpy(np.float64), of_class["hit"].to_numpy(np.float64)
        precision[of_class.index] = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(score, hit)
    return np.asarray(precision, np.float64)


def _spurious(evidence: Evidence) -> pd.DataFrame:
    gt = evidence.gt
    return _candidates("spurious", gt.index, -1, gt["empty"], 1 - gt["best"])


def _swap(evidence: Evidence) -> pd.DataFrame:
    near = evidence.near
    own = near[near["same"]].groupby("gt")["precision"].max()
    rivals = near[~near["same"] & ~near["hit"] & (near["overlap"] >= evidence.iou)]
    doubt = 1 - rivals["gt"].map(own).fillna(0.0)
    return _candidates("swap", rivals["gt"], rivals["pred"], rivals["precision"] * doubt, rivals["score"])


def _badloc(evidence: Evidence) -> pd.DataFrame:
    """Pair unmatched boxes with unmatched detections of their class that are near."""
    gt, pred, near = evidence.gt, evidence.pred, evidence.near
    unmatched, false_positives = gt[~gt["hit"]], pred[~pred["hit"]]
    pairs = match(unmatched, false_positives, evidence.near_iou).detections.assign(pred=false_positives.index)
    pairs = pairs[pairs["hit"]].assign(gt=lambda table: unmatched.index.to_numpy()[table["truth_row"]])
    hits = pred[pred["hit"]]
    overlaps = pd.concat([pairs["overlap"], hits["overlap"]], ignore_index=True)
    share = share_above(overlaps, pd.concat([pairs["label"], hits["label"]], ignore_index=True))[: len(pairs)]
    # The correction moves the box of its class with the highest IoU, so a pair with any other box is no issue.
    closest = near[near["same"]].sort_values("overlap", ascending=False, kind="stable").drop_duplicates("pred")
    is_closest = pairs["pred"].map(closest.set_index("pred")["gt"]) == pairs["gt"]
    pairs = pairs.assign(issue_score=pairs["precision"] * share)[is_closest.to_numpy(bool)]
    return _candidates("badloc", pairs["gt"], pairs["pred"], pairs["issue_score"], pairs["score"])


def _duplicate(evidence: Evidence) -> pd.DataFrame:
    near, unmatched = evidence.near, ~evidence.gt["hit"].to_numpy(bool)
    shared = near[near["same"] & near["hit"] & (near["overlap"] >= evidence.iou) & unmatched[near["gt"]]]
    return _candidates("duplicate", shared["gt"], shared["pred"], shared["precision"], shared["score"])


def _overlooked(evidence: Evidence) -> pd.DataFrame:
    """List detections near no box; of overlapping ones of any class, the one with the highest precision."""
    pred = evidence.pred
    alone = pred[~pred.index.isin(evidence.near["pred"]) & (pred["precision"] >= MIN_SCORE)]
    alone = alone.sort_values(["precision", "score"], ascending=False, kind="stable")
    images = np.asarray(alone.groupby("image_id", sort=False).ngroup(), np.int64)
    keep, _ = nms(alone[BOX].to_numpy(np.float64), alone["precision"].to_numpy(np.float64), images, evidence.near_iou)
    alone = alone.iloc[keep]
    return _candidates("overlooked", -1, alone.index, alone["precision"], alone["score"])


def _candidates(kind: str, gt: object, pred: object, score: object, certainty: object) -> pd.DataFrame:
    """Build rows of one kind: row of the box and of the detection (-1 = none), score, and certainty to break ties."""
    columns = {"gt": gt, "pred": pred, "score": score, "certainty": certainty}
    arrays = np.broadcast_arrays(*(np.asarray(values, np.float64) for values in columns.values()))
    table = pd.DataFrame(dict(zip(columns, arrays, strict=True))).astype({"gt": np.int64, "pred": np.int64})
    return table.assign(kind=kind)


def _rows(issues: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Add what is annotated, what is suggested, the reason and the correction."""
    given = evidence.gt[["image_id", "label", *BOX]].reindex(issues["gt"]).reset_index(drop=True)
    suggested = evidence.pred[["image_id", "label", *BOX]].reindex(issues["pred"]).reset_index(drop=True)
    suggested.loc[issues["kind"] == "duplicate", ["label", *BOX]] = np.nan  # nothing is to take its place
    suggested[BOX] = suggested[BOX].round(1)  # pixels
    rows = issues.assign(image_id=given["image_id"].fillna(suggested["image_id"]))
    rows[["given_label", *GIVEN]] = given[["label", *BOX]].to_numpy(object)
    rows[["suggested_label", *SUGGESTED]] = suggested[["label", *BOX]].to_numpy(object)
    score = np.where(rows["kind"] == "spurious", 1 - rows["certainty"], rows["certainty"])
    reasons = zip(rows["kind"], suggested["label"], score, strict=True)
    rows["reason"] = [REASONS[kind].format(label=label, score=value) for kind, label, value in reasons]
    return add_corrections(rows)


def add_corrections(issues: pd.DataFrame) -> pd.DataFrame:
    """Add action, label and box of the correction to issues with kind, given_* and suggested_*."""
    actions, labels, boxes = zip(*(ACTIONS[kind] for kind in issues["kind"]), strict=True) if len(issues) else ((),) * 3
    by_label, by_box = np.array(labels) == "given", np.array(boxes) == "given"
    box = np.where(by_box[:, None], issues[GIVEN].to_numpy(np.float64), issues[SUGGESTED].to_numpy(np.float64))
    label = issues["given_label"].where(by_label, issues["suggested_label"])
    return issues.assign(action=list(actions), label=label, **dict(zip(BOX, box.T, strict=True)))


def rank_issues(issues: pd.DataFrame) -> pd.DataFrame:
    """Sort issues by descending score, then descending certainty, then image and place, to tables.LABEL_ISSUES.

    They have its columns except rank (missing ones are empty), and certainty.
    """
    issues = issues.reindex(columns=[*LABEL_ISSUES, "certainty"])
    issues["score"] = issues["score"].round(6)  # the last digits depend on the order of summation
    order = ["score", "certainty", "image_id", *BOX, "kind", "label"]
    issues = issues.sort_values(order, ascending=[False, False, *[True] * 7], kind="stable", ignore_index=True)
    return conform(issues.assign(rank=np.arange(1, len(issues) + 1)), LABEL_ISSUES)


def share_above(values: pd.Series, groups: pd.Series) -> Floats:
    """Compute for each value the share of higher values in its group, (N,)."""
    ranks = values.groupby(groups).rank(method="max", ascending=True)
    count = values.groupby(groups).transform("size")
    return ((count - ranks) / count).to_numpy(np.float64)
