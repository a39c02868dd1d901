"""Boxes end in the upright frame whatever frame and size they were drawn in, or are not used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.data.audit.box_frames import resolve_box_frames
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.formats.labels import LABELLED_BOXES, LABELLED_IMAGES, IssueLog, table_of
from tropho.orientation import STORED, UPRIGHT, turn_boxes
from tropho.tables import BOX


def settled(size, orientation, boxes, stated=None, shares=False, subset="train"):
    """Boxes, status and kinds of issue of one image whose upright picture has this size."""
    row = {"image_id": "a", "path": "a.jpg", "subset": subset, "status": "ok"}
    if stated:
        row |= {"stated_width": stated[0], "stated_height": stated[1]}
    rows = [{"image_id": "a", "label": "cell", **dict(zip(BOX, box, strict=True))} for box in boxes]
    log = IssueLog()
    look = ImageInfo("a.jpg", "", width=size[0], height=size[1], orientation=orientation)
    images, found, _ = resolve_box_frames(
        table_of([row], LABELLED_IMAGES), table_of(rows, LABELLED_BOXES), {"a.jpg": look}, log, {"a"} if shares else ()
    )
    return found[BOX].to_numpy("float64"), images["status"].iloc[0], [each["kind"] for each in log.rows]


@given(
    orientation=st.sampled_from([5, 6, 7, 8]),
    size=st.tuples(st.integers(20, 90), st.integers(110, 200)),
    corner=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    frame=st.sampled_from(["stored", "upright"]),
    scale=st.sampled_from([1, 2]),
    shares=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_stated_frame_comes_out_upright(orientation, size, corner, frame, scale, shares) -> None:
    width, height = size
    right = np.array([[corner[0] * width, corner[1] * height, (corner[0] + 0.4) * width, (corner[1] + 0.4) * height]])
    drawn, stated = right, (width * scale, height * scale)
    if frame == "stored":
        drawn, stated = turn_boxes(right, STORED[orientation], *size), (height * scale, width * scale)
    if shares:  # as a reader takes them: of the upright picture, though they were meant of the stored one
        own = (height, width) if frame == "stored" else size
        drawn = drawn / np.tile(own, 2) * np.tile(size, 2)
    else:
        drawn = drawn * scale
    found, status, kinds = settled(size, orientation, drawn, stated, shares)
    np.testing.assert_allclose(found, right, atol=1e-6)
    assert status == "ok"
    assert kinds == (["turned_boxes"] if frame == "stored" else ["scaled_boxes"] if scale > 1 and not shares else [])


def test_shares_of_a_picture_fit_any_frame_and_so_tell_none() -> None:
    low = [[10, 120, 30, 140]]  # only the upright picture is so high
    assert settled((96, 160), 6, low)[1:] == ("ok", [])
    assert settled((96, 160), 6, low, shares=True)[1:] == ("unlabelled", ["unknown_frame"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_have_their_way_back(orientation) -> None:
    box = np.array([[3.0, 5.0, 20.0, 11.0]])
    swapped = orientation > 4
    stored = turn_boxes(box, STORED[orientation], 60, 40)
    np.testing.assert_allclose(turn_boxes(stored, UPRIGHT[orientation], *((40, 60) if swapped else (60, 40))), box)


def test_sizes_of_nothing_state_nothing() -> None:
    assert settled((60, 40), 1, [[1, 2, 3, 4]], stated=(0, 0))[1:] == ("ok", [])


def test_a_box_just_over_the_edge_does_not_tell_the_frame() -> None:
    """3 pixels over an upright picture of 96 x 160 are a slip, 30 are another frame."""
    assert settled((96, 160), 6, [[70, 10, 99, 30]])[2] == ["unknown_frame"]
    assert settled((96, 160), 6, [[100, 10, 130, 30]])[2] == ["turned_boxes"]
