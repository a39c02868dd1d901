"""Groups from names, joined with groups from content."""

import pandas as pd
import pytest

from tropho.audit.grouping import pattern_keys
from tropho.errors import UsageError

CELLS = "(C[0-9]+[A-Z0-9]*?)_?[Tt]hin"


@pytest.mark.parametrize(
    ("pattern", "image_id", "key"),
    [
        (CELLS, "Uninfected/C33P1thinF_IMG_20150619_121411a_cell_102.png", "C33P1"),
        (CELLS, "Uninfected/C37BP2_thinF_IMG_20150620_133111a_cell_16.png", "C37BP2"),
        (CELLS, "Parasitized/ParasitizedC63P24N_ThinF_IMG_20150818_142948_cell_162.png", "C63P24N"),
        (CELLS, "Uninfected/C222ThinF_IMG_20151115_151015_cell_75.png", "C222"),
        ("[A-Z]+-([0-9]+)-[0-9]+", "train/CNV/CNV-1016042-1.jpeg", "1016042"),
        ("(person[0-9]+)_", "train/PNEUMONIA/person1000_bacteria_2931.jpeg", "person1000"),
    ],
)
def test_patterns_of_the_projects(pattern, image_id, key):
    assert list(pattern_keys(pd.Series([image_id]), pattern)) == [key]


def test_what_does_not_match_has_no_key():
    keys = pattern_keys(pd.Series(["person1_a.png", "IM-0001.png"]), "(person[0-9]+)_")
    assert keys.isna().tolist() == [False, True]
    assert pattern_keys(pd.Series(["a"]), None).isna().all()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(", "not a regular expression"), ("person", "needs a group"), ("(cat)", "matches no image")],
)
def test_useless_patterns_are_refused(pattern, words):
    with pytest.raises(UsageError, match=words):
        pattern_keys(pd.Series(["person1_a.png"]), pattern)
