"""Settings and tables that tests of the split share."""

import pandas as pd

from tropho.config.data_config import SplitConfig
from tropho.tables import BOXES, IMAGES, conform, empty

NO_BOXES = empty(BOXES)


def knobs(**changes) -> SplitConfig:
    standard = {
        "published_val": "merge",
        "n_folds": 5,
        "test_fraction": 0.2,
        "grouped": True,
        "test_overlap": "drop_duplicates",
        "seed": 0,
    }
    return SplitConfig(**{**standard, **changes})


def images_of(count: int, **columns) -> pd.DataFrame:
    """A table of `count` usable training images, each its own group, of two classes three to one."""
    ids = [f"i{number:04d}" for number in range(count)]
    plain = {
        "image_id": ids,
        "path": ids,
        "width": 100,
        "height": 80,
        "sha256": ids,
        "group": ids,
        "duplicate": pd.NA,
        "label": ["a" if number % 4 else "b" for number in range(count)],
        "subset": "train",
        "status": "ok",
    }
    return conform(pd.DataFrame({**plain, **columns}), IMAGES)
