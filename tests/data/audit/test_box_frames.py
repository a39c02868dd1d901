"""Boxes end in the upright frame whatever frame and size they were drawn in, or are not used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.data.audit.box_repairs import resolve_box_frames
from tropho.data.audit.inspect_images import ImageInfo
from tropho.data.formats.label_collector import LABELLED_BOXES, LABELLED_IMAGES, IssueLog, table_of
from tropho.orientation import STORED, UPRIGHT, turn_boxes
from tropho.tables import BOX


def settled(size, orientation, boxes, stated=None, shares=False, subset="train"):
    """Boxes, status and kinds of issue of one image whose upright picture has this size."""
    row = {"image_id": "a", "path": "a.jpg", "subset": subset, "status": "ok"}
    if stated:
        row |= {"stated_width": stated[0], "stated_height": stated[1]}
    rows = [{"image_id": "a", "label": "cell", **dict(zip(BOX, box, strict=True))} for box in boxes]
    log = IssueLog()
    info = ImageInfo("a.jpg", "", width=size[0], height=size[1], orientation=orientation)
    images, upright, _ = resolve_box_frames(
        table_of([row], LABELLED_IMAGES), table_of(rows, LABELLED_BOXES), {"a.jpg": info}, log, {"a"} if shares else ()
    )
    return upright[BOX].to_numpy("float64"), images["status"].iloc[0], [each["kind"] for each in log.rows]


@given(
    orientation=st.sampled_from([5, 6, 7, 8]),
    size=st.tuples(st.integers(20, 90), st.integers(110, 200)),
    corner=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    frame=st.sampled_from(["stored", "upright"]),
    scale=st.sampled_from([1, 2]),
    shares=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_resolve_box_frames_from_any_stated_frame(orientation, size, corner, frame, scale, shares) -> None:
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
    upright, status, kinds = settled(size, orientation, drawn, stated, shares)
    np.testing.assert_allclose(upright, right, atol=1e-6)
    assert status == "ok"
    assert kinds == (["turned_boxes"] if frame == "stored" else ["scaled_boxes"] if scale > 1 and not shares else [])


def test_relative_boxes_do_not_tell_the_frame() -> None:
    low = [[10, 120, 30, 140]]  # only the upright picture is so high
    assert settled((96, 160), 6, low)[1:] == ("ok", [])
    assert settled((96, 160), 6, low, shares=True)[1:] == ("unlabelled", ["unknown_frame"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turn_boxes_inverts(orientation) -> None:
    box = np.array([[3.0, 5.0, 20.0, 11.0]])
    swapped = orientation > 4
    stored = turn_boxes(box, STORED[orientation], 60, 40)
    np.testing.assert_allclose(turn_boxes(stored, UPRIGHT[orientation], *((40, 60) if swapped else (60, 40))), box)


def test_stated_sizes_of_zero_are_ignored() -> None:
    assert settled((60, 40), 1, [[1, 2, 3, 4]], stated=(0, 0))[1:] == ("ok", [])


def test_small_overhang_does_not_tell_the_frame() -> None:
    """3 pixels over an upright picture of 96 x 160 are a slip, 30 are another frame."""
    assert settled((96, 160), 6, [[70, 10, 99, 30]])[2] == ["unknown_frame"]
    assert settled((96, 160), 6, [[100, 10, 130, 30]])[2] == ["turned_boxes"]


def resolved(*photos: dict):
    """Boxes by image, statuses and kinds of issue; a photo is upright 96 x 160 and turned unless it says otherwise."""
    rows, boxes, infos, shares, log = [], [], {}, set(), IssueLog()
    for number, photo in enumerate(photos):
        name, stated = f"{number}", photo.get("stated", (None, None))
        row = {"image_id": name, "path": name, "subset": "train", "status": photo.get("status", "ok")}
        rows.append(row | {"stated_width": stated[0], "stated_height": stated[1]})
        held = [photo["box"]] if "box" in photo else []
        boxes += [{"image_id": name, "label": "x", **dict(zip(BOX, box, strict=True))} for box in held]
        width, height = photo.get("size", (96, 160))
        infos[name] = ImageInfo(name, "", photo.get("fault", ""), width, height, orientation=photo.get("turn", 6))
        shares |= {name} if photo.get("shares") else set()
    images, upright, frame = resolve_box_frames(
        table_of(rows, LABELLED_IMAGES), table_of(boxes, LABELLED_BOXES), infos, log, shares
    )
    corners = [tuple(np.round(values, 4)) for values in upright[BOX].to_numpy("float64")]
    return corners, list(images["status"]), [each["kind"] for each in log.rows], frame


@pytest.mark.parametrize(
    ("box", "frame"),
    [
        ((0, 0, 100.8, 20), None),  # 4.8 over the upright width is a twentieth of it, no more
        ((0, 0, 100.9, 20), "stored"),
        ((0, 0, 161, 97), "stored"),  # 1 over each edge is rounding
        ((0, 0, 161.1, 97), None),
        ((0, 0, 161, 97.1), None),
        ((0, 0, 20, 100.8), None),
        ((0, 0, 20, 100.9), "upright"),
        ((0, 0, 97, 161), "upright"),
        ((0, 0, 97.1, 161), None),
        ((0, 0, 20, 20), None),
        ((0, 0, 150, 150), None),
    ],
)
def test_box_that_fits_one_frame_tells_it(box, frame):
    corners, status, kinds, common = resolved({"box": box})
    assert common == frame
    assert status == ["ok" if frame else "unlabelled"]
    assert kinds == {None: ["unknown_frame"], "stored": ["turned_boxes"], "upright": []}[frame]
    assert (corners == [box]) == (frame != "stored")


def test_other_photos_decide_where_they_agree():
    stored, upright, neither = ({"box": box} for box in ((0, 0, 130, 20), (0, 0, 20, 130), (10, 20, 30, 60)))
    corners, status, kinds, frame = resolved(stored, neither)
    assert (status, kinds, frame) == (["ok", "ok"], ["turned_boxes"] * 2, "stored")
    assert corners[1] == (96 - 60, 10, 96 - 20, 30)  # turned by a quarter to the right
    assert resolved(upright, neither)[1:] == (["ok", "ok"], [], "upright")
    assert resolved(stored, upright, neither)[1] == ["ok", "ok", "unlabelled"]
    assert resolved(stored, {**neither, "turn": 1})[2] == ["turned_boxes"]


@pytest.mark.parametrize(
    ("photo", "kinds", "box"),
    [
        ({"stated": (160, 96), "box": (10, 20, 30, 60)}, ["turned_boxes"], (36, 10, 76, 30)),
        ({"stated": (96, 160), "box": (10, 20, 30, 60)}, [], (10, 20, 30, 60)),
        ({"stated": (320, 192), "box": (20, 40, 60, 120)}, ["turned_boxes"], (36, 10, 76, 30)),
        ({"stated": (192, 320), "box": (20, 40, 60, 120)}, ["scaled_boxes"], (10, 20, 30, 60)),
        ({"stated": (500, 20), "box": (1, 2, 3, 4)}, ["size_mismatch"], (1, 2, 3, 4)),
        ({"stated": (50, 50), "size": (60, 60), "box": (5, 10, 20, 30)}, ["unknown_frame"], (5, 10, 20, 30)),
        ({"turn": 1, "stated": (1, 1), "size": (60, 60), "box": (0, 0, 1, 0.5)}, ["scaled_boxes"], (0, 0, 60, 30)),
        ({"turn": 1, "stated": (30, 21), "size": (60, 40), "box": (3, 0, 6, 21)}, ["scaled_boxes"], (6, 0, 12, 40)),
        ({"turn": 1, "stated": (29, 20), "size": (60, 40), "box": (0, 0, 29, 1)}, ["scaled_boxes"], (0, 0, 60, 2)),
        ({"turn": 1, "stated": (30, 22), "size": (60, 40), "box": (3, 0, 6, 22)}, ["size_mismatch"], (3, 0, 6, 22)),
        ({"turn": 1, "stated": (30, 20), "size": (60, 40), "box": (0, 0, 31, 21)}, ["scaled_boxes"], (0, 0, 62, 42)),
        ({"turn": 1, "stated": (30, 20), "size": (60, 40), "box": (0, 0, 31.1, 2)}, ["size_mismatch"], (0, 0, 31.1, 2)),
        ({"turn": 1, "stated": (60, 40), "size": (60, 40), "box": (0, 0, 70, 2)}, [], (0, 0, 70, 2)),
        ({"turn": 1, "stated": (30, 20), "size": (60, 40), "box": (0, 0, 60, 40), "shares": True}, [], (0, 0, 60, 40)),
        ({"turn": 1, "stated": (9, 20), "size": (60, 40), "box": (0, 0, 6, 4), "shares": True}, ["size_mismatch"],
         (0, 0, 6, 4)),
        ({"stated": (160, 96), "box": (0, 0, 48, 160), "shares": True}, ["turned_boxes"], (0, 0, 96, 80)),
        ({"turn": 3, "stated": (96, 160), "box": (0, 0, 10, 20)}, ["unknown_frame"], (0, 0, 10, 20)),
    ],
)  # fmt: skip
def test_stated_sizes_decide_frame_and_scale(photo, kinds, box):
    corners, status, listed, _ = resolved(photo)
    assert listed == kinds
    assert corners == [box]
    assert status == ["unlabelled" if set(kinds) & {"size_mismatch", "unknown_frame"} else "ok"]


@pytest.mark.parametrize(
    ("stated", "kinds"),
    [((96, 160), []), ((160, 96), []), ((97, 160), ["size_mismatch"]), ((None, 160), []), ((96, 0), [])],
)
def test_wrong_size_without_boxes_is_only_listed(stated, kinds):
    assert resolved({"stated": stated})[1:3] == (["ok"], kinds)


def test_unreadable_images_keep_their_status():
    assert resolved({"box": (0, 0, 20, 20), "fault": "torn"})[1:3] == (["ok"], [])
    assert resolved({"box": (0, 0, 20, 20), "status": "mistyped"})[1:3] == (["mistyped"], ["unknown_frame"])
