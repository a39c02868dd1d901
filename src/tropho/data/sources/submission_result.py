"""The scores and errors of a submission, as Zindi or Kaggle reports them."""

import math
from typing import Any, NamedTuple


class SubmissionResult(NamedTuple):
    """One submission on the site; a score is None while it is computed or hidden."""

    comment: str
    public: float | None
    private: float | None
    error: str | None  # why the site rejected it

    @property
    def scores(self) -> dict[str, float]:
        """The known scores by their columns of the submission log."""
        both = {"public": self.public, "private": self.private}
        return {column: score for column, score in both.items() if score is not None}


def to_score(value: Any) -> float | None:
    """Return a score as a number; None if it is empty or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
