"""One class an image."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from tropho.boxes.tta import TtaView, view_images
from tropho.config.task_config import TaskConfig
from tropho.data.task_data import GroundTruth, ImageSizes
from tropho.errors import DataError
from tropho.images.augment.policies import build_policy
from tropho.images.cache import ImageCache
from tropho.models import build_model
from tropho.models.losses import mean_over_processes
from tropho.tasks.base import Batch
from tropho.tasks.classification_dataset import ClassificationDataset, Sample, no_boxes


class ClassificationTask:
    """See tasks.base.Task. The prediction table has image_id, label (the likeliest) and p_<class> columns."""

    score_name = "balanced_accuracy"

    def __init__(self, settings: TaskConfig, classes: list[str]) -> None:
        self.settings = settings
        self.classes = classes
        self.columns = [f"p_{name}" for name in classes]

    def fitted(self, truth: GroundTruth, sizes: ImageSizes) -> TaskConfig:
        """The settings as they are: no network here depends on the data before it learns."""
        return self.settings

    def strata(self, truth: GroundTruth) -> list[str]:
        """The label of each image."""
        return [str(label) for label in truth.images["label"]]

    def dataset(self, pack: ImageCache, truth: GroundTruth, train: bool) -> ClassificationDataset:
        """See base."""
        return ClassificationDataset(pack, truth, self.classes, self.settings, train)

    def sample(self, image: np.ndarray) -> Sample:
        """See base; the image is padded to a square."""
        policy = build_policy("none", self.settings.augment.image_size, boxed=False)
        padded, _, _ = policy(image, *no_boxes(), seed=0)
        return torch.from_numpy(padded).permute(2, 0, 1), -1, 1.0, 0

    def collate(self, samples: list[Sample]) -> Batch:
        """Stack the images (B, 3, size, size); targets are "label" (B,) int64 and "weight" (B,) float32."""
        images, labels, weights, index = zip(*samples, strict=True)
        targets = {"label": torch.tensor(labels), "weight": torch.tensor(weights, dtype=torch.float32)}
        return {"images": torch.stack(images), "targets": targets, "index": torch.tensor(index)}

    def model(self) -> nn.Module:
        """See base."""
        settings = self.settings
        return build_model(settings.model, settings.kind, len(self.classes), settings.augment.image_size)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy with label smoothing, averaged with the samples' weights."""
        targets = batch["targets"]
        each = functional.cross_entropy(
            model(batch["images"]).float(),
            targets["label"],
            label_smoothing=self.settings.train.label_smoothing,
            reduction="none",
        )
        return {"cross_entropy": (each * targets["weight"]).sum() / mean_over_processes(targets["weight"].sum())}

    def predict(self, model: nn.Module, batch: Batch, view: TtaView | None = None) -> list[dict[str, Tensor]]:
        """One {"probabilities": (C,)} an image."""
        logits = model(view_images(batch["images"], view or "identity"))
        return [{"probabilities": row} for row in logits.float().softmax(dim=1).cpu()]

    def to_table(self, outputs: list[dict[str, Tensor]], image_ids: list[str], pack: ImageSizes) -> pd.DataFrame:
        """See base; sizes don't matter here."""
        values = np.array([output["probabilities"].double().numpy() for output in outputs])
        return self._table(pd.Series(image_ids, dtype="string"), values.reshape(len(image_ids), len(self.classes)))

    def merge(self, tables: list[pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """Mean of the probabilities; what is fitted are members' weights, which don't matter here."""
        return self._mean(tables) if len(tables) > 1 else tables[0]

    def _mean(self, tables: list[pd.DataFrame], weights: list[float] | None = None) -> pd.DataFrame:
        """Weighted mean of the probabilities."""
        ids = tables[0]["image_id"]
        values = np.average([self.probabilities(table, ids) for table in tables], axis=0, weights=weights)
        return self._table(ids.reset_index(drop=True), values)

    def fuse(self, tables: dict[str, pd.DataFrame], fitted: dict[str, Any] | None = None) -> pd.DataFrame:
        """Mean of the probabilities with the members' weights."""
        fixed = {name: self.settings.predict.weight_of(name) for name in tables}
        weights = (fitted or {}).get("weights", fixed)
        return self._mean(list(tables.values()), [weights[name] for name in tables])

    def finish(
        self, predictions: pd.DataFrame, fitted: dict[str, Any] | None = None, ignored: pd.Series | None = None
    ) -> pd.DataFrame:
        """The probabilities at the fitted temperature; the likeliest class stays what it is."""
        from tropho.metrics.calibration import with_temperature

        temperature = (fitted or {}).get("temperature", 1.0)
        if temperature == 1.0:
            return predictions
        calibrated = predictions.copy()
        calibrated[self.columns] = with_temperature(predictions[self.columns].to_numpy(), temperature)
        return calibrated

    def score(self, truth: GroundTruth, predictions: pd.DataFrame) -> float:
        """Balanced accuracy: the mean of the recalls of the classes in the truth."""
        labels = truth.images["label"].to_numpy()
        right = self._rows(predictions, truth.images["image_id"])["label"].to_numpy() == labels
        present = sorted(truth.images["label"].dropna().unique())
        return float(np.mean([right[labels == name].mean() for name in present])) if present else float("nan")

    def submission(self, predictions: pd.DataFrame, image_ids: list[str]) -> pd.DataFrame:
        """image_id, label, and the probability of each class; all equal for an image that could not be predicted."""
        known = predictions.set_index("image_id")[self.columns].reindex(image_ids)
        values = known.fillna(1 / len(self.classes)).to_numpy()
        return self._table(pd.Series(image_ids, dtype="string"), values)

    def _rows(self, predictions: pd.DataFrame, image_ids: pd.Series) -> pd.DataFrame:
        """Order predictions as `image_ids`.

        Raises:
            DataError: an image has no prediction or several, or a prediction is of another image.
        """
        rows = predictions.set_index("image_id")
        missing, surplus = set(image_ids) - set(rows.index), set(rows.index) - set(image_ids)
        twice = set(rows.index[rows.index.duplicated()])
        for names, fault in ((missing, "without a prediction"), (surplus, "unknown"), (twice, "predicted twice")):
            if names:
                raise DataError(
                    f"Predictions and labels are of different images: {len(names):,} {fault}, such as "
                    f"'{min(names)}'; run `tropho evaluate {self.settings.name}`."
                )
        return rows.loc[image_ids]

    def probabilities(self, predictions: pd.DataFrame, image_ids: pd.Series) -> np.ndarray:
        """Return probabilities (N, C) of the images in the order of `image_ids`; see `_rows`."""
        values: np.ndarray = self._rows(predictions, image_ids)[self.columns].to_numpy()
        return values

    def _table(self, image_ids: pd.Series, values: np.ndarray) -> pd.DataFrame:
        labels = [self.classes[number] for number in values.argmax(axis=1)]
        table = pd.DataFrame({"image_id": image_ids, "label": pd.Series(labels, dtype="string")})
        return pd.concat([table, pd.DataFrame(values, columns=self.columns)], axis=1)
