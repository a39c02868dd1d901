"""Predict an image file with all members of an ensemble, and fuse their predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

if TYPE_CHECKING:
    import torch

FILE = "ensemble.json"

MemberTables = dict[str, list[pd.DataFrame]]
"""Raw prediction tables of the same images by member, each of one test-time view, or one of all views fused."""


def rows_of_images(tables: MemberTables, image_ids: Collection[str]) -> MemberTables:
    """Select the rows of these images."""
    return {
        name: [view[view["image_id"].isin(image_ids)].reset_index(drop=True) for view in views]
        for name, views in tables.items()
    }


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

    def predict_file(self, file: Path, name: str) -> MemberTables:
        """Predict one image file of any size with every model; views and folds are fused.

        Raises:
            DataError: the file can't be read.
        """
        pixels = read_image(file, decoding=self.decoding)
        tables = {}
        for member, folds in self.members.items():
            predictions = [fold.predict_raw(pixels, name, self.params) for fold in folds]
            tables[member] = [self.task.fuse_views(predictions, self.params)]
        return tables

    def postprocess(self, tables: list[MemberTables], ignore_classes: pd.Series | None) -> pd.DataFrame:
        """Fuse and post-process at least one result of `predict_file`; `ignore_classes` as for `Task.postprocess`."""
        joined = {name: [pd.concat([each[name][0] for each in tables], ignore_index=True)] for name in self.members}
        return self.task.postprocess(self.task.fuse_members(joined, self.params), self.params, ignore_classes)


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
