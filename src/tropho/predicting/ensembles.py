"""Predictions of an ensemble: one table whose column `member` names the model that each row is of.

What is learned from out-of-fold predictions, how members are fused and then all that the task's `fit_finish` learns of
the fused ones, is learned together, so that cross-fitting covers both.
"""

from typing import Any

import pandas as pd

from tropho.settings import BASE
from tropho.tasks.base import Task, Truth

MEMBER = "member"


def stack_members(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Prediction tables of the same images by member -> one table with the column `member`."""
    return pd.concat([table.assign(**{MEMBER: name}) for name, table in tables.items()], ignore_index=True)


def fuse_members(task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None) -> pd.DataFrame:
    """The members' rows made one prediction table; a table without the column `member` stays as it is.

    `fitted` is what `fit_members` returned; without it members count as the settings say.
    """
    return task.fuse(_unstacked(task, predictions), fitted) if MEMBER in predictions else predictions


def fit_members(task: Task, truth: Truth, predictions: pd.DataFrame, groups: pd.Series) -> dict[str, Any]:
    """What `finish_members` learns: that of `Task.fit_fusion`, then of the fused predictions that of `Task.fit_finish`.

    "gains" is of both.
    """
    tables = _unstacked(task, predictions) if MEMBER in predictions else {}
    fusion = task.fit_fusion(truth, tables, groups) if len(tables) > 1 else {}
    finish = task.fit_finish(truth, fuse_members(task, predictions, fusion), groups)
    gains = {**fusion.get("gains", {}), **finish.get("gains", {})}
    return {**fusion, **finish, **({"gains": gains} if gains else {})}


def finish_members(
    task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignored: pd.Series | None = None
) -> pd.DataFrame:
    """Raw predictions of members, fused and finished by what `fit_members` returned; see `Task.finish`."""
    return task.finish(fuse_members(task, predictions, fitted), fitted, ignored)


def _unstacked(task: Task, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By member, in the order of the settings: a detector that finds nothing has no rows, and counts all the same."""
    bare = predictions.drop(columns=MEMBER)
    names = [BASE, *task.settings.train.members]
    return {name: bare[(predictions[MEMBER] == name).to_numpy(bool)].reset_index(drop=True) for name in names}
