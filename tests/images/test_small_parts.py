"""Boundaries of names, fonts, threads, previews and policies."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tropho.images import fonts, thread_pool
from tropho.images.augment.policies import build_policy, letterbox
from tropho.images.file_types import ending_of, is_hidden, is_image_name
from tropho.stages import augment


def test_names_tell_images_and_litter():
    assert [is_image_name(name) for name in ("a.JPG", "b/c.jp2", "a.txt", "png", "a.png.zip")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert ending_of("a/b.TIF") == ".tif"
    assert [is_hidden(name) for name in (".DS_Store", "._a.png", "Thumbs.db", "__MACOSX", "a.png", "b.")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip


def test_a_label_of_28_letters_stays_and_a_longer_one_loses_its_middle():
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert fonts.plain(letters[:28]) == letters[:28]
    assert fonts.plain(letters) == "abcdefghijklmn…xyz0123456789"
    assert fonts.plain("abcdefgh", 6) == "abc…gh"


def test_longer_names_give_way_first(monkeypatch):
    monkeypatch.setattr(fonts, "_machine_fonts", list)
    assert list(fonts.stand_ins(["日", "a", "日本"])) == ["日本", "日"]
    with fonts.naming(["日", "a", "日本"]):
        assert fonts.drawn("日本 日") == "class 3 class 1"


def test_what_has_no_name_is_a_question_mark(monkeypatch):
    monkeypatch.setattr(fonts, "_machine_fonts", list)
    assert fonts.drawn("a\U00017000") == "a(?)"  # a Tangut letter, for which Python has no name
    assert fonts.drawn("x\u0301̀b").startswith("x(")  # an accent that joins no letter is spelled out


def test_fonts_of_the_machine_are_upright_and_hold_letters(monkeypatch):
    entries = [
        ("/f/b.ttf", "normal"), ("/f/a.ttf", "normal"), ("/f/c.ttf", "italic"), ("/f/NotoEmoji.ttf", "normal"),
        (str(fonts.BUNDLED / "fonts" / "x.ttf"), "normal"), ("/f/b.ttf", "normal"),
    ]  # fmt: skip
    monkeypatch.setattr(
        fonts.fontManager, "ttflist", [SimpleNamespace(fname=name, style=style) for name, style in entries]
    )
    assert fonts._machine_fonts.__wrapped__() == [Path("/f/a.ttf"), Path("/f/b.ttf")]


def test_cores_are_those_that_may_be_used(monkeypatch):
    assert thread_pool.usable_cpus() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    for told, counted in ((3, 3), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda told=told: told)
        assert thread_pool.usable_cpus() == counted


def test_few_results_wait_at_once(monkeypatch):
    monkeypatch.setattr(thread_pool, "usable_cpus", lambda: 2)
    begun = []

    def items():
        for number in range(20):
            begun.append(number)
            yield number

    results = thread_pool.in_threads(lambda number: number * number, items())
    assert next(results) == 0
    assert len(begun) == 2 * 2 + 1
    assert list(results) == [number * number for number in range(1, 20)]


def entered(budget, size, done):
    """Start to take from a budget in a thread; the event that tells when it has."""
    inside = threading.Event()

    def work():
        with budget.taking(size):
            inside.set()
            done.wait(20)

    threading.Thread(target=work, daemon=True).start()
    return inside


def test_images_are_decoded_together_while_there_is_room():
    budget, done = thread_pool.PixelBudget(1), threading.Event()
    assert entered(budget, (1000, 500), done).wait(20)
    assert entered(budget, (500, 1000), done).wait(20)  # just fits
    third = entered(budget, (10, 10), done)
    assert not third.wait(0.05)
    done.set()
    assert third.wait(20)


def test_an_image_larger_than_all_room_has_it_to_itself():
    budget, done = thread_pool.PixelBudget(1), threading.Event()
    assert entered(budget, (5000, 5000), done).wait(20)
    other = entered(budget, (1, 1), done)
    assert not other.wait(0.05)
    done.set()
    assert other.wait(20)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(0, 0, ""), (0, 3, ""), (2, 1, ", 1 of 2 boxes"), (2, 0, ", 0 of 2 boxes"), (1, 1, ", 1 box"), (2, 2, ", 2 boxes"),
     (1, 3, ", 3 boxes")],
)  # fmt: skip
def test_previews_count_what_is_left(before, after, told):
    assert augment._count(before, after) == told


@pytest.mark.parametrize(
    ("height", "width", "left", "top"), [(5, 2, 2, 0), (2, 6, 0, 2), (2, 2, 2, 2), (6, 6, 0, 0), (1, 6, 0, 2)]
)
def test_a_letterbox_lies_in_the_middle(height, width, left, top):
    image = np.full((height, width, 3), 7, np.uint8)
    square, boxes = letterbox(image, np.array([[0, 0, width, height]], np.float32), 6)
    rows, columns = np.nonzero(square[..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (top, top + height - 1, left, left + width - 1)
    assert boxes.tolist() == [[left, top, left + width, top + height]]


def test_boxes_without_an_area_in_the_image_go():
    boxes = [[5, 5, 5, 9], [5, 5, 9, 5], [5, 5, 6, 6], [-3, 2, 0, 9], [2, 16, 9, 20], [10, 10, 40, 40]]
    policy = build_policy("none", 32, boxed=True)
    _, kept, labels = policy(np.zeros((16, 20, 3), np.uint8), np.array(boxes, np.float32), np.arange(6), 0)
    assert labels.tolist() == [2, 5]
    assert kept.tolist() == [[5, 5, 6, 6], [10, 10, 20, 16]]


@pytest.mark.parametrize("name", ["light", "radiology"])
def test_light_and_contrast_change_both_ways(name):
    image = np.full((64, 64, 3), 100, np.uint8)
    image[:, 32:] = 150
    policy = build_policy(name, 64, boxed=True)
    spreads, shifts = [], []
    for seed in range(60):
        middle = policy(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), seed)[0][20:44, 20:44, 0]
        low, high = int(middle.min()), int(middle.max())
        spreads.append((high - low) / 50)
        shifts.append(low - 100 * (high - low) / 50)
    assert min(spreads) < 0.93
    assert max(spreads) > 1.07
    assert max(map(abs, np.array(spreads) - 1)) < 0.2
    assert min(shifts) < -8
    assert max(shifts) > 8


def test_scans_are_turned_and_moved_both_ways():
    boxes = np.array([[14, 30, 22, 34], [74, 30, 82, 34]], np.float32)  # their middle is the image's
    policy = build_policy("radiology", 96, boxed=True)
    angles, moves = [], []
    for seed in range(80):
        _, moved, labels = policy(np.zeros((64, 96, 3), np.uint8), boxes, np.arange(2), seed)
        assert sorted(labels) == [0, 1]
        middles = (moved[:, :2] + moved[:, 2:]) / 2
        first, second = middles[np.argsort(labels)]
        x, y = second - first
        angles.append(np.degrees(np.arctan(y / x)))
        moves.append((first + second) / 2 - [48, 32])
    assert -11 < min(angles) < -3
    assert 3 < max(angles) < 11
    assert (np.min(moves, axis=0) < [-1.5, -1]).all()
    assert (np.max(moves, axis=0) > [1.5, 1]).all()
    assert (np.abs(moves).max(axis=0) < [6, 4.5]).all()


def test_violet_turns_both_ways():
    violet = np.full((16, 16, 3), (120, 80, 160), np.uint8)
    policy = build_policy("microscopy", 16, boxed=True)
    blue_over_red = set()
    for seed in range(80):
        red, green, blue = (
            int(v) for v in policy(violet, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), seed)[0][8, 8]
        )
        blue_over_red.add(round((red - green) / max(blue - green, 1), 2))  # 0.5 where the hue is as it was
    assert min(blue_over_red) < 0.46
    assert max(blue_over_red) > 0.54
