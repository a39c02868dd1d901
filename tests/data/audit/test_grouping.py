"""Groups from names, joined with groups from content."""

import pandas as pd
import pytest

from tropho.data.audit.grouping import augmentation_sources, matched_shares, pattern_keys
from tropho.errors import UsageError

CHEST = "(person[0-9]+)_|(NORMAL2-IM-[0-9]+)-|(IM-[0-9]+)-"
CELLS = "(C[0-9]+[A-Z0-9]*?)_?[Tt]hin"


@pytest.mark.parametrize(
    ("pattern", "image_id", "key"),
    [
        (CELLS, "Uninfected/C33P1thinF_IMG_20150619_121411a_cell_102.png", "C33P1"),
        (CELLS, "Uninfected/C37BP2_thinF_IMG_20150620_133111a_cell_16.png", "C37BP2"),
        (CELLS, "Parasitized/ParasitizedC63P24N_ThinF_IMG_20150818_142948_cell_162.png", "C63P24N"),
        (CELLS, "Uninfected/C222ThinF_IMG_20151115_151015_cell_75.png", "C222"),
        ("[A-Z]+-([0-9]+)-[0-9]+", "train/CNV/CNV-1016042-1.jpeg", "1016042"),
        (CHEST, "train/PNEUMONIA/person1000_bacteria_2931.jpeg", "person1000"),
        (CHEST, "train/NORMAL/IM-0115-0001.jpeg", "IM-0115"),
        (CHEST, "train/NORMAL/NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-0115"),
        (CHEST, "test/NORMAL/NORMAL2-IM-1385-0001_jpeg.rf.0123456789abcdef0123456789abcdef.jpg", "NORMAL2-IM-1385"),
    ],
)
def test_patterns_of_the_projects(pattern, image_id, key):
    assert list(pattern_keys(pd.Series([image_id]), pattern)) == [key]


def test_the_chest_project_has_this_pattern(settings):
    assert settings("chest_xray").audit.group_pattern == CHEST


def test_what_does_not_match_has_no_key():
    keys = pattern_keys(pd.Series(["person1_a.png", "IM-0001.png"]), "(person[0-9]+)_")
    assert keys.isna().tolist() == [False, True]
    assert pattern_keys(pd.Series(["a"]), None).isna().all()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "not a regular expression"),
        ("person", "needs a group"),
        ("(cat)", "matches no image"),
        ("(.*)", "matches the empty string"),
        ("(person[0-9]+)?", "matches the empty string"),
        ("person1([0-9]*)", "finds an empty name in 'person1_a.png'"),
        ("()person", "finds an empty name"),
        ("person1|(x)", "matches no image"),
    ],
)
def test_useless_patterns_are_refused(pattern, words):
    with pytest.raises(UsageError, match=words):
        pattern_keys(pd.Series(["person1_a.png"]), pattern)


def images_of(*rows: tuple[str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "label"], dtype="string")


def test_shares_by_class_say_what_a_pattern_leaves_out():
    images = images_of(("person1_a", "P"), ("person2_a", "P"), ("IM-1", "N"), ("IM-2", "N"))
    no_boxes = images[:0]
    assert matched_shares(images, no_boxes, "(person[0-9]+)_") == {"N": 0.0, "P": 1.0, "all": 0.5}
    boxes = images_of(("person1_a", "cell"), ("person1_a", "cell"), ("IM-1", "cell"))
    unlabelled = images.assign(label=pd.NA)
    shares = matched_shares(unlabelled, boxes, "(person[0-9]+)_")
    assert shares == {"cell": 0.5, "no class": 0.5, "all": 0.5}


def test_copies_by_roboflow_are_of_one_picture():
    first, second = "0123456789abcdef" * 2, "fedcba9876543210" * 2
    images = images_of(
        (f"train/a/x_jpg.rf.{first}.jpg", "a"),
        (f"test/a/x_jpg.rf.{second}.jpg", "a"),
        (f"train/b/x_jpg.rf.{first}.jpg", "b"),
        ("train/a/x.jpg", "a"),
        ("train/a/x_jpg.rf.short.jpg", "a"),
    )
    keys = augmentation_sources(images)
    assert keys.isna().tolist() == [False, False, False, True, True]
    assert keys[0] == keys[1] != keys[2]
