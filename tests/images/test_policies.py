"""Policies change pictures, never the truth: boxes stay on their objects, labels on their boxes."""

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropho.errors import UsageError
from tropho.images.augment.policies import MIN_VISIBILITY, Policy, build_policy, letterbox

NAMES = ["none", "light", "microscopy", "radiology"]
NO_BOXES = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@pytest.fixture(scope="module", params=NAMES)
def policy(request: pytest.FixtureRequest) -> Policy:
    return build_policy(request.param, 96, boxed=True)


def scene(rng: np.random.Generator, height: int = 64, width: int = 96) -> tuple[np.ndarray, ...]:
    """Two bright blobs on dark ground, with their boxes and labels."""
    image = rng.integers(0, 30, (height, width, 3), dtype=np.uint8)
    boxes = np.array([[12, 10, 24, 20], [60, 36, 76, 54]], np.float32)
    for xmin, ymin, xmax, ymax in boxes.astype(int):
        image[ymin:ymax, xmin:xmax] = (200, 190, 210)
    return image, boxes, np.array([1, 0])


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_policies_are_built_without_a_warning(name: str, boxed: bool, rng: np.random.Generator) -> None:
    # the library only warns of arguments that it does not know, and then goes on without them
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built = build_policy(name, 96, boxed)
        image, _, _ = built(*scene(rng), seed=0)
    assert image.shape == ((64, 96, 3) if boxed else (96, 96, 3))
    assert json.loads(json.dumps(built.to_dict()))["name"] == name


def test_equal_seeds_give_equal_results_whatever_came_before(policy: Policy, rng: np.random.Generator) -> None:
    example = scene(rng)
    first = [policy(*example, seed=seed) for seed in range(8)]
    again = [policy(*example, seed=seed) for seed in reversed(range(8))][::-1]
    other = [pickle.loads(pickle.dumps(policy))(*example, seed=seed) for seed in range(8)]
    for one, two, three in zip(first, again, other, strict=True):
        for a, b, c in zip(one, two, three, strict=True):
            assert np.array_equal(a, b)
            assert np.array_equal(a, c)
    different = {image.tobytes() for image, _, _ in first}
    assert len(different) == 1 if policy.name == "none" else len(different) > 4


def test_result_is_fresh_and_the_input_untouched(policy: Policy, rng: np.random.Generator) -> None:
    image, boxes, labels = scene(rng)
    copies = image.copy(), boxes.copy(), labels.copy()
    image.flags.writeable = boxes.flags.writeable = labels.flags.writeable = False
    for seed in range(12):
        new, new_boxes, new_labels = policy(image, boxes, labels, seed)
        assert new.flags["C_CONTIGUOUS"]
        assert new.flags["WRITEABLE"]
        assert (new.dtype, new_boxes.dtype, new_labels.dtype) == (np.uint8, np.float32, np.int64)
        new[:] = 0
        new_boxes[:] = -1
    assert all(np.array_equal(a, b) for a, b in zip(copies, (image, boxes, labels), strict=True))


def test_boxes_stay_on_their_objects_and_labels_on_their_boxes(policy: Policy, rng: np.random.Generator) -> None:
    example = scene(rng)
    places = set()
    for seed in range(40):
        image, boxes, labels = policy(*example, seed=seed)
        assert sorted(labels) == [0, 1]
        bright = (image.min(axis=2) > 90).astype(np.uint8)
        for box, label in zip(boxes, labels, strict=True):
            xmin, ymin, xmax, ymax = np.round(box).astype(int)
            inside = bright[ymin:ymax, xmin:xmax]
            # a blob turned by 10 degrees fills 0.75 of its upright box, less its blurred rim
            assert inside.mean() > (0.55 if policy.name == "radiology" else 0.75)
            area = (xmax - xmin) * (ymax - ymin)
            assert (area > 200) == (label == 0)  # the larger blob is class 0
            places.add(tuple(np.round(box).astype(int)))
        outside = bright.sum() - sum(bright[y0:y1, x0:x1].sum() for x0, y0, x1, y1 in np.round(boxes).astype(int))
        assert outside <= 30
    assert (len(places) == 2) == (policy.name == "none")


boxes_in_96x64 = st.lists(
    st.tuples(st.floats(-8, 95), st.floats(-8, 63), st.floats(0, 60), st.floats(0, 60)), max_size=12
)


@given(drawn=boxes_in_96x64, seed=st.integers(0, 2**32 - 1), name=st.sampled_from(NAMES), boxed=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_boxes_come_out_inside_and_of_positive_area(
    drawn: list[tuple[float, ...]], seed: int, name: str, boxed: bool
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in drawn], np.float32).reshape(-1, 4)
    labels = np.arange(len(boxes))
    policy = build_policy(name, 96, boxed)
    image, new, kept = policy(np.zeros((64, 96, 3), np.uint8), boxes, labels, seed)
    assert len(new) == len(kept) == len(set(kept))
    assert (new >= 0).all()
    assert (new[:, 2::2] <= image.shape[1]).all()
    assert (new[:, 1::2] <= image.shape[0]).all()
    assert ((new[:, 2:] - new[:, :2]) > 0).all()


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_no_boxes_stay_no_boxes(name: str, boxed: bool, rng: np.random.Generator) -> None:
    policy = build_policy(name, 96, boxed)
    for seed in range(5):
        _, boxes, labels = policy(scene(rng)[0], *NO_BOXES, seed)
        assert boxes.shape == (0, 4)
        assert labels.shape == (0,)
        assert (boxes.dtype, labels.dtype) == (np.float32, np.int64)


