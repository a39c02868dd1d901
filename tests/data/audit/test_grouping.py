"""Groups of images by name, and the groups that links make."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropho.data.audit.grouping import (
    augmentation_sources,
    connected_ids,
    exact_duplicate_links,
    matched_shares,
    pattern_keys,
)
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
def test_pattern_keys_of_the_class_projects(pattern, image_id, key):
    assert list(pattern_keys(pd.Series([image_id]), pattern)) == [key]


def test_chest_project_has_this_pattern(settings):
    assert settings("chest_xray").audit.group_pattern == CHEST


def test_pattern_keys_are_empty_without_a_match():
    keys = pattern_keys(pd.Series(["person1_a.png", "IM-0001.png"]), "(person[0-9]+)_")
    assert keys.isna().tolist() == [False, True]
    assert pattern_keys(pd.Series(["a"]), None).isna().all()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "not a regular expression"),
        ("person", "needs a group"),
        ("(cat)", "matches no image"),
        ("(.*)", "that never is empty"),
        ("(person[0-9]+)?", "that never is empty"),
        ("person1([0-9]*)", "that never is empty"),
        ("()person", "that never is empty"),
        ("person1|(x)", "matches no image"),
    ],
)
def test_pattern_keys_refuse_useless_patterns(pattern, words):
    with pytest.raises(UsageError, match=words):
        pattern_keys(pd.Series(["person1_a.png"]), pattern)


def images_of(*rows: tuple[str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "label"], dtype="string")


def test_matched_shares_by_class():
    images = images_of(("person1_a", "P"), ("person2_a", "P"), ("IM-1", "N"), ("IM-2", "N"))
    no_boxes = images[:0]
    assert matched_shares(images, no_boxes, "(person[0-9]+)_") == {"N": 0.0, "P": 1.0, "all": 0.5}
    boxes = images_of(("person1_a", "cell"), ("person1_a", "cell"), ("IM-1", "cell"))
    unlabelled = images.assign(label=pd.NA)
    shares = matched_shares(unlabelled, boxes, "(person[0-9]+)_")
    assert shares == {"cell": 0.5, "no class": 0.5, "all": 0.5}


def test_augmentation_sources_of_roboflow_names():
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


def test_connected_ids_join_chains():
    names = list("dcbaxy")
    links = [("d", "c"), ("b", "c"), ("x", "y")]
    assert connected_ids(names, links) == {"a": "a", "b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}
    assert connected_ids(names, []) == {name: name for name in names}
    assert connected_ids([], []) == {}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.randoms())
def test_connected_ids_do_not_depend_on_order(links, random):
    names = [str(i) for i in range(10)]
    named = [(str(a), str(b)) for a, b in links]
    turned = [(b, a) for a, b in named]
    random.shuffle(turned)
    shuffled = random.sample(names, len(names))
    assert connected_ids(names, named) == connected_ids(shuffled, turned)


def test_exact_duplicate_links_skip_empty_keys():
    names = pd.Series(["c", "b", "a", "e", "d"])
    keys = pd.Series(["k", "k", "k", None, None], dtype="string")
    assert sorted(exact_duplicate_links(names, keys)) == [("a", "b"), ("a", "c")]
