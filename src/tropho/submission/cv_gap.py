"""When a leaderboard and cross-validation no longer say the same."""

import numpy as np
import pandas as pd

ENOUGH = 4  # recorded submissions from which their order is compared


def recorded(ledger: pd.DataFrame) -> pd.DataFrame:
    """The submissions whose public score is known, in the order in which they were made."""
    return ledger[ledger["public"].notna() & ledger["score"].notna()].reset_index(drop=True)


def cv_gap_warnings(ledger: pd.DataFrame) -> list[str]:
    """Sentences of warning, none while both agree.

    The yardstick is half the width of the newest submission's cross-validation interval: what the luck of the
    images alone does to a score.

    - One recorded score: it lies outside the interval.
    - More: the newest one's gap, public minus cross-validated, differs from the earlier ones' median gap by more
      than the yardstick.
    - From `ENOUGH` on: higher cross-validated scores go with lower public ones (Kendall's tau below 0).

    Args:
        ledger: rows of tracking.ledger.LEDGER of one task.
    """
    known = recorded(ledger)
    if known.empty:
        return []
    newest = known.iloc[-1]
    yardstick = (newest["high"] - newest["low"]) / 2
    found = []
    if len(known) == 1 and not np.isnan(yardstick) and not newest["low"] <= newest["public"] <= newest["high"]:
        found.append(
            f"The public score {newest['public']:.4f} lies outside the cross-validation interval "
            f"{newest['low']:.4f} to {newest['high']:.4f}: the folds and the leaderboard measure different things; "
            "look for groups that leak across folds, and for images unlike the training ones."
        )
    gaps = (known["public"] - known["score"]).to_numpy(np.float64)
    if len(known) > 1 and abs(gaps[-1] - np.median(gaps[:-1])) > yardstick:
        found.append(
            f"The newest submission's public score is {gaps[-1]:+.4f} from its cross-validated one, where "
            f"{np.median(gaps[:-1]):+.4f} is usual: what changed helps one and not the other; "
            "trust the score that rests on more images."
        )
    tau = kendall_tau(known["score"].to_numpy(np.float64), known["public"].to_numpy(np.float64))
    if len(known) >= ENOUGH and tau < 0:
        found.append(
            f"Over {len(known)} submissions, those that do better in cross-validation do worse on the leaderboard "
            f"(Kendall's tau {tau:.2f}); choose by neither until the folds are understood."
        )
    return found


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pairs in the same order minus share in opposite order, -1..1; ties count as neither (tau-a)."""
    rows, columns = np.triu_indices(len(first), 1)
    if len(rows) == 0:
        return 0.0
    return float(np.mean(np.sign(first[rows] - first[columns]) * np.sign(second[rows] - second[columns])))
