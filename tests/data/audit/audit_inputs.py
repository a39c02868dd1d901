"""Small tables that tests of the audit share."""

import pandas as pd

COLUMNS = ["image_id", "path", "subset", "label", "status", "width", "height", "duplicate", "group"]


def images_of(*rows: dict) -> pd.DataFrame:
    """Usable training images 0, 1, ..., each its own group, unless a row says otherwise."""
    made = [{"image_id": f"{n}", "path": f"{n}", "subset": "train", "status": "ok", "group": f"{n}", **row}
            for n, row in enumerate(rows)]  # fmt: skip
    return pd.DataFrame(made, columns=COLUMNS)


def boxes_of(*rows: tuple) -> pd.DataFrame:
    """Boxes as (image_id, label, ignore)."""
    table = pd.DataFrame(rows, columns=["image_id", "label", "ignore"])
    return table.astype({"ignore": bool})
