"""What the numbers of a box table mean: at the edges of what counts as pixels, shares, inside."""

import numpy as np
import pytest

from tropho.data.formats.box_units import find_list_form, find_sized_form, find_unit, fit_fraction, to_corners
from tropho.errors import DataError

SHARE, PIXEL, WHOLE = [0.1, 0.2, 0.5, 1.0], [1, 2, 30, 40], [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("rows", "unit", "wrong"),
    [
        ([[-1.5, 0.5, 1.5, 1]], "shares", [False]),
        ([[0.5, 0.5, 0.5, 1.51]], "pixels", [False]),
        ([[0, 0, 0.5, -1.51]], "pixels", [False]),
        ([WHOLE, [1, 1, 1, 1]], "pixels", [False, False]),
        ([WHOLE, SHARE], "shares", [False, False]),
        ([SHARE] * 10 + [PIXEL], "shares", [False] * 10 + [True]),
        ([PIXEL] * 10 + [SHARE], "pixels", [False] * 11),
    ],
)
def test_find_unit_and_wrong_rows(rows, unit, wrong):
    found, bad = find_unit(np.array(rows, float), "t.csv")
    assert (found, bad.tolist()) == (unit, wrong)


@pytest.mark.parametrize("rows", [[SHARE] * 9 + [PIXEL], [PIXEL] * 9 + [SHARE]])
def test_find_unit_refuses_mixed_units(rows):
    with pytest.raises(DataError, match="write all of them in one unit"):
        find_unit(np.array(rows, float), "t.csv")


@pytest.mark.parametrize(
    ("form", "corners"), [("corners", [10, 20, 4, 6]), ("xywh", [10, 20, 14, 26]), ("cxcywh", [8, 17, 12, 23])]
)
def test_to_corners_by_hand(form, corners):
    assert to_corners(np.array([[10.0, 20, 4, 6]]), form).tolist() == [corners]


@pytest.mark.parametrize(
    ("box", "unit", "fits"),
    [
        ((0, 0, 100, 50), "pixels", 1),
        ((-1.5, -1.5, 101.5, 51.5), "pixels", 1),
        ((-1.6, 0, 100, 50), "pixels", 0),
        ((0, -1.6, 100, 50), "pixels", 0),
        ((0, 0, 101.6, 50), "pixels", 0),
        ((0, 0, 100, 51.6), "pixels", 0),
        ((10, 10, 10, 20), "pixels", 0),
        ((10, 10, 20, 10), "pixels", 0),
        ((-0.005, 0, 100.005, 50), "shares", 1),
        ((-0.006, 0, 100, 50), "shares", 0),
        ((0, 0, 100.006, 50), "shares", 0),
    ],
)
def test_fit_fraction_tolerance(box, unit, fits):
    assert fit_fraction(np.array([box], float), "corners", np.array([[100.0, 50.0]]), unit) == fits


def test_fit_fraction_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 200, 10], [5, 5, 5, 9], [0, 0, 1, 1]], float)
    assert fit_fraction(boxes, "corners", np.full((4, 2), 100.0), "pixels") == 0.5
    assert fit_fraction(boxes, "corners", np.full((4, 2), np.inf), "pixels") == 0.75


CORNERS = [60.0, 60, 90, 90]  # no corner and size: that would end at 150
EITHER = [5.0, 5, 20, 20]
SIZED = [60.0, 60, 30, 30]  # no corners: they would be the wrong way round


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        ([CORNERS], "corners"),
        ([SIZED], "xywh"),
        ([CORNERS] + [EITHER] * 99, "corners"),
        ([CORNERS] * 19 + [[60.0, 60, 30, 99]], "corners"),  # 95 % fit as corners and none as a corner and a size
        ([CORNERS] * 6 + [EITHER] * 13 + [SIZED], "corners"),  # 95 % against 70 %
    ],
)
def test_find_list_form_that_fits(boxes, form):
    assert find_list_form(np.array(boxes), np.full((len(boxes), 2), 100.0), "pixels") == form


@pytest.mark.parametrize(
    "boxes",
    [
        [EITHER],
        [CORNERS] * 18 + [[60.0, 60, 30, 99]],  # 94.7 % fit
        [CORNERS] * 5 + [EITHER] * 14 + [SIZED],  # 95 % against 75 %
        [CORNERS, SIZED],
    ],
)
def test_find_list_form_refuses_ambiguity(boxes):
    with pytest.raises(DataError, match=r"is unclear how .*% of the boxes fit as"):
        find_list_form(np.array(boxes), np.full((len(boxes), 2), 100.0), "pixels")


def test_find_list_form_centres_among_shares_only():
    centre = np.array([[0.9, 0.5, 0.2, 0.9], [0.5, 0.5, 0.2, 0.2]])
    assert find_list_form(centre, np.ones((2, 2)), "shares") == "cxcywh"
    with pytest.raises(DataError, match="fit as"):
        find_list_form(centre * 100, np.full((2, 2), 100.0), "pixels")


@pytest.mark.parametrize(
    ("box", "unit", "form"),
    [
        ((0.9, 0.9, 0.2, 0.2), "shares", "cxcywh"),
        ((0.1, 0.1, 0.8, 0.8), "shares", "xywh"),
        ((0.9, 0.9, 0.9, 0.9), "shares", "xywh"),
        ((10, 10, 80, 80), "pixels", "xywh"),
        ((50, 50, 20, 20), "pixels", "xywh"),
        ((90, 90, 90, 90), "pixels", "xywh"),
    ],
)
def test_find_sized_form_corner_or_centre(box, unit, form):
    sizes = np.full((1, 2), 100.0 if unit == "pixels" else 1.0)
    assert find_sized_form(np.array([box], float), sizes, unit) == form


@pytest.mark.parametrize(("box", "unit"), [((0.5, 0.5, 0.2, 0.2), "shares"), ((90, 90, 20, 20), "pixels")])
def test_find_sized_form_refuses_ambiguity(box, unit):
    sizes = np.full((1, 2), 100.0 if unit == "pixels" else 1.0)
    with pytest.raises(DataError, match="upper left corner or its centre"):
        find_sized_form(np.array([box], float), sizes, unit)
