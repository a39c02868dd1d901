"""What judged images share with those that a model was trained on."""

from collections.abc import Collection

import pandas as pd


def find_leaks(images: pd.DataFrame, judged: Collection[str], train: Collection[str]) -> list[str]:
    """The judged images whose group or duplicate is among the training images, in the order of `images`.

    Args:
        images: columns of tables.IMAGES.
        judged: image ids that are scored.
        train: image ids that were trained on.
    """
    mine, theirs = (images[images["image_id"].isin(ids)] for ids in (judged, train))
    known = [mine[column].isin(set(theirs[column].dropna())) for column in ("group", "duplicate")]
    return list(mine.loc[known[0] | known[1], "image_id"])
