"""Annotated boxes that models do not find, and finds where no box is annotated: one of the two is wrong.

`score` says how surely it is the label, so that kinds can be compared. It is made of what these very predictions are
worth:

- belief: how often a find of this class and confidence is right, out of fold (a rising curve, fitted by class).
- emptiness: how probable it is that nothing is there, by the best find near (a falling curve, fitted by class to the
  annotated boxes and to the same boxes laid where nothing is annotated).

| kind | what it is | score |
|---|---|---|
| unlabelled | a find where nothing is annotated | belief |
| not_negative | the same in an image that is said to be empty | belief |
| not_found | a box that no confident find, of whatever class, is near | emptiness |
| other_class | a box on which another class is found | belief * (1 - belief of the best find of its own class) |
| misplaced | a box beside a find of its class, overlapping too little | belief * share of the pairs that overlap more |
| double_box | a second box under a find that has a box already | belief |

A weak model is thus no witness: where it misses a third of all boxes, missing one means nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from tropho.boxes.box_ops import Floats, nms
from tropho.evaluation.rank_issues import corrections_of, ranked, share_above
from tropho.metrics.matching import close_pairs, match
from tropho.tables import BOX, GIVEN, SUGGESTED
from tropho.tasks.postprocess import drop_ignored_classes

NEAR = 0.25  # overlap from which a find and a box can mean the same object; two equal boxes 3/5 of a side apart
LEAST = 0.5  # score of a suspect: more likely wrong than right
PRIOR_BACKGROUND = (
    0.25  # probability that a box holds nothing, before finds are looked at; from LEAST it follows that a model
)
# which misses a third of all boxes accuses none of them
REASONS = {
    "overlooked": "{found} found with {confidence:.2f}",
    "not_negative": "{found} found with {confidence:.2f}",
    "spurious": "the surest find there has {confidence:.2f}",
    "swap": "found as {found} with {confidence:.2f}",
    "badloc": "found here with {confidence:.2f}",
    "duplicate": "one find of {confidence:.2f} has two boxes",
}


@dataclass(frozen=True)
class Evidence:
    """Annotated boxes and finds, and what they have to do with each other.

    Attributes:
        truths: annotated boxes (index 0..m-1) with `hit` and `detection_row`, as metrics.matching has it; `best`, the
            confidence of the best find near; and `empty`, the probability that nothing is there.
        finds: detections (index 0..n-1) with `hit`, `truth_row`, `overlap` and `belief`.
        near: pairs of an image that overlap by `reach` or more: find and truth (rows), overlap, same (class), and the
            find's score, belief and hit.
        iou: overlap from which a find hits a box.
        reach: overlap from which they are near: a hit always is, however little `iou` asks.
    """

    truths: pd.DataFrame
    finds: pd.DataFrame
    near: pd.DataFrame
    iou: float
    reach: float


def find_box_issues(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    negative: str | None = None,
    iou: float = 0.5,
) -> pd.DataFrame:
    """Suspect labels, tables.SUSPECTS, one for each annotated box and each find at most.

    Args:
        images: columns image_id, width, height, and maybe ignored: what is labelled or found of classes that
            annotators left out of an image is not suspect there.
        boxes: as annotated, columns of tables.BOXES.
        predictions: finished out-of-fold detections of the same images, columns of tables.DETECTIONS.
        negative: the class that says that nothing is there; its rows are no finds.
        iou: least overlap of a hit.
    """
    finds = predictions[predictions["label"] != negative] if negative else predictions
    occupied = set(boxes["image_id"])
    images = images.set_index("image_id")
    if "ignored" in images and images["ignored"].notna().any():
        boxes, finds = (drop_ignored_classes(table, images["ignored"]) for table in (boxes, finds))
    evidence = weigh(images, boxes, finds, iou)
    about_boxes = pd.concat([kind(evidence) for kind in (_not_found, _other_class, _misplaced, _double_box)])
    about_boxes = about_boxes.sort_values("score", ascending=False, kind="stable").drop_duplicates("truth")
    unlabelled = _unlabelled(evidence)
    if negative:
        empty = ~evidence.finds["image_id"].reindex(unlabelled["find"]).isin(occupied).to_numpy(bool)
        unlabelled["kind"] = np.where(empty, "not_negative", "overlooked")
    chosen = pd.concat([about_boxes, unlabelled], ignore_index=True)
    return ranked(_rows(chosen[chosen["score"] >= LEAST].reset_index(drop=True), evidence))


def weigh(images: pd.DataFrame, boxes: pd.DataFrame, finds: pd.DataFrame, iou: float) -> Evidence:
    """Match boxes and finds; believe each find as often as its like is right, and doubt each box likewise."""
    matches, reach = match(boxes, finds, iou), min(NEAR, iou)
    truths, finds = matches.truths, matches.detections
    finds = finds.assign(belief=precision_at_score(finds))
    rows, places, overlaps = close_pairs(finds, truths, ["image_id"], reach)
    same = finds["label"].to_numpy(str)[rows] == truths["label"].to_numpy(str)[places]
    near = pd.DataFrame({"find": rows, "truth": places, "overlap": overlaps, "same": same})
    known = finds[["score", "belief", "hit"]].take(rows).reset_index(drop=True)
    decoys = mirrored(images, truths)
    best, by_chance = best_near(truths, finds, reach), best_near(decoys, finds, reach)
    truths = truths.assign(best=best, empty=prob_background(truths["label"], best, decoys["label"], by_chance))
    return Evidence(truths, finds, pd.concat([near, known], axis=1), iou, reach)


def mirrored(images: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """Each annotated box at the other side, bottom, and both, of its image, where it touches no annotated box.

    `images` has width and height by image_id, in pixels.
    """
    width, height = (truths["image_id"].map(images[side]).to_numpy(np.float64) for side in ("width", "height"))
    xmin, ymin, xmax, ymax = truths[BOX].to_numpy(np.float64).T
    across, down = (width - xmax, width - xmin), (height - ymax, height - ymin)
    corners = [(*across, ymin, ymax), (xmin, xmax, *down), (*across, *down)]
    parts = [
        truths[["image_id", "label"]].assign(xmin=left, xmax=right, ymin=top, ymax=bottom)
        for left, right, top, bottom in corners
    ]
    decoys = pd.concat(parts, ignore_index=True)
    touching, _, _ = close_pairs(decoys, truths, ["image_id"], 0.0)
    return decoys[~decoys.index.isin(touching)].reset_index(drop=True)


def best_near(boxes: pd.DataFrame, finds: pd.DataFrame, reach: float) -> Floats:
    """(N,) the confidence of the surest find, of whatever class, that overlaps each box by `reach`; 0 without any."""
    places, rows, _ = close_pairs(boxes, finds, ["image_id"], reach)
    best = np.zeros(len(boxes))
    np.maximum.at(best, places, finds["score"].to_numpy(np.float64)[rows])
    return best


def prob_background(labels: pd.Series, best: Floats, decoy_labels: pd.Series, by_chance: Floats) -> Floats:
    """(N,) how probable it is that a box holds nothing, by the best find near it: isotonic regression by class.

    Args:
        labels: of N annotated boxes.
        best: (N,) confidence of the best find near each.
        decoy_labels: of M boxes where nothing is annotated.
        by_chance: (M,) the same of these.
    """
    empty = np.zeros(len(labels))
    for name in labels.unique():
        mine, decoys = (labels == name).to_numpy(bool), (decoy_labels == name).to_numpy(bool)
        seen = np.concatenate([best[mine], by_chance[decoys]])
        is_decoy = np.repeat([0.0, 1.0], [mine.sum(), decoys.sum()])
        weight = np.where(is_decoy, PRIOR_BACKGROUND / max(1, decoys.sum()), (1 - PRIOR_BACKGROUND) / mine.sum())
        curve = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=False)
        empty[mine] = curve.fit_transform(seen, is_decoy, sample_weight=weight)[: mine.sum()]
    return empty


def precision_at_score(finds: pd.DataFrame) -> Floats:
    """(N,) how often finds of the class are hits at each one's confidence: isotonic regression, class by class.

    A find counts among its like, so that one surprise among few finds is believed less than one among many.
    """
    belief = pd.Series(0.0, index=finds.index)
    for _, mine in finds.groupby("label"):
        score, hit = mine["score"].to_numpy(np.float64), mine["hit"].to_numpy(np.float64)
        belief[mine.index] = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(score, hit)
    return np.asarray(belief, np.float64)


def _not_found(evidence: Evidence) -> pd.DataFrame:
    truths = evidence.truths
    return _candidates("spurious", truths.index, -1, truths["empty"], 1 - truths["best"])


def _other_class(evidence: Evidence) -> pd.DataFrame:
    near = evidence.near
    own = near[near["same"]].groupby("truth")["belief"].max()
    rivals = near[~near["same"] & ~near["hit"] & (near["overlap"] >= evidence.iou)]
    doubt = 1 - rivals["truth"].map(own).fillna(0.0)
    return _candidates("swap", rivals["truth"], rivals["find"], rivals["belief"] * doubt, rivals["score"])


def _misplaced(evidence: Evidence) -> pd.DataFrame:
    """Of the boxes and finds that are left over, pairs that are at least near."""
    truths, finds, near = evidence.truths, evidence.finds, evidence.near
    loose, free = truths[~truths["hit"]], finds[~finds["hit"]]
    pairs = match(loose, free, evidence.reach).detections.assign(find=free.index)
    pairs = pairs[pairs["hit"]].assign(truth=lambda table: loose.index.to_numpy()[table["truth_row"]])
    hits = finds[finds["hit"]]
    overlaps = pd.concat([pairs["overlap"], hits["overlap"]], ignore_index=True)
    share = share_above(overlaps, pd.concat([pairs["label"], hits["label"]], ignore_index=True))[: len(pairs)]
    # The correction moves the box of its class that overlaps most; another than this one must not be moved.
    closest = near[near["same"]].sort_values("overlap", ascending=False, kind="stable").drop_duplicates("find")
    meant = pairs["find"].map(closest.set_index("find")["truth"]) == pairs["truth"]
    pairs = pairs.assign(worth=pairs["belief"] * share)[meant.to_numpy(bool)]
    return _candidates("badloc", pairs["truth"], pairs["find"], pairs["worth"], pairs["score"])


def _double_box(evidence: Evidence) -> pd.DataFrame:
    near, loose = evidence.near, ~evidence.truths["hit"].to_numpy(bool)
    shared = near[near["same"] & near["hit"] & (near["overlap"] >= evidence.iou) & loose[near["truth"]]]
    return _candidates("duplicate", shared["truth"], shared["find"], shared["belief"], shared["score"])


def _unlabelled(evidence: Evidence) -> pd.DataFrame:
    """Finds near no box; of several at one place, whatever their class, the most believed."""
    finds = evidence.finds
    lone = finds[~finds.index.isin(evidence.near["find"]) & (finds["belief"] >= LEAST)]
    lone = lone.sort_values(["belief", "score"], ascending=False, kind="stable")
    images = np.asarray(lone.groupby("image_id", sort=False).ngroup(), np.int64)
    kept, _ = nms(lone[BOX].to_numpy(np.float64), lone["belief"].to_numpy(np.float64), images, evidence.reach)
    lone = lone.iloc[kept]
    return _candidates("overlooked", -1, lone.index, lone["belief"], lone["score"])


def _candidates(kind: str, truth: object, find: object, score: object, certainty: object) -> pd.DataFrame:
    """Rows of one kind: row of the box and of the find (-1 = none), score and, among equal scores, certainty."""
    columns = {"truth": truth, "find": find, "score": score, "certainty": certainty}
    arrays = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in columns.values()))
    table = pd.DataFrame(dict(zip(columns, arrays, strict=True))).astype({"truth": np.int64, "find": np.int64})
    return table.assign(kind=kind)


def _rows(chosen: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """What was annotated, what is suggested, the correction that makes one of the other, and why."""
    given = evidence.truths[["image_id", "label", *BOX]].reindex(chosen["truth"]).reset_index(drop=True)
    found = evidence.finds[["image_id", "label", *BOX]].reindex(chosen["find"]).reset_index(drop=True)
    found.loc[chosen["kind"] == "duplicate", ["label", *BOX]] = np.nan  # nothing is to take its place
    found[BOX] = found[BOX].round(1)  # pixels
    rows = chosen.assign(image_id=given["image_id"].fillna(found["image_id"]))
    rows[["given_label", *GIVEN]] = given[["label", *BOX]].to_numpy(object)
    rows[["suggested_label", *SUGGESTED]] = found[["label", *BOX]].to_numpy(object)
    confidence = np.where(rows["kind"] == "spurious", 1 - rows["certainty"], rows["certainty"])
    told = zip(rows["kind"], found["label"], confidence, strict=True)
    rows["reason"] = [REASONS[kind].format(found=label, confidence=value) for kind, label, value in told]
    return corrections_of(rows)
