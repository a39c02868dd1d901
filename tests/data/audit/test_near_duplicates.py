"""Copies of a picture are found, other pictures are not."""

import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tropho.data.audit import near_duplicates
from tropho.data.audit.grouping import connected_ids
from tropho.data.audit.inspect_images import THUMB, thumbnail
from tropho.data.audit.near_duplicates import find_near_duplicates
from tropho.images import thread_pool


def photo(rng: np.random.Generator, side: int = 128) -> np.ndarray:
    """A grey picture with content at several scales, (side, side) uint8."""
    layers = [cv2.resize(rng.random((n, n)), (side, side), interpolation=cv2.INTER_CUBIC) * 128 / n for n in (4, 8, 16)]
    total = np.sum(layers, axis=0)
    return np.uint8(255 * (total - total.min()) / np.ptp(total))


def turned(picture: np.ndarray, degrees: float = 0.0, shear: float = 0.0, border: int = cv2.BORDER_CONSTANT):
    """The picture turned about its centre and then sheared, degrees."""
    height, width = picture.shape
    angle = np.deg2rad(degrees)
    linear = np.array([[1, np.tan(np.deg2rad(shear))], [0, 1]]) @ np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return cv2.warpAffine(
        picture, np.column_stack([linear, centre - linear @ centre]), (width, height), borderMode=border
    )


def pairs_of(pictures: list[np.ndarray]) -> set[tuple[int, int]]:
    return {(i, j) for i, j, _ in find_near_duplicates(np.stack([thumbnail(each) for each in pictures]))}


def test_find_near_duplicates_stored_in_other_ways(rng):
    first = photo(rng)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(first, (64, 64), interpolation=cv2.INTER_AREA)
    darker = np.uint8(first * 0.7)
    assert pairs_of([first, jpeg, small, darker]) == {(i, j) for i in range(4) for j in range(i + 1, 4)}


@pytest.mark.parametrize("border", [cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101])
@pytest.mark.parametrize(
    ("degrees", "shear", "light"),
    [(15, 0, 1), (-15, 0, 1), (0, 10, 1), (0, -10, 1), (0, 0, 0.75), (0, 0, 1.2), (-12, 8, 0.8), (8, -8, 1.1)],
)
def test_find_near_duplicates_of_changed_copies(degrees, shear, light, border):
    rng = np.random.default_rng(3)
    pictures = [photo(rng, 160) for _ in range(20)]
    copies = [np.uint8(np.clip(turned(each, degrees, shear, border) * light, 0, 255)) for each in pictures]
    pairs = pairs_of(pictures + copies)
    assert sum((number, number + 20) in pairs for number in range(20)) >= 18
    assert all(second - first == 20 for first, second in pairs)


def test_find_near_duplicates_that_are_not_square(rng):
    pictures = [photo(rng, 240)[:150] for _ in range(10)]
    pairs = pairs_of(pictures + [turned(each, 13) for each in pictures])
    assert pairs == {(number, number + 10) for number in range(10)}


def test_find_near_duplicates_keeps_other_pictures_apart(rng):
    assert pairs_of([photo(rng) for _ in range(60)]) == set()


def test_find_near_duplicates_keeps_mirror_images_apart(rng):
    first = photo(rng)
    assert pairs_of([first, first[:, ::-1]]) == set()


def test_find_near_duplicates_keeps_plain_pictures_apart(rng):
    # Dots on grey, scans on black: aligned, any two would agree.
    plain = []
    for _ in range(40):
        picture = np.full((50, 50), 120, np.uint8)
        cv2.circle(picture, tuple(int(v) for v in rng.integers(10, 40, 2)), int(rng.integers(2, 5)), 200, -1)
        plain.append(picture)
    pairs = pairs_of(plain + [np.zeros((50, 50), np.uint8)] * 3 + [np.full((50, 50), 255, np.uint8)])
    assert not any(second >= len(plain) for _, second in pairs)
    groups = connected_ids([str(i) for i in range(40)], [(str(i), str(j)) for i, j in pairs])
    assert pd.Series(groups).value_counts().max() <= 3  # dots of one size in one place


def test_find_near_duplicates_does_not_depend_on_blocks(rng, monkeypatch):
    thumbs = np.stack([thumbnail(photo(rng)) for _ in range(30)])
    thumbs = np.concatenate([thumbs, np.uint8(thumbs * 0.9)])
    expected = find_near_duplicates(thumbs)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 700)
    assert find_near_duplicates(thumbs) == expected
    assert len(expected) == 30


