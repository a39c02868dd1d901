"""Near-duplicates, and the groups that links make."""

import cv2
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tropho.audit.duplicates import components, equal_links, near_pairs
from tropho.audit.inspect import THUMB, perceptual_hash


def photo(rng: np.random.Generator, side: int = 128) -> np.ndarray:
    """A grey picture with content at several scales, (side, side) uint8."""
    layers = [cv2.resize(rng.random((n, n)), (side, side), interpolation=cv2.INTER_CUBIC) * 128 / n for n in (4, 8, 16)]
    total = np.sum(layers, axis=0)
    return np.uint8(255 * (total - total.min()) / np.ptp(total))


def thumbnail(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (THUMB, THUMB), interpolation=cv2.INTER_AREA)


def pairs_of(pictures: list[np.ndarray], bits: int = 4) -> set[tuple[int, int]]:
    thumbs = np.stack([thumbnail(each) for each in pictures])
    hashes = np.array([perceptual_hash(each) for each in thumbs], dtype=np.uint64)
    return {(i, j) for i, j, _ in near_pairs(hashes, thumbs, bits)}


def test_one_picture_stored_in_other_ways_is_found(rng):
    first = photo(rng)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(first, (64, 64), interpolation=cv2.INTER_AREA)
    darker = np.uint8(first * 0.7)
    assert pairs_of([first, jpeg, small, darker]) == {(i, j) for i in range(4) for j in range(i + 1, 4)}


def test_different_pictures_are_not(rng):
    assert pairs_of([photo(rng) for _ in range(60)], bits=8) == set()


def test_plain_pictures_do_not_collapse_into_one(rng):
    # Cells on grey, scans on black: their hashes say little, so that all of them would be one chain.
    plain = []
    for _ in range(40):
        picture = np.full((50, 50), 120, np.uint8)
        cv2.circle(picture, tuple(int(v) for v in rng.integers(10, 40, 2)), int(rng.integers(2, 5)), 200, -1)
        plain.append(picture)
    black = [np.zeros((50, 50), np.uint8) for _ in range(3)]
    found = pairs_of(plain + black, bits=24)
    assert not any(j >= len(plain) for _, j in found)
    groups = components([str(i) for i in range(40)], [(str(i), str(j)) for i, j in found])
    assert pd.Series(groups).value_counts().max() <= 8


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30), st.integers(0, 64))
def test_hash_distances_agree_with_counting_bits(values, bits):
    thumbs = np.tile(np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 10, (len(values), 1, 1))
    found = near_pairs(np.array(values, dtype=np.uint64), thumbs, bits)
    expected = {
        (i, j, (a ^ b).bit_count())
        for i, a in enumerate(values)
        for j, b in enumerate(values)
        if i < j and (a ^ b).bit_count() <= bits
    }
    assert set(found) == expected


def test_blocks_do_not_lose_pairs(rng, monkeypatch):
    hashes = rng.integers(0, 2**8, 200).astype(np.uint64)
    thumbs = np.tile(np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 10, (200, 1, 1))
    whole = near_pairs(hashes, thumbs, 2)
    monkeypatch.setattr("tropho.audit.duplicates._BLOCK", 700)
    monkeypatch.setattr("tropho.audit.duplicates._CHECKED", 11)
    assert sorted(near_pairs(hashes, thumbs, 2)) == sorted(whole)
    assert len(whole) > 100


def test_components_join_chains_and_take_the_first_name():
    names = list("dcbaxy")
    links = [("d", "c"), ("b", "c"), ("x", "y")]
    assert components(names, links) == {"a": "a", "b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}
    assert components(names, []) == {name: name for name in names}
    assert components([], []) == {}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.randoms())
def test_components_do_not_depend_on_order(links, random):
    names = [str(i) for i in range(10)]
    named = [(str(a), str(b)) for a, b in links]
    turned = [(b, a) for a, b in named]
    random.shuffle(turned)
    shuffled = random.sample(names, len(names))
    assert components(names, named) == components(shuffled, turned)


def test_equal_keys_link_and_empty_ones_do_not():
    names = pd.Series(["c", "b", "a", "e", "d"])
    keys = pd.Series(["k", "k", "k", None, None], dtype="string")
    assert sorted(equal_links(names, keys)) == [("a", "b"), ("a", "c")]


def test_a_pair_is_found_among_ten_thousand_images(rng):
    hashes = rng.integers(0, 2**64, 10_000, dtype=np.uint64)
    hashes[9_876] = hashes[123] ^ np.uint64(0b101)
    thumbs = rng.integers(0, 256, (10_000, 4, 4), dtype=np.uint8)
    thumbs[9_876] = thumbs[123]
    assert (123, 9_876, 2) in near_pairs(hashes, thumbs, 4)
