"""Serve a task's models by MLflow, which stores this script beside their weights and runs it ("models from code")."""

import base64
import binascii
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from tropho.errors import DataError


class EnsembleModel(PythonModel):
    """MLflow model that predicts images given as text, as `tropho predict` does, without rounding."""

    def load_context(self, context: Any) -> None:
        """Load the models, onto the GPU if there is one."""
        from tropho.inference.ensemble import load_ensemble
        from tropho.inference.predictor import best_device

        self.ensemble = load_ensemble(Path(context.artifacts["model"]), best_device())

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predict the images of the column `image`, each a path or a base64 text of an image file.

        Returns:
            Post-processed prediction table, with `row`, the 0-based row of the input, instead of image_id.

        Raises:
            DataError: the column is missing, or a cell is neither a path nor an image in base64.
        """
        from tropho.data.audit.missing_labels import ignored_in

        if "image" not in model_input:
            raise DataError("The input has no column 'image' with paths or base64 texts of image files.")
        if model_input.empty:
            return pd.DataFrame({"row": []})
        with tempfile.TemporaryDirectory() as folder:
            files = {str(row): file_of(str(cell), row, Path(folder)) for row, cell in enumerate(model_input["image"])}
            tables = [self.ensemble.predict_file(file, name) for name, file in files.items()]
            predictions = self.ensemble.postprocess(tables, ignored_in(files, self.ensemble.findings))
        predictions.insert(0, "row", predictions["image_id"].astype("int64"))
        return predictions.drop(columns="image_id").sort_values("row", kind="stable", ignore_index=True)


def file_of(cell: str, row: int, folder: Path) -> Path:
    """Return the image file that a cell names, or write the one that it holds as base64 text into `folder`."""
    if os.path.isfile(cell):  # noqa: PTH113 - Path.is_file raises where a text is too long for a name
        return Path(cell)
    try:
        encoded = base64.b64decode(cell.partition("base64,")[2] or cell, validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"Row {row}: 'image' is neither a file here nor base64: {cell[:80]!r}.") from None
    file = folder / f"row_{row}"
    file.write_bytes(encoded)
    return file


set_model(EnsembleModel())
