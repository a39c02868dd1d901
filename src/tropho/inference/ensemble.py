"""Fuse the predictions of an ensemble's members, and predict an image file with all of them.

A stacked table has the column `member`, the name of the model that predicted a row. Where the fusion of test-time
views is fitted too, it also has the column `view`, the number of the view in `predict.tta`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from tropho.config.task_config import BASE, TaskConfig
from tropho.data.task_data import SingleImage
from tropho.errors import DataError
from tropho.files import read_json
from tropho.images.cache import resize_as_cached
from tropho.images.decode import Decoding, read_image
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


if TYPE_CHECKING:
    import torch

FILE = "ensemble.json"


class FoldModel:
    """A trained fold: a `Predictor`, or one that was exported."""

    task: Task  # with the present settings of prediction
    decoding: Decoding  # how files became the pixels that it was trained on

    def predict_views(self, image: np.ndarray) -> list[Any]:
        """Return the outputs of `Task.predict` for one image of cached size, of each test-time view."""
        raise NotImplementedError

    def predict_raw(self, image: np.ndarray, image_id: str, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict one image (h, w, 3) uint8 RGB of any size with every test-time view, and fuse the views.

        Returns: raw prediction table; `params` are as for `Task.fuse_views`.
        """
        augment = self.task.settings.augment
        resized = resize_as_cached(image, augment.image_size, augment.grayscale)
        sizes = SingleImage(image.shape[1::-1], resized.shape[1::-1])
        tables = [self.task.to_table(output, [image_id], sizes) for output in self.predict_views(resized)]
        return self.task.fuse_views(tables, params)


@dataclass(frozen=True)
class Ensemble:
    """All trained models of a task, with the fitted fusion and post-processing."""

    members: Mapping[str, Sequence[FoldModel]]  # trained folds by member, the task's own model first
    params: dict[str, Any] | None  # content of postprocess.json; None = as set
    findings: list[dict[str, Any]]  # of audit.missing_labels, classes that are ignored in some images
    max_megapixels: float  # larger images are not read

    @property
    def task(self) -> Task:
        """Task of the task's own model."""
        return self.first_fold.task

    @property
    def first_fold(self) -> FoldModel:
        """First fold of the task's own model."""
        return self.members[BASE][0]

    @property
    def decoding(self) -> Decoding:
        """How files become pixels."""
        return replace(self.first_fold.decoding, max_megapixels=self.max_megapixels)

    def predict_file(self, file: Path, name: str) -> pd.DataFrame:
        """Predict one image file of any size with every model; returns a stacked raw table, see `stack_members`.

        Raises:
            DataError: the file can't be read.
        """
        pixels = read_image(file, decoding=self.decoding)
        tables = {}
        for member, folds in self.members.items():
            predictions = [fold.predict_raw(pixels, name, self.params) for fold in folds]
            tables[member] = self.task.fuse_views(predictions, self.params)
        return stack_members(tables)

    def postprocess(self, tables: list[pd.DataFrame], ignore_classes: pd.Series | None) -> pd.DataFrame:
        """Fuse and post-process at least one table of `predict_file`; `ignore_classes` as for `Task.postprocess`."""
        return postprocess_members(self.task, pd.concat(tables, ignore_index=True), self.params, ignore_classes)


def ensemble_record(
    members: dict[str, list[str]], settings: TaskConfig, params: dict[str, Any] | None, findings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Build the content of ensemble.json; `members` are the folders of their folds, relative to its own."""
    return {"members": members, "settings": settings.model_dump(), "params": params, "findings": findings}


def load_ensemble(folder: Path, device: torch.device | None = None) -> Ensemble:
    """Load ensemble.json and the models that it names; raise DataError where one is missing or of another version."""
    from tropho.inference.predictor import CPU, load_predictor

    record, settings = read_ensemble_record(folder, "evaluate")
    members = {
        name: [load_predictor(folder / fold, device or CPU, settings) for fold in folds]
        for name, folds in record["members"].items()
    }
    return Ensemble(members, record["params"], record["findings"], settings.audit.max_megapixels)


def read_ensemble_record(folder: Path, command: str) -> tuple[dict[str, Any], TaskConfig]:
    """Read ensemble.json and its settings; DataError names the command of Tropho that writes it again."""
    record = read_json(folder / FILE)
    try:
        return record, TaskConfig.model_validate(record["settings"])
    except ValidationError:
        raise DataError(f"{folder} was written by another version of Tropho; run `tropho {command}` again.") from None
