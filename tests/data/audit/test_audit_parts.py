"""What the audit adds to the labels: sizes from a table, which boxes are shares, how likely slides are by chance."""

import numpy as np
import pandas as pd
import pytest

from tropho.data.audit import slides
from tropho.data.audit.run_audit import _add_sizes, _relative_boxes
from tropho.data.formats.labels import LABELLED_BOXES, LABELLED_IMAGES, Labels, table_of
from tropho.tables import ISSUES


def test_sizes_of_a_table_stand_in_where_the_labels_state_none(tmp_path):
    (tmp_path / "s.csv").write_text("image_id,width,height\na,10,20\na,1,1\nb,30,40\nd,5,\n")
    rows = [{"image_id": name, "path": name} for name in "acd"]
    rows.append({"image_id": "b", "path": "b", "stated_width": 7, "stated_height": 8})
    labelled = table_of(rows, LABELLED_IMAGES)
    found = _add_sizes(labelled, "s.csv", tmp_path)
    assert found["stated_width"].fillna(0).tolist() == [10, 0, 5, 7]
    assert found["stated_height"].fillna(0).tolist() == [20, 0, 0, 8]
    assert _add_sizes(labelled, None, tmp_path).equals(labelled)


@pytest.mark.parametrize(("form", "unit", "found"), [("boxes_csv", "shares", {"a"}), ("boxes_csv", "pixels", set()),
                                                     ("yolo", None, {"a", "b"})])  # fmt: skip
def test_boxes_in_shares_are_of_tables_of_shares_or_of_yolo(settings, form, unit, found):
    images = [{"image_id": name, "stated_width": 9 if name == "c" else None} for name in "abc"]
    boxes = [{"image_id": name, "label": "x", "file": f"{name == 'b'}.csv"} for name in "abc"]
    columns = {"False.csv": {"unit": unit}, "True.csv": {"unit": "pixels"}} if unit else {}
    tables = table_of(images, LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), table_of([], ISSUES)
    labels = Labels(*tables, ["x"], columns=columns)
    assert _relative_boxes(labels, settings("smear_demo", **{"audit.format": form}).audit) == found


def test_the_chance_that_images_without_slides_look_so(rng, monkeypatch):
    """The data are one of the ten data sets among which they rank: first with slides, anywhere without."""
    monkeypatch.setattr(slides, "NULL_SETS", 9)
    alone = rng.normal(size=(60, 4))
    together = np.repeat(rng.normal(0, 5, (15, 4)), 4, axis=0) + rng.normal(size=(60, 4))
    strata = np.zeros(60)
    assert slides._p_value(together, strata, rng) == pytest.approx(0.1)
    chances = [slides._p_value(rng.permuted(alone, axis=0), strata, rng) for _ in range(3)]
    assert max(chances) > 0.1
    assert all(pd.Series(chances).between(0.1, 1.0))
