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


def test_one_picture_stored_in_other_ways_is_found(rng):
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
def test_changed_copies_are_found(degrees, shear, light, border):
    rng = np.random.default_rng(3)
    pictures = [photo(rng, 160) for _ in range(20)]
    copies = [np.uint8(np.clip(turned(each, degrees, shear, border) * light, 0, 255)) for each in pictures]
    found = pairs_of(pictures + copies)
    assert sum((number, number + 20) in found for number in range(20)) >= 18
    assert all(second - first == 20 for first, second in found)


def test_copies_of_pictures_that_are_not_square_are_found(rng):
    pictures = [photo(rng, 240)[:150] for _ in range(10)]
    found = pairs_of(pictures + [turned(each, 13) for each in pictures])
    assert found == {(number, number + 10) for number in range(10)}


def test_different_pictures_are_not(rng):
    assert pairs_of([photo(rng) for _ in range(60)]) == set()


def test_a_mirror_image_is_another_picture(rng):
    first = photo(rng)
    assert pairs_of([first, first[:, ::-1]]) == set()


def test_plain_pictures_do_not_collapse_into_one(rng):
    # Dots on grey, scans on black: aligned, any two would agree.
    plain = []
    for _ in range(40):
        picture = np.full((50, 50), 120, np.uint8)
        cv2.circle(picture, tuple(int(v) for v in rng.integers(10, 40, 2)), int(rng.integers(2, 5)), 200, -1)
        plain.append(picture)
    found = pairs_of(plain + [np.zeros((50, 50), np.uint8)] * 3 + [np.full((50, 50), 255, np.uint8)])
    assert not any(second >= len(plain) for _, second in found)
    groups = connected_ids([str(i) for i in range(40)], [(str(i), str(j)) for i, j in found])
    assert pd.Series(groups).value_counts().max() <= 3  # dots of one size in one place


def test_blocks_lose_no_pairs_and_runs_agree(rng, monkeypatch):
    thumbs = np.stack([thumbnail(photo(rng)) for _ in range(30)])
    thumbs = np.concatenate([thumbs, np.uint8(thumbs * 0.9)])
    whole = find_near_duplicates(thumbs)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 700)
    assert find_near_duplicates(thumbs) == whole
    assert len(whole) == 30


def test_nothing_and_one_image_have_no_pairs(rng):
    assert find_near_duplicates(np.zeros((0, THUMB, THUMB), np.uint8)) == []
    assert find_near_duplicates(thumbnail(photo(rng))[None]) == []


def test_a_pair_is_found_among_thousands(rng):
    thumbs = rng.integers(0, 256, (3_000, THUMB, THUMB), dtype=np.uint8)
    thumbs[2_876] = thumbs[123] // 2
    started = time.perf_counter()
    assert [(i, j) for i, j, _ in find_near_duplicates(thumbs)] == [(123, 2_876)]
    assert time.perf_counter() - started < 120


def test_no_more_threads_work_than_may(monkeypatch):
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
