"""What folds should have alike: amounts of each trait, and joint kinds that coarsen where they are rare."""

import numpy as np
import pandas as pd

from tropho.data.split.folds import OTHER, StratificationTargets, back_off, sizes_of, stratification_targets


def photos(widths, label=pd.NA) -> pd.DataFrame:
    ids = [f"i{number:03d}" for number in range(len(widths))]
    return pd.DataFrame({"image_id": ids, "width": widths, "height": 100, "label": label}, index=ids[::-1])


def boxes_of(counts: dict[str, list[int]]) -> pd.DataFrame:
    """`counts` holds for each class its number of boxes in each image."""
    rows = [(f"i{at:03d}", name) for name, each in counts.items() for at, n in enumerate(each) for _ in range(n)]
    return pd.DataFrame([*rows, ("elsewhere", "WBC")], columns=["image_id", "label"])


def test_amounts_of_photos_with_boxes():
    images = photos([100, 100, 200, 200])
    traits = stratification_targets(images, boxes_of({"WBC": [1, 0, 3, 0], "Trophozoite": [2, 0, 0, 0]}), 2)
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
    traits = stratification_targets(photos(widths), boxes_of({"WBC": wbc, "Trophozoite": [0] * 43 + [1]}), 3)
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
    traits = stratification_targets(photos([100] * 4, label=["a", "b", "b", pd.NA]), boxes_of({}), 1)
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
    uneven = StratificationTargets(amounts, np.full(4, "", dtype=object)).imbalance(np.array([0, 1, 1, 1]))
    assert list(uneven) == ["images", "boxes"]
    np.testing.assert_allclose(uneven.to_numpy(), [[-0.5, 0.5], [0.5, -0.5]], atol=1e-12)


def test_a_trait_of_just_as_many_images_as_parts_can_be_in_each():
    amounts = pd.DataFrame({"images": [1.0, 1.0, 1.0], "two": [4.0, 0.0, 1.0], "one": [0.0, 2.0, 0.0]})
    assert StratificationTargets(amounts, np.full(3, "", dtype=object)).is_splittable(2).tolist() == [True, True, False]


def test_a_resolution_of_just_a_twentieth_of_the_images_is_one_of_its_own():
    assert sizes_of(photos([100] * 38 + [200] * 2)).value_counts().to_dict() == {"100x100": 38, "200x100": 2}
    assert sizes_of(photos([100] * 39 + [200] * 2)).value_counts().to_dict() == {"100x100": 39, OTHER: 2}


def test_a_trait_that_no_image_has_is_none():
    traits = stratification_targets(photos([100, 100]), boxes_of({"WBC": [1, 2]}), 2)
    assert list(traits.amounts) == ["images", "WBC boxes"]


def test_regions_to_ignore_are_no_objects():
    boxes = boxes_of({"WBC": [2, 0], "Trophozoite": [0, 1]})
    boxes = boxes.assign(ignore=boxes["label"] == "Trophozoite")
    traits = stratification_targets(photos([100, 100]), boxes, 1)
    assert traits.amounts["WBC boxes"].tolist() == [2, 0]
    assert traits.amounts["images without boxes"].tolist() == [0, 1]
    assert "Trophozoite boxes" not in traits.amounts


def test_images_with_objects_are_told_apart_by_quarters_of_their_number():
    """Of 1, 2, ... 8 objects two images each fall into a quarter; images without any are one kind."""
    traits = stratification_targets(photos([100] * 10), boxes_of({"WBC": [*range(1, 9), 0, 0]}), 2)
    kinds = pd.factorize(traits.strata)[0]
    assert kinds.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
