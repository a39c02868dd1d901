"""Which judged images share a group or a picture with training."""

import pandas as pd

from tropho.evaluation.results_writer import find_leaks


def test_groups_and_duplicates_count_and_missing_ones_do_not():
    images = pd.DataFrame(
        {
            "image_id": list("abcdefg"),
            "group": ["p1", "p2", "p1", "p3", "p4", pd.NA, pd.NA],
            "duplicate": [pd.NA, "x", pd.NA, "x", pd.NA, pd.NA, pd.NA],
        },
        dtype="string",
    )
    assert find_leaks(images, ["c", "d", "e", "g"], ["a", "b", "f"]) == ["c", "d"]
    assert find_leaks(images, ["e", "g"], ["a", "b", "f"]) == []
    assert find_leaks(images, [], ["a"]) == []
