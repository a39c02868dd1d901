"""Classification: one class an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.errors import DataError
from tropho.images.cache import ImageCache
from tropho.metrics.calibration import with_temperature
from tropho.tasks.base import Batch, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tropho.boxes.tta import TtaView
    from tropho.tasks.datasets import ClassificationDataset, LabelledSample


class ClassificationTask(Task):
    """Classification of whole images, padded to squares."""

    primary_metric = "balanced_accuracy"

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        self.settings = settings
        self.classes = classes
        self.columns = [f"p_{name}" for name in classes]

    def strata(self, gt: GroundTruth) -> list[str]:
        return [str(label) for label in gt.images["label"]]

    def build_dataset(self, cache: ImageCache, gt: GroundTruth, train: bool) -> ClassificationDataset:
        from tropho.tasks.datasets import ClassificationDataset

        return ClassificationDataset(cache, gt, self.classes, self.settings, train)

    def sample(self, image: np.ndarray) -> LabelledSample:
        import torch

        from tropho.images.augment.policies import letterbox

        padded, _ = letterbox(image, np.zeros((0, 4), np.float32), self.settings.augment.image_size)
        return torch.from_numpy(padded).permute(2, 0, 1), -1, 1.0, 0

    def collate(self, samples: list[LabelledSample]) -> Batch:
        import torch

        images, labels, weights, idx = zip(*samples, strict=True)
        targets = {"label": torch.tensor(labels), "weight": torch.tensor(weights, dtype=torch.float32)}
        return {"images": torch.stack(images), "targets": targets, "index": torch.tensor(idx)}

    def compute_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the cross-entropy with label smoothing: mean over the samples, by their weights."""
        from torch.nn import functional

        from tropho.models.heads import mean_over_processes

        logits = model(batch["images"]).float()
        targets = {name: value.to(logits.device, non_blocking=True) for name, value in batch["targets"].items()}
        loss = functional.cross_entropy(
            logits,
            targets["label"],
            label_smoothing=self.settings.train.label_smoothing,
            reduction="none",
        )  # (B,)
        return {"cross_entropy": (loss * targets["weight"]).sum() / mean_over_processes(targets["weight"].sum())}

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        from tropho.boxes.tta import view_images

        logits = model(view_images(batch["images"], view or "identity"))  # (B, C)
        return [{"probabilities": row} for row in logits.float().softmax(dim=1).cpu()]

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], sizes: ImageSizes) -> pd.DataFrame:
        values = np.array([np.asarray(output["probabilities"], np.float64) for output in outputs])
        return self._table(pd.Series(image_ids, dtype="string"), values.reshape(len(image_ids), len(self.classes)))

    def fuse_views(self, tables: list[pd.DataFrame], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Average the probabilities; `params` holds weights of members, which don't matter here."""
        return self._mean(tables) if len(tables) > 1 else tables[0]

    def fuse_members(self, tables: dict[str, list[pd.DataFrame]], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Average the probabilities with the weights of the members."""
        weights = {name: self.settings.predict.weight_of(name) for name in tables}
        weights = (params or {}).get("weights", weights)
        return self._mean([self.fuse_views(views) for views in tables.values()], [weights[name] for name in tables])

    def _mean(self, tables: list[pd.DataFrame], weights: list[float] | None = None) -> pd.DataFrame:
        ids = tables[0]["image_id"]
        values = np.average([self.probabilities(table, ids) for table in tables], axis=0, weights=weights)  # (N, C)
        return self._table(ids.reset_index(drop=True), values)

    def postprocess(
        self, raw: pd.DataFrame, params: dict[str, Any] | None = None, ignore_classes: pd.Series | None = None
    ) -> pd.DataFrame:
        """Scale the probabilities by the fitted "temperature"; the label stays."""
        temperature = (params or {}).get("temperature", 1.0)
        if temperature == 1.0:
            return raw
        calibrated = raw.copy()
        calibrated[self.columns] = with_temperature(raw[self.columns].to_numpy(), temperature)
        return calibrated

    def score(self, gt: GroundTruth, predictions: pd.DataFrame) -> float:
        """Compute the balanced accuracy: mean recall of the classes that `gt` holds."""
        labels = gt.images["label"].to_numpy()
        correct = self._rows(predictions, gt.images["image_id"])["label"].to_numpy() == labels
        present = sorted(gt.images["label"].dropna().unique())
        return float(np.mean([correct[labels == name].mean() for name in present])) if present else float("nan")

    def to_submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        known = predictions.set_index("image_id")[self.columns].reindex(image_ids)
        values = known.fillna(1 / len(self.classes)).to_numpy()
        return self._table(pd.Series(image_ids, dtype="string"), values)

    def probabilities(self, predictions: pd.DataFrame, image_ids: pd.Series) -> np.ndarray:
        """Extract probabilities (N, C) float64 in the order of `image_ids`.

        Raises:
            DataError: an image has no prediction or several, or a prediction is of another image.
        """
        return self._rows(predictions, image_ids)[self.columns].to_numpy()

    def _rows(self, predictions: pd.DataFrame, image_ids: pd.Series) -> pd.DataFrame:
        rows = predictions.set_index("image_id")
        missing, surplus = set(image_ids) - set(rows.index), set(rows.index) - set(image_ids)
        duplicated = set(rows.index[rows.index.duplicated()])
        for names, fault in ((missing, "without a prediction"), (surplus, "unknown"), (duplicated, "predicted twice")):
            if names:
                raise DataError(
                    f"Predictions and labels are of different images: {len(names):,} {fault}, such as "
                    f"'{min(names)}'; run `tropho evaluate {self.settings.name}`."
                )
        return rows.loc[image_ids]

    def _table(self, image_ids: pd.Series, values: np.ndarray) -> pd.DataFrame:
        """Build a prediction table from probabilities (N, C)."""
        labels = [self.classes[idx] for idx in values.argmax(axis=1)]
        table = pd.DataFrame({"image_id": image_ids, "label": pd.Series(labels, dtype="string")})
        return pd.concat([table, pd.DataFrame(values, columns=self.columns)], axis=1)
