"""Labels of images that confident learning takes for errors (Northcutt et al. 2021)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tropho.boxes.box_ops import Floats
from tropho.evaluation.rank_issues import ranked
from tropho.tables import LABEL_ISSUES, empty


def find_label_issues(
    image_ids: Sequence[str], truth: NDArray[np.integer], probabilities: Floats, classes: Sequence[str]
) -> pd.DataFrame:
    """Suspect labels, tables.SUSPECTS; score is the probability of all classes but the label.

    A class is believed of an image if its probability there is at least its mean over the images that are labelled
    so. A label is suspect where another class is believed, and is likelier than the label.

    Args:
        image_ids: N ids.
        truth: (N,) class numbers as labelled.
        probabilities: (N, C) finished, out of fold.
        classes: C names.
    """
    if len(truth) == 0:
        return empty(LABEL_ISSUES)
    believed = np.where(probabilities >= _thresholds(truth, probabilities), probabilities, -1.0)
    likeliest, rows = believed.argmax(axis=1), np.arange(len(truth))
    own, other = probabilities[rows, truth], believed[rows, likeliest]
    chosen = np.flatnonzero((likeliest != truth) & (other > own))
    names = np.asarray(classes, dtype=object)
    given, suggested = names[truth[chosen]], names[likeliest[chosen]]
    told = zip(suggested, other[chosen], given, own[chosen], strict=True)
    return ranked(
        pd.DataFrame(
            {
                "image_id": np.asarray(image_ids, dtype=object)[chosen],
                "action": "set label",
                "label": suggested,
                "reason": [f"P({new}) is {high:.2f}, P({old}) {low:.2f}" for new, high, old, low in told],
                "kind": "swap",
                "score": 1 - own[chosen],
                "given_label": given,
                "suggested_label": suggested,
                "certainty": other[chosen],
            }
        )
    )


def _thresholds(truth: NDArray[np.integer], probabilities: Floats) -> Floats:
    """(C,) mean self-confidence; of a class that no image has, more than any probability."""
    number = probabilities.shape[1]
    return np.array(
        [probabilities[truth == each, each].mean() if (truth == each).any() else np.inf for each in range(number)]
    )
