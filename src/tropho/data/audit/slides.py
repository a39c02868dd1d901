"""Images that look as if they were taken from one slide, through one eyepiece, found without any name or number.

A threshold between "one slide" and "two slides" is learned from the data, or found not to be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tropho.data.audit.slide_features import COLOURED, PARTS
from tropho.data.audit.slide_metric import (
    agreeing,
    centred,
    first_metric,
    null_features,
    pair_distances,
    refined_metric,
)
from tropho.data.audit.slide_pairs import DistanceThreshold, best_cut, group_by

FEWEST = 60
"""Images that a distance can be learned from."""
REFERENCES = 99
"""Data sets without slides that the data must surpass, so that p is 0.01."""
PARTNERS = 1.0
"""Least number of others of its slide that an image has on average, by the cut. Generated images of which no two are
of one slide had up to 0.5, slides of 3 to 10 fields over 2."""
MIXED = 1 / 3
"""Most of the pairs below the threshold that may be there by chance."""
MAX_CLUSTER_SHARE = 0.5
"""Most of the images that one group may take."""
LARGEST = 10_000
"""Images of one size and device that can be compared, each with each: 400 MB."""
_TESTED = 600  # images that the test looks at, drawn at random
_REFINED = 2  # times that the groups teach the metric


@dataclass(frozen=True)
class Slides:
    """What was found among the images `ids`; `groups` numbers their groups, (N,), an image like no other its own."""

    ids: Sequence[str]
    groups: np.ndarray
    reason: str = ""
    """Why no image was grouped; empty if some were."""
    p: float | None = None
    """Probability that images without slides would show groups as plainly; None where it was not asked."""
    cut: DistanceThreshold | None = None
    distances: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Distances of pairs of images, and of pairs of which none is of one slide (`chance`); both are samples."""
    chance: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def sizes(self) -> np.ndarray:
        """Images of each group of several, the largest first."""
        sizes = np.bincount(self.groups) if len(self.groups) else np.empty(0, np.int64)
        return np.sort(sizes[sizes > 1])[::-1]

    @property
    def count(self) -> int:
        """Number of groups of several images."""
        return len(self.sizes)

    @property
    def facts(self) -> dict[str, Any]:
        """What summary.json keeps."""
        known: dict[str, Any] = {
            "images": len(self.ids),
            "groups": self.count,
            "grouped_images": int(self.sizes.sum()),
            "largest": int(self.sizes.max(initial=0)),
        }
        if self.p is not None:
            known |= {"p": round(self.p, 4)}
        if self.cut:
            known |= {"threshold": round(self.cut.threshold, 3), "pairs_by_chance": round(self.cut.wrong, 3)}
        return {**known, "reason": self.reason} if self.reason else known

    @property
    def sentence(self) -> str:
        """The gist in words."""
        if not self.count:
            return f"No slides were told apart by content: {self.reason}."
        by_chance = f"; of pairs so near, {self.cut.wrong:.0%} are so by chance" if self.cut else ""
        return (
            f"{self.sizes.sum():,} of {len(self.ids):,} images look as if from {self.count:,} slides of "
            f"{self.sizes.min()} to {self.sizes.max()} images{by_chance}."
        )


def cluster_slides(ids: Sequence[str], signatures: np.ndarray, strata: np.ndarray, times: np.ndarray) -> Slides:
    """Group images by their signatures.

    Args:
        ids: N names of images; none may repeat another.
        signatures: (N, D) of signature.signature.
        strata: (N,) text; only images of equal text can be of one slide (size and device).
        times: (N,) seconds, NaN where unknown.

    Returns:
        The groups. All images are alone where the data show no two populations of pairs: where no colours agree,
        images look no more alike than images without slides (a Monte Carlo test), or groups would be small, mixed
        or swallow the data.
    """
    alone = np.arange(len(ids))
    if len(ids) < FEWEST:
        return Slides(ids, alone, f"{len(ids):,} images are too few to learn from")
    if np.unique(strata, return_counts=True)[1].max() > LARGEST:
        return Slides(ids, alone, f"over {LARGEST:,} images of one size and device are too many to compare")
    rng = np.random.default_rng(0)
    values, varied = centred(signatures, strata)
    agree = agreeing(values, np.array(PARTS)[varied], strata) if values.size else np.zeros(0, bool)
    if not agree[np.array(COLOURED)[varied]].any():  # what else cells or scans share is not a slide's stain
        return Slides(ids, alone, "images that are alike otherwise are no more alike in colour")
    values = values[:, agree]
    p = _chance(values, strata, rng)
    if p > 1 / (1 + REFERENCES):
        return Slides(ids, alone, f"the images look no more alike than images without slides would (p = {p:.2g})", p)
    factor = first_metric(values, strata)
    for _ in range(_REFINED):
        better = refined_metric(values, group_by(values, factor, strata, rng).groups)
        factor = factor if better is None else better
    found = group_by(values, factor, strata, rng, times)
    reason = _doubt(found.groups, found.cut)
    groups = alone if reason else found.groups
    return Slides(ids, groups, reason, p, found.cut, found.distances, found.chance)


def _doubt(groups: np.ndarray, cut: DistanceThreshold) -> str:
    """Why groups are not to be trusted; empty if they are."""
    if cut.gain < PARTNERS * len(groups):
        return f"an image has {cut.gain / len(groups):.1f} look-alikes beyond chance on average, under {PARTNERS:g}"
    if cut.wrong > MIXED:
        return f"of the pairs that look alike, {cut.wrong:.0%} do so by chance"
    if np.bincount(groups).max() > MAX_CLUSTER_SHARE * len(groups):
        return "one group would take more than half of all images"
    return ""


def _chance(values: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> float:
    """Share of data sets without slides that show groups as plainly as the data do; the data are one of them."""
    drawn = np.sort(rng.permutation(len(values))[:_TESTED])
    values, strata = values[drawn], strata[drawn]

    def plainness(own: np.ndarray) -> float:
        factor = first_metric(own, strata)
        distances = pair_distances(own @ factor, strata)
        return best_cut(distances, pair_distances(null_features(own, rng) @ factor, strata), len(distances)).gain

    seen = plainness(values)
    surpassed = sum(plainness(null_features(values, rng)) >= seen for _ in range(REFERENCES))
    return (1 + surpassed) / (1 + REFERENCES)