def test_small_boxes_inside_are_never_lost_to_flips_and_light(rng: np.random.Generator) -> None:
    corner = rng.uniform(0, 60, (50, 2))
    boxes = np.concatenate([corner, corner + 0.4], 1).astype(np.float32)
    for name in ("light", "microscopy"):
        policy = build_policy(name, 96, boxed=True)
        for seed in range(10):
            assert len(policy(np.zeros((64, 96, 3), np.uint8), boxes, np.arange(50), seed)[1]) == 50


def test_objects_pushed_mostly_out_of_the_image_lose_their_boxes() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    edge = np.array([[0, 0, 3, 3], [40, 25, 56, 39]], np.float32)
    policy = build_policy("radiology", 96, boxed=True)
    kept = [set(policy(image, edge, np.array([0, 1]), seed)[2].tolist()) for seed in range(60)]
    assert all(1 in labels for labels in kept)
    assert 5 < sum(0 in labels for labels in kept) < 60
    assert 0 < MIN_VISIBILITY < 1


def test_microscopy_only_flips() -> None:
    """Each of the four views is drawn, each as often as the others, and no other view."""
    image = np.full((64, 96, 3), 128, np.uint8)
    box = np.array([[0, 0, 20, 8]], np.float32)
    policy = build_policy("microscopy", 96, boxed=True)
    seen = Counter(tuple(policy(image, box, np.array([0]), seed)[1][0].round().tolist()) for seed in range(200))
    assert set(seen) == {(0, 0, 20, 8), (76, 0, 96, 8), (0, 56, 20, 64), (76, 56, 96, 64)}
    assert min(seen.values()) > 30  # 50 expected, standard deviation 6


def test_light_only_mirrors() -> None:
    policy = build_policy("light", 96, boxed=True)
    box = np.array([[0, 0, 20, 8]], np.float32)
    image = np.full((64, 96, 3), 128, np.uint8)
    seen = {tuple(np.round(policy(image, box, np.array([0]), seed)[1][0]).astype(int)) for seed in range(30)}
    assert seen == {(0, 0, 20, 8), (76, 0, 96, 8)}


@pytest.mark.parametrize("name", ["none", "light", "radiology"])
def test_grey_stays_grey_and_black_ground_nearly_black(name: str, rng: np.random.Generator) -> None:
    grey = np.zeros((64, 96, 1), np.uint8)
    grey[20:40, 30:60] = rng.integers(80, 200, (20, 30, 1))
    policy = build_policy(name, 96, boxed=False)
    for seed in range(20):
        image, _, _ = policy(grey.repeat(3, 2), *NO_BOXES, seed)
        assert np.array_equal(image[..., 0], image[..., 1])
        assert np.array_equal(image[..., 0], image[..., 2])
        assert (image[:16] == 0).all()  # the letterbox is added last and is not brightened
        if name == "radiology":
            assert np.median(image) <= 8


def test_microscopy_moves_colour_but_not_far() -> None:
    violet = np.full((64, 96, 3), (120, 80, 160), np.uint8)
    policy = build_policy("microscopy", 96, boxed=True)
    hues, values = [], []
    for seed in range(80):
        pixel = cv2.cvtColor(policy(violet, *NO_BOXES, seed)[0], cv2.COLOR_RGB2HSV)[32, 48]
        hues.append(int(pixel[0]) * 2)
        values.append(int(pixel[2]))
    assert max(values) - min(values) > 30
    assert all(240 <= hue <= 300 for hue in hues)


def test_letterbox_centres_and_moves_boxes() -> None:
    image = np.full((2, 5, 3), 9, np.uint8)
    square, boxes = letterbox(image, np.array([[0.0, 0.0, 5.0, 2.0]], np.float32), 5)
    assert square.shape == (5, 5, 3)
    assert square[:, :, 0].sum(axis=1).tolist() == [0, 45, 45, 0, 0]
    assert boxes.tolist() == [[0, 1, 5, 3]]
    with pytest.raises(ValueError, match="larger"):
        letterbox(image, boxes, 4)


def test_unknown_policy_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="none, light, microscopy, radiology"):
        build_policy("strong", 96, boxed=True)


def test_importing_the_module_is_light_and_asks_no_network() -> None:
    code = (
        "import sys, urllib.request as r\n"
        "sys.modules['torch'] = None  # not needed here, and slow to import\n"
        "import tropho.images.augment.policies as p\n"
        "assert 'albumentations' not in sys.modules\n"
        "r.OpenerDirector.open = lambda *a, **k: sys.exit('asked the network')\n"
        "p.build_policy('none', 32, True)\n"
        "assert 'albumentations' not in sys.modules\n"
        "p.build_policy('light', 32, True)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
