"""Predictions of an ensemble: one table whose column `member` names the model that each row is of.

What is learned from out-of-fold predictions, the members' weights and then all that the task's `fit_finish` learns of
the fused ones, is learned together, so that cross-fitting covers both.
"""

from typing import Any

import pandas as pd

from tropho.tasks.base import Task, Truth

MEMBER = "member"


def stack_members(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Prediction tables of the same images by member -> one table with the column `member`."""
    return pd.concat([table.assign(**{MEMBER: name}) for name, table in tables.items()], ignore_index=True)


def fuse_members(task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None) -> pd.DataFrame:
    """The members' rows made one prediction table; a table without the column `member` stays as it is.

    Members count by `fitted["weights"]`, else alike; those of weight 0 are left out.
    """
    if MEMBER not in predictions:
        return predictions
    tables = _unstacked(predictions)
    weights = (fitted or {}).get("weights") or dict.fromkeys(tables, 1.0)
    counting = [name for name in tables if weights[name] > 0]
    return task.merge([tables[name] for name in counting], [weights[name] for name in counting])


def fit_members(task: Task, truth: Truth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
    """What `finish_members` learns: that of `Task.fit_finish`, and "weights" by member unless they count alike."""
    chosen = task.settings.predict.weights
    tables = _unstacked(predictions) if MEMBER in predictions else {}
    fitted: dict[str, Any] = {}
    if len(tables) > 1 and chosen != "equal":
        given = chosen if isinstance(chosen, dict) else None
        weights = given or dict(zip(tables, task.fit_weights(truth, list(tables.values())), strict=True))
        fitted = {"weights": weights}
    return {**fitted, **task.fit_finish(truth, fuse_members(task, predictions, fitted), groups)}


def finish_members(
    task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignored: pd.Series | None = None
) -> pd.DataFrame:
    """Raw predictions of members, fused and finished by what `fit_members` returned; see `Task.finish`."""
    return task.finish(fuse_members(task, predictions, fitted), fitted, ignored)


def _unstacked(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By member, in the order of their first rows."""
    names = predictions[MEMBER].unique()
    bare = predictions.drop(columns=MEMBER)
    return {str(name): bare[(predictions[MEMBER] == name).to_numpy()].reset_index(drop=True) for name in names}
