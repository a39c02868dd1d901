"""The script that MLflow stores beside a model's weights and runs to load it ("models from code").

Unlike every other module it acts when it is run: MLflow reads the model from `set_model`.
"""

import base64
import binascii
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from tropho.errors import DataError
from tropho.images.decode import DECODING, Decoding, read_image


class Served(PythonModel):
    """A trained model that takes pictures as text and answers with rows of predictions."""

    def load_context(self, context: Any) -> None:
        """Load weights and settings from the folder stored with the model."""
        from tropho.predicting.predictor import load_predictor

        self.predictor = load_predictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Predictions for the column `image`, each a path or a base64 text of an image file.

        Returns:
            The predictor's rows, with `row` in front: the 0-based row of the input that each belongs to.

        Raises:
            DataError: the column is missing, or a cell is neither a path nor an image in base64.
        """
        if "image" not in model_input:
            raise DataError("The input has no column 'image' with paths or base64 texts of image files.")
        images = [pixels(str(cell), row, self.predictor.decoding) for row, cell in enumerate(model_input["image"])]
        tables = self.predictor.predict_images(images)
        numbered = [table.assign(row=row) for row, table in enumerate(tables)]
        together = pd.concat(numbered, ignore_index=True) if numbered else pd.DataFrame({"row": []})
        return together[["row", *[column for column in together if column != "row"]]]


def pixels(cell: str, row: int, decoding: Decoding = DECODING) -> np.ndarray:
    """A path or base64 text -> (H, W, 3) uint8 RGB."""
    if len(cell) < 4096 and Path(cell).is_file():
        return read_image(Path(cell), decoding=decoding)
    try:
        encoded = base64.b64decode(cell.partition("base64,")[2] or cell, validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"Row {row}: 'image' is neither a file here nor base64: {cell[:80]!r}.") from None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"row_{row}"
        file.write_bytes(encoded)
        return read_image(file, decoding=decoding)


set_model(Served())
