"""Warn when the leaderboard and cross-validation disagree."""

import numpy as np
import pandas as pd

MIN_FOR_ORDER = 4  # recorded submissions from which their order is compared


def recorded(submissions: pd.DataFrame) -> pd.DataFrame:
    """Return the submissions whose public score is known, in the order in which they were made."""
    return submissions[submissions["public"].notna() & submissions["score"].notna()].reset_index(drop=True)


def cv_gap_warnings(submissions: pd.DataFrame) -> list[str]:
    """Return sentences of warning, none while both scores agree, or if a public score outside 0..1 has another metric.

    The tolerance is half the width of the newest submission's cross-validation interval.

    - One recorded score: it lies outside the interval.
    - More: the newest one's gap, public minus cross-validated, differs from the earlier ones' median gap by more
      than the tolerance.
    - From `MIN_FOR_ORDER` on: higher cross-validated scores go with lower public ones (Kendall's tau below 0).

    Args:
        submissions: submission_log.SUBMISSIONS, rows of one task.
    """
    known = recorded(submissions)
    if known.empty or not known["public"].between(0, 1).all():
        return []
    newest = known.iloc[-1]
    public, low, high = newest["public"], newest["low"], newest["high"]
    gaps = (known["public"] - known["score"]).to_numpy(np.float64)
    warnings = []
    if len(known) == 1 and not np.isnan((high - low) / 2) and not low <= public <= high:
        warnings.append(
            f"The public score {public:.4f} lies outside the cross-validation interval "
            f"{low:.4f} to {high:.4f}: the folds and the leaderboard measure different things; "
            "look for groups that leak across folds, and for images unlike the training ones."
        )
    if len(known) > 1 and abs(gaps[-1] - np.median(gaps[:-1])) > (high - low) / 2:
        warnings.append(
            f"The newest submission's public score differs from its cross-validated one by {gaps[-1]:+.4f}, usually by "
            f"{np.median(gaps[:-1]):+.4f}: the latest change improved only one of them; trust the score that rests on "
            "more images."
        )
    tau = known["score"].corr(known["public"], method="kendall") if len(known) >= MIN_FOR_ORDER else 0.0
    if tau < 0:
        warnings.append(
            f"Over {len(known)} submissions, those that do better in cross-validation do worse on the leaderboard "
            f"(Kendall's tau {tau:.2f}); trust neither until you know why."
        )
    return warnings
