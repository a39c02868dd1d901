"""What folds should have alike: amounts of each trait, and joint kinds that coarsen where they are rare."""

import numpy as np
import pandas as pd

from tropho.splitting.traits import OTHER, Traits, back_off, sizes_of, traits_of


def photos(widths, label=pd.NA) -> pd.DataFrame:
    ids = [f"i{number:03d}" for number in range(len(widths))]
    return pd.DataFrame({"image_id": ids, "width": widths, "height": 100, "label": label}, index=ids[::-1])


def boxes_of(counts: dict[str, list[int]]) -> pd.DataFrame:
    """`counts` holds for each class its number of boxes in each image."""
    rows = [(f"i{at:03d}", name) for name, each in counts.items() for at, n in enumerate(each) for _ in range(n)]
    return pd.DataFrame([*rows, ("elsewhere", "WBC")], columns=["image_id", "label"])


def test_amounts_of_photos_with_boxes():
    images = photos([100, 100, 200, 200])
    traits = traits_of(images, boxes_of({"WBC": [1, 0, 3, 0], "Trophozoite": [2, 0, 0, 0]}), 2)
    assert {name: list(values) for name, values in traits.amounts.items()} == {
        "images": [1, 1, 1, 1],
        "Trophozoite boxes": [2, 0, 0, 0],
        "WBC boxes": [1, 0, 3, 0],
        "images without boxes": [0, 1, 0, 1],
        "images of 100x100": [1, 1, 0, 0],
        "images of 200x100": [0, 0, 1, 1],
    }


def test_kinds_are_told_as_finely_as_they_are_shared():
    # Ten images of each kind: few and many WBC at two sizes; three alike but for the size; one with both classes.
    widths = [100] * 20 + [200] * 20 + [100] * 2 + [200] + [100]
    wbc = [1] * 10 + [8] * 10 + [1] * 10 + [8] * 10 + [0] * 3 + [1]
    traits = traits_of(photos(widths), boxes_of({"WBC": wbc, "Trophozoite": [0] * 43 + [1]}), 3)
    kinds = pd.Series(traits.strata)
    assert kinds[:40].nunique() == 4
    assert all(kinds[start : start + 9].nunique() == 1 for start in range(0, 40, 10))
    assert list(kinds[40:]) == ["nothing", "nothing", "nothing", ""]


def test_back_off_drops_the_finest_part_first():
    levels = [["a big 1", "a big 2", "a big 2", "b big 1"], ["a big", "a big", "a big", "b big"], ["a", "a", "a", "b"]]
    levels = [pd.Series(level, dtype=object) for level in levels]
    assert list(back_off(levels, 1)) == ["a big 1", "a big 2", "a big 2", "b big 1"]
    assert list(back_off(levels, 2)) == ["", "a big 2", "a big 2", ""]
    assert list(back_off(levels, 3)) == ["a big", "a big", "a big", ""]
    assert list(back_off(levels, 4)) == [""] * 4


def test_images_with_a_class_each():
    traits = traits_of(photos([100] * 4, label=["a", "b", "b", pd.NA]), boxes_of({}), 1)
    assert list(traits.amounts) == ["images", "a images", "b images"]
    assert traits.amounts.sum().tolist() == [4, 1, 2]
    assert list(traits.strata) == ["a 100x100", "b 100x100", "b 100x100", ""]


def test_rare_resolutions_are_one():
    sizes = sizes_of(photos([100] * 30 + [200] * 2 + [300, pd.NA]))
    assert sizes.value_counts().to_dict() == {"100x100": 30, "200x100": 2, OTHER: 2}


def test_unevenness_by_hand_leaves_out_what_can_not_be_everywhere():
    amounts = pd.DataFrame(
        {"images": [1.0, 1.0, 1.0, 1.0], "boxes": [6.0, 1.0, 1.0, 0.0], "rare": [0.0, 0.0, 0.0, 9.0]}
    )
    uneven = Traits(amounts, np.full(4, "", dtype=object)).unevenness(np.array([0, 1, 1, 1]))
    assert list(uneven) == ["images", "boxes"]
    np.testing.assert_allclose(uneven.to_numpy(), [[-0.5, 0.5], [0.5, -0.5]], atol=1e-12)
