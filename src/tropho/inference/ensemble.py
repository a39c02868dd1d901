"""All trained models of a task, as they predict an image file together: for `tropho predict` and the served model."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import ValidationError

from tropho.config.task_config import BASE, TaskConfig
from tropho.errors import DataError
from tropho.files import read_json
from tropho.images.decode import Decoding, read_image
from tropho.inference.fuse_members import postprocess_members, stack_members
from tropho.inference.predictor import CPU, Predictor, load_predictor
from tropho.tasks.base import Task

FILE = "ensemble.json"


@dataclass(frozen=True)
class Ensemble:
    """Every trained model of a task, with what finishes their predictions.

    Attributes:
        members: trained folds by member, the task's own model first.
        fitted: result of ensembles.fit_members; None skips every fitted step.
        findings: of audit.missing_labels, on classes that annotators left out of some images and that count as ignored.
        max_megapixels: larger images are not read.
    """

    members: dict[str, list[Predictor]]
    fitted: dict[str, Any] | None
    findings: list[dict[str, Any]]
    max_megapixels: float

    @property
    def task(self) -> Task:
        """That of the task's own model."""
        return self.members[BASE][0].task

    @property
    def decoding(self) -> Decoding:
        """How files become pixels."""
        return replace(self.members[BASE][0].decoding, max_megapixels=self.max_megapixels)

    def predict_file(self, file: Path, name: str) -> pd.DataFrame:
        """Predict one image file by every model.

        Args:
            file: an image of any size.
            name: becomes its image_id.

        Returns:
            The raw prediction table of each member, stacked (ensembles.stack_members).

        Raises:
            DataError: the file can't be read.
        """
        pixels = read_image(file, decoding=self.decoding)
        tables = {}
        for member, folds in self.members.items():
            found = [fold.predict_raw(pixels, name, self.fitted) for fold in folds]
            tables[member] = self.task.fuse_views(found, self.fitted)
        return stack_members(tables)

    def postprocess(self, tables: list[pd.DataFrame], ignore_classes: pd.Series | None) -> pd.DataFrame:
        """Fuse and post-process at least one table of `predict_file`; `ignore_classes` as for `Task.postprocess`."""
        return postprocess_members(self.task, pd.concat(tables, ignore_index=True), self.fitted, ignore_classes)


def ensemble_record(
    members: dict[str, list[str]],
    settings: TaskConfig,
    fitted: dict[str, Any] | None,
    findings: list[dict[str, Any]],
) -> dict[str, Any]:
    """Build what ensemble.json holds beside the models; `members` are the folders of their folds, below its own."""
    return {"members": members, "settings": settings.model_dump(), "fitted": fitted, "findings": findings}


def load_ensemble(folder: Path, device: torch.device = CPU) -> Ensemble:
    """Read ensemble.json and the models that it names; raise DataError where one is missing or of another version."""
    record = read_json(folder / FILE)
    try:
        settings = TaskConfig.model_validate(record["settings"])
    except ValidationError:
        raise DataError(f"{folder} was registered by another version of Tropho; run `tropho evaluate` again.") from None
    members = {
        name: [load_predictor(folder / each, device, settings) for each in folds]
        for name, folds in record["members"].items()
    }
    return Ensemble(members, record["fitted"], record["findings"], settings.audit.max_megapixels)