def test_find_near_duplicates_of_none_and_one(rng):
    assert find_near_duplicates(np.zeros((0, THUMB, THUMB), np.uint8)) == []
    assert find_near_duplicates(thumbnail(photo(rng))[None]) == []


def test_find_near_duplicates_among_thousands(rng):
    thumbs = rng.integers(0, 256, (1_500, THUMB, THUMB), dtype=np.uint8)
    thumbs[1_376] = thumbs[123] // 2
    started = time.perf_counter()
    assert [(i, j) for i, j, _ in find_near_duplicates(thumbs)] == [(123, 1_376)]
    assert time.perf_counter() - started < 120


def test_find_near_duplicates_uses_the_allowed_threads(monkeypatch):
    """Nothing but images.thread_pool starts threads, and it counts the cores that this process may use."""
    started = []

    class Pool(thread_pool.ThreadPoolExecutor):
        def __init__(self, workers):
            started.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(thread_pool, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(thread_pool.os, "sched_getaffinity", lambda process: {3}, raising=False)
    find_near_duplicates(np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8))
    assert set(started) == {1}
    package = Path(thread_pool.__file__).parent.parent
    starting = {str(each.relative_to(package)) for each in package.rglob("*.py") if "PoolExecutor" in each.read_text()}
    assert starting == {"images/thread_pool.py"}


def test_maps_about_the_centre_of_a_thumbnail():
    distance = near_duplicates._from_centre(4)
    assert distance[0] == pytest.approx(
        [np.hypot(0.75, 0.75), np.hypot(0.25, 0.75), np.hypot(0.25, 0.75), np.hypot(0.75, 0.75)]
    )
    assert distance == pytest.approx(distance.T)
    quarter = np.array([[0.0, -1], [1, 0]])
    assert near_duplicates._about_centre(quarter, 5) @ [2, 2, 1] == pytest.approx([2, 2])
    assert near_duplicates._about_centre(quarter, 5) @ [4, 2, 1] == pytest.approx([2, 4])
    maps = near_duplicates._linear_maps()
    assert len(maps) == 15
    assert maps[0] == pytest.approx(np.eye(2))
    assert {round(float(np.rad2deg(np.arctan2(each[1, 0], each[0, 0]))), 6) for each in maps[::3]} == {
        -14,
        -7,
        0,
        7,
        14,
    }
    assert maps[1] == pytest.approx(np.array([[1, -0.14], [-0.14, 1]]))


@pytest.mark.parametrize(
    ("linear", "shift", "small"),
    [
        ([[1, 0], [0, 1]], (0, 0), True),
        ([[1, 0], [0, 1]], (-12, 12), True),
        ([[1, 0], [0, 1]], (12.1, 0), False),
        ([[1, 0], [0, 1]], (0, -12.1), False),
        ([[1.5, 0], [0, 0.5]], (0, 0), True),
        ([[1, -0.51], [0, 1]], (0, 0), False),
        ([[0.49, 0], [0, 1]], (0, 0), False),
    ],
)
def test_is_small_limits_turn_and_shift(linear, shift, small):
    centre = np.full(2, 49.5)
    change = np.column_stack([linear, centre - np.array(linear) @ centre + shift])
    assert near_duplicates._is_small(change, 100) == small


def described(*rows: list[float]) -> np.ndarray:
    """Descriptors of images whose copies of every warp are alike."""
    return np.repeat(np.array(rows, np.float32)[:, None], len(near_duplicates._WARPS), axis=1)


def test_candidates_by_descriptor():
    near, far = np.sqrt(1 - 0.86**2), np.sqrt(1 - 0.84**2)
    pairs = list(near_duplicates._candidates(described([1, 0, 0], [0, 0, 1], [0.86, near, 0], [0.84, -far, 0])))
    assert [pair[:2] for pair in pairs] == [(0, 2)]
    many = list(near_duplicates._candidates(described(*[[1.0, 0]] * 19)))
    assert [pair[1] for pair in many if pair[0] == 0] == list(range(1, 17))
    assert [pair[:2] for pair in many if pair[0] > 15] == [(16, 17), (16, 18), (17, 18)]
