"""What parts of a data set should have alike: images, labels, empty images, resolutions, and these jointly."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tropho.tables import join_names

COMMON = 1 / 20
"""Share of the images that makes a resolution one of its own."""
OTHER = "other sizes"
COUNT_BINS = 4


@dataclass(frozen=True)
class StratificationTargets:
    """What is kept even over parts.

    Attributes:
        amounts: (N, T) how much of each trait an image has, such as its boxes of a class; in words by column.
        strata: (N,) the joint kind of each image.
    """

    amounts: pd.DataFrame
    strata: np.ndarray

    def enough(self, parts: int) -> np.ndarray:
        """Whether as many images as there are parts, or more, have a trait, (T,) bool."""
        return ((self.amounts > 0).sum() >= parts).to_numpy()

    def unevenness(self, part: np.ndarray) -> pd.DataFrame:
        """By part and trait, how far the part's amount is from the mean over parts, as a share of that mean.

        StratificationTargets that can't be in every part are left out.
        """
        totals = self.amounts.loc[:, self.enough(len(np.unique(part)))].groupby(part).sum()
        return totals / totals.mean() - 1


def stratification_targets(images: pd.DataFrame, boxes: pd.DataFrame, parts: int) -> StratificationTargets:
    """The traits of images that are to be dealt into `parts`.

    An image's joint kind is the classes in it, its resolution and the quarter that its number of objects falls into.
    What fewer images share than there are parts is told more coarsely: first without the number, then without the
    resolution, at last not at all.

    Args:
        images: N rows, columns of tables.IMAGES.
        boxes: tables.BOXES; of other images too.
        parts: how many.
    """
    images, boxes = images.reset_index(drop=True), objects(boxes)
    sizes = sizes_of(images)
    if images["label"].notna().any():
        classes = images["label"].astype("object")
        amounts = pd.get_dummies(classes).add_suffix(" images")
        finest = []
    else:
        counts = pd.crosstab(boxes["image_id"], boxes["label"]).reindex(images["image_id"], fill_value=0)
        counts = counts.reset_index(drop=True)
        classes = _present(counts)
        amounts = counts.add_suffix(" boxes").assign(**{"images without boxes": counts.sum(axis=1) == 0})
        finest = [classes + " " + sizes + " " + _quarters(counts.sum(axis=1))]
    amounts = pd.DataFrame({"images": 1.0}, index=images.index).join(amounts.astype(np.float64))
    if sizes.nunique() > 1:
        by_size = pd.get_dummies(sizes).add_prefix("images of ").astype(np.float64)
        amounts = amounts.join(by_size.drop(columns=f"images of {OTHER}", errors="ignore"))
    amounts = amounts.loc[:, amounts.sum() > 0]
    return StratificationTargets(amounts, back_off([*finest, classes + " " + sizes, classes], parts))


def objects(boxes: pd.DataFrame) -> pd.DataFrame:
    """Leave out the regions that are to be ignored; what is left are objects."""
    return boxes[~boxes["ignore"]] if "ignore" in boxes else boxes


def sizes_of(images: pd.DataFrame) -> pd.Series:
    """Resolution of each image as "1920x1080", (N,); all those that few images have are one."""
    sizes = (images["width"].astype("string") + "x" + images["height"].astype("string")).astype("object")
    return sizes.where(sizes.map(sizes.value_counts()) >= len(images) * COMMON, OTHER)


def back_off(levels: list[pd.Series], least: int) -> np.ndarray:
    """The first name of each image that it shares with `least` images or more, (N,); "" where there is none.

    Args:
        levels: (N,) names each, the finest first. Images named by one are not counted by the next.
        least: how many images make a name.
    """
    names = np.full(len(levels[0]), "", dtype=object)
    for level in levels:
        left = names == ""
        common = left & (level.map(level[left].value_counts()) >= least).to_numpy()
        names[common] = level[common]
    return names


def _present(counts: pd.DataFrame) -> pd.Series:
    """Classes of each image as one name, see tables.join_names; from counts (N, C)."""
    names = counts.columns.to_numpy(dtype=object)
    return pd.Series(
        [join_names(names[row]) if row.any() else "nothing" for row in counts.to_numpy() > 0], dtype=object
    )


def _quarters(objects: pd.Series) -> pd.Series:
    """Which quarter of the images with objects each falls into by its number of them, as text, from "0".

    Images without objects are in the first.
    """
    some = objects[objects > 0]
    borders = np.quantile(some, np.arange(1, COUNT_BINS) / COUNT_BINS) if len(some) else []
    return pd.Series(np.searchsorted(borders, objects, side="left"), index=objects.index).astype(str).astype(object)
