"""A table of image sizes, for images whose files are not here."""

from pathlib import Path

import pandas as pd

from tropho.errors import DataError
from tropho.tables import read_csv


def read_sizes(path: Path) -> pd.DataFrame:
    """Read a CSV with the columns image_id, width and height.

    Raises:
        DataError: the file is no such table, a column stands there twice, or a size is no number; it names the row.
    """
    columns = ["image_id", "width", "height"]
    try:
        table = read_csv(path, {"image_id": "string"})[columns]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is no table with the columns {', '.join(columns)}: {error}.") from error
    for side in ("width", "height"):
        number = pd.to_numeric(table[side], errors="coerce")
        if (wrong := number.isna() & table[side].notna()).any():
            row = int(wrong.to_numpy().argmax())
            raise DataError(
                f"{path}, row {row + 2}: {side} '{table[side].iloc[row]}' is no number; write 12.5, not 12,5."
            )
        table[side] = number
    return table
