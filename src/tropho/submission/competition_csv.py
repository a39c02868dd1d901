"""Read and write the competition's CSV (Zindi): `Image_ID,class,confidence,ymin,xmin,ymax,xmax`, absolute pixels."""

from pathlib import Path

import numpy as np
import pandas as pd

from tropho.errors import DataError
from tropho.tables import BOX, DETECTIONS, read_csv, write_table

COLUMNS = {
    "Image_ID": "image_id",
    "class": "label",
    "confidence": "score",
    "ymin": "ymin",
    "xmin": "xmin",
    "ymax": "ymax",
    "xmax": "xmax",
}
"""Names in tables.DETECTIONS of the competition's columns, in its order."""


def read_competition_csv(path: Path) -> pd.DataFrame:
    """Read ground truth or a submission as tables.DETECTIONS, in the order of the file.

    Raises:
        DataError: the file is absent, a folder or no CSV, a column is missing, or a cell is empty or no finite number.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a CSV file, such as one in it.")
    if not path.is_file():
        raise DataError(f"{path} is not there; check the path.")
    try:
        table = read_csv(path, {"Image_ID": "string", "class": "string"})
    except ValueError as error:  # an empty file, a wrong encoding, rows that no parser takes
        raise DataError(f"{path} can't be read as CSV: {error}.") from error
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise DataError(f"{path} has no column '{missing[0]}'; its header must be {','.join(COLUMNS)}.")
    table = table[list(COLUMNS)].rename(columns=COLUMNS)
    for column, name in COLUMNS.items():
        if name in {"score", *BOX}:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
        valid = np.isfinite(table[name]) if name in {"score", *BOX} else table[name].notna()
        if not valid.all():
            row = int(np.argmin(valid.to_numpy()))
            raise DataError(
                f"{path}, row {row + 2}: {column} is empty or not a finite number; "
                "`tropho check-submission` lists every such row."
            )
    return table[list(DETECTIONS)]


def competition_table(table: pd.DataFrame) -> pd.DataFrame:
    """Convert tables.DETECTIONS to the competition's columns, coordinates rounded to the nearest integer.

    Raises:
        DataError: a score or a coordinate is not finite, or a name is empty.
    """
    numbers = table[["score", *BOX]].to_numpy(np.float64)
    bad = ~np.isfinite(numbers).all(axis=1) | table[["image_id", "label"]].isna().any(axis=1).to_numpy()
    if bad.any():
        row = table.iloc[int(np.argmax(bad))]
        raise DataError(f"The detection {row.to_dict()} has an empty or infinite value; it can't be submitted.")
    out = table.rename(columns={name: column for column, name in COLUMNS.items()})[list(COLUMNS)].copy()
    for name in BOX:
        out[name] = np.rint(out[name].to_numpy(np.float64)).astype(np.int64)
    return out


def write_competition_csv(table: pd.DataFrame, path: Path) -> None:
    """Write `competition_table` of the detections; raise DataError as it does."""
    write_table(competition_table(table), path)
