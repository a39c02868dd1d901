"""Predictions of all models: one table whose column `member` names the model that each row is of.

Where the fusion of views is fitted too, a column `view` numbers the test-time view that a row is of. Each member's
views become one table by `Task.fuse_views`, and then the members by `Task.fuse_members`.

What is learned from out-of-fold predictions, how views and members are fused and then all that the task's `fit_finish`
learns of the fused ones, is learned together, so that cross-fitting covers both.
"""

from typing import Any

import pandas as pd

from tropho.config.task_config import BASE
from tropho.tasks.base import Task

MEMBER = "member"
VIEW = "view"


def stack_members(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Prediction tables of the same images by member -> one table with the column `member`."""
    return pd.concat([table.assign(**{MEMBER: name}) for name, table in tables.items()], ignore_index=True)


def stack_views(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One model's prediction tables of the same images, one a view of predict.tta -> one with the column `view`."""
    return pd.concat([table.assign(**{VIEW: number}) for number, table in enumerate(tables)], ignore_index=True)


def member_rows(task: Task, predictions: pd.DataFrame, name: str) -> pd.DataFrame:
    """One member's prediction table, its views merged as the settings say."""
    return task.fuse_views(_views(task, predictions, name))


def fuse_members(task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None) -> pd.DataFrame:
    """The members' rows made one prediction table; a table without the column `member` stays as it is.

    `fitted` is what `fit_members` returned; without it views and members count as the settings say.
    """
    return fuse_tables(task, tables_by_member(task, predictions), fitted) if MEMBER in predictions else predictions


def postprocess_members(
    task: Task, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignore_classes: pd.Series | None = None
) -> pd.DataFrame:
    """Raw predictions of members, fused and finished by what `fit_members` returned; see `Task.postprocess`."""
    return task.postprocess(fuse_members(task, predictions, fitted), fitted, ignore_classes)


def fuse_tables(task: Task, tables: dict[str, list[pd.DataFrame]], fitted: dict[str, Any] | None) -> pd.DataFrame:
    """Merge each member's views, then fuse the members."""
    return task.fuse_members({name: task.fuse_views(views, fitted) for name, views in tables.items()}, fitted)


def tables_by_member(task: Task, predictions: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Each member's views, in the order of the settings: one that finds nothing counts too."""
    return {name: _views(task, predictions, name) for name in [BASE, *task.settings.train.ensemble]}


def _views(task: Task, predictions: pd.DataFrame, name: str) -> list[pd.DataFrame]:
    """One table a view, by number; a single one where views are not kept apart."""
    parts = [(predictions[MEMBER] == name).to_numpy(bool)]
    if VIEW in predictions:
        number = predictions[VIEW].to_numpy()
        parts = [parts[0] & (number == each) for each in range(len(task.settings.predict.tta))]
    columns = [name for name in predictions.columns if name not in (MEMBER, VIEW)]
    return [predictions.loc[part, columns].reset_index(drop=True) for part in parts]
