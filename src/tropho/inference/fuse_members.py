"""Stack the raw prediction tables of an ensemble's members, and fuse them to one prediction table.

A stacked table has the column `member`, the name of the model that predicted a row. Where the fusion of test-time
views is fitted too, it also has the column `view`, the number of the view in `predict.tta`.
"""

from typing import Any

import pandas as pd

from tropho.config.task_config import BASE
from tropho.tasks.base import Task

MEMBER = "member"
VIEW = "view"


def stack_members(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack prediction tables of the same images, by member."""
    return pd.concat([table.assign(**{MEMBER: name}) for name, table in tables.items()], ignore_index=True)


def stack_views(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack one model's prediction tables of the same images, one a view."""
    return pd.concat([table.assign(**{VIEW: idx}) for idx, table in enumerate(tables)], ignore_index=True)


def tables_by_member(task: Task, stacked: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Split a stacked table by member and view; a member of the settings without rows has empty tables.

    A table that is not stacked is that of the task's own model.
    """
    if MEMBER not in stacked:
        return {BASE: [stacked]}
    return {name: _views(task, stacked, name) for name in [BASE, *task.settings.train.ensemble]}


def member_table(task: Task, stacked: pd.DataFrame, name: str) -> pd.DataFrame:
    """Extract one member's prediction table, its views fused as the settings say."""
    return task.fuse_views(_views(task, stacked, name))


def _views(task: Task, stacked: pd.DataFrame, name: str) -> list[pd.DataFrame]:
    masks = [(stacked[MEMBER] == name).to_numpy(bool)]
    if VIEW in stacked:
        view = stacked[VIEW].to_numpy()
        masks = [masks[0] & (view == idx) for idx in range(len(task.settings.predict.tta))]
    columns = [column for column in stacked.columns if column not in (MEMBER, VIEW)]
    return [stacked.loc[mask, columns].reset_index(drop=True) for mask in masks]


def fuse_tables(task: Task, tables: dict[str, list[pd.DataFrame]], params: dict[str, Any] | None) -> pd.DataFrame:
    """Fuse each member's views, then the members."""
    return task.fuse_members({name: task.fuse_views(views, params) for name, views in tables.items()}, params)


def fuse_members(task: Task, raw: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
    """Fuse a stacked table to one raw prediction table by postprocess.json, None as set; any other table stays."""
    return fuse_tables(task, tables_by_member(task, raw), params) if MEMBER in raw else raw


def postprocess_members(
    task: Task, raw: pd.DataFrame, params: dict[str, Any] | None = None, ignore_classes: pd.Series | None = None
) -> pd.DataFrame:
    """Fuse and post-process a stacked table; arguments as for `fuse_members` and `Task.postprocess`."""
    return task.postprocess(fuse_members(task, raw, params), params, ignore_classes)
