"""The audit's arithmetic on numbers small enough to be worked by hand."""

import numpy as np
import pandas as pd
import pytest

from tropho.audit import near_duplicates, slide_metric, slide_pairs, slides
from tropho.audit.boxes import box_iou, clip_boxes, within
from tropho.audit.corrections import Corrector
from tropho.audit.protocol import attributes, find_left_out
from tropho.audit.signature import NAMES, signature
from tropho.audit.slide_pairs import Cut, best_cut
from tropho.formats.labels import LABELLED_BOXES, IssueLog, table_of
from tropho.tables import BOX

FEATURES = [name for names in NAMES.values() for name in names]


def picture(
    width: int, height: int, green: np.ndarray, red: np.ndarray | float, blue: np.ndarray | float
) -> np.ndarray:
    """Pixels whose densities are `green`, and `red` and `blue` more than that, each (height, width)."""
    density = np.stack(np.broadcast_arrays(green + red, green, green + blue, np.zeros((height, width)))[:3], axis=-1)
    return np.round(256 * 10.0**-density - 1).clip(0, 255).astype(np.uint8)


def axes(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of each pixel, from -1 to 1 along the longer side."""
    half = max(width, height) / 2
    y, x = np.mgrid[:height, :width]
    return (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half


def told(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, signature(pixels).tolist(), strict=True))


@pytest.mark.parametrize(("width", "height"), [(96, 48), (192, 96), (384, 192), (48, 96)])
def test_a_signature_tells_light_and_colour(width, height):
    x, y = axes(width, height)
    level = 0.3 + 0.05 * x + 0.1 * y + 0.08 * (x * x + y * y)
    found = told(picture(width, height, level - 0.02, 0.1, -0.04))
    for name, value in (("slope_x", 0.05), ("slope_y", 0.1), ("vignette", 0.08)):
        assert found[name] == pytest.approx(value, abs=0.004), name
    for name in ("low", "median", "high"):
        assert found[f"red_{name}"] == pytest.approx(0.1, abs=0.01)
        assert found[f"blue_{name}"] == pytest.approx(-0.04, abs=0.01)
    assert found["level"] == pytest.approx(np.median(level), abs=0.005)
    assert found["level_low"] == pytest.approx(np.percentile(level, 10), abs=0.005)
    assert (found["field_x"], found["field_y"], found["field_area"]) == (0, 0, 1)


def test_a_signature_tells_how_colours_vary_together(rng):
    sign = np.where(rng.random((96, 192)) < 0.5, 1.0, -1.0)
    red, blue = 0.1 + 0.05 * sign, -0.05 - 0.04 * sign
    level = 0.3 + rng.normal(0, 0.01, (96, 192))
    found = told(picture(192, 96, level - (red + blue) / 3, red, blue))
    assert found["red_spread"] == pytest.approx(np.log(0.051), abs=0.03)
    assert found["blue_spread"] == pytest.approx(np.log(0.041), abs=0.03)
    assert found["red_blue"] == pytest.approx(-0.05 * 0.04 / (0.051 * 0.041), abs=0.02)
    assert (found["red_low"], found["red_high"]) == (pytest.approx(0.05, abs=0.01), pytest.approx(0.15, abs=0.01))


def test_a_signature_tells_the_grain(rng):
    """A wave of 8 pixels and 0.1 of density: blurred by 0.5, 1 and 3 it keeps 0.926, 0.735 and 0.062 of that."""
    x = np.broadcast_to(np.arange(192), (96, 192))
    found = told(picture(192, 96, 0.4 + 0.1 * np.cos(np.pi * x / 4), 0.0, 0.0))
    assert found["grain"] == pytest.approx(np.log(0.1 / np.sqrt(2) * 0.1912), abs=0.1)
    assert found["detail"] == pytest.approx(np.log(0.1 / np.sqrt(2) * 0.6723), abs=0.1)
    assert found["level_spread"] == pytest.approx(np.log(0.1 / np.sqrt(2)), abs=0.05)
    half = told(picture(96, 48, 0.4 + 0.1 * np.cos(np.pi * x[:48, :96] / 4), 0.0, 0.0))
    assert half["grain"] == pytest.approx(-5.4, abs=0.2)  # a blur of 0.25 leaves a wave as it is, 0.5 takes a 16th


def test_a_signature_tells_the_stain():
    level = np.full((96, 192), 0.2)
    dots = np.zeros((96, 192))
    dots[20:80:20, 20:180:20] = dots[21:81:20, 20:180:20] = dots[20:80:20, 21:181:20] = dots[22:82:20, 20:180:20] = 1.0
    dots += np.roll(dots, 5, axis=1) + np.roll(dots, 9, axis=0)
    found = told(picture(192, 96, level + 0.3 * dots, 0.3 * dots, -0.3 * dots))
    assert found["stain_red"] == pytest.approx(0.6 / np.hypot(0.6, 0.3), abs=0.03)
    assert found["stain_blue"] == pytest.approx(0, abs=0.05)


def test_a_signature_tells_the_lit_part():
    """Half of 96 columns are lit; the rim takes 4 of them, for the picture is half as large as the usual 192."""
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[:, :48] = 200
    found = told(pixels)
    assert found["field_area"] == pytest.approx(44 / 96, abs=0.012)
    assert found["field_x"] == pytest.approx(-26 / 48, abs=0.02)
    assert found["field_y"] == pytest.approx(0, abs=1e-6)


def test_features_in_robust_deviations_from_their_stratums_median():
    values, varied = slide_metric.centred(
        np.array([[0, 7.0], [2, 7], [4, 7], [10, 7], [12, 7], [20, 7], [99, 7]]), np.array(list("aaabbbb"))
    )
    # medians 2 and 16: -2, 0, 2, -6, -4, 4, 83, of which 4 is the median size
    assert varied.tolist() == [True, False]
    assert values[:, 0] == pytest.approx(np.array([-2, 0, 2, -6, -4, 4, np.inf]).clip(-35.5824, 35.5824) / (1.4826 * 4))


def test_mutual_nearest_neighbours():
    points = np.array([[0.0], [1], [5], [5.5], [6.1], [100]])
    first, second = slide_metric.nearest_pairs(points, np.array(list("aaaaaa")))
    assert (first.tolist(), second.tolist()) == ([0, 2], [1, 3])
    first, second = slide_metric.nearest_pairs(points, np.array(list("ababac")))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 3), (2, 4)]


def test_blocks_of_distances_give_the_same_neighbours(rng, monkeypatch):
    points, strata = rng.normal(size=(40, 2)), np.zeros(40)
    whole = slide_metric.nearest_pairs(points, strata)
    monkeypatch.setattr(slide_metric, "_BLOCK", 130)
    assert [each.tolist() for each in slide_metric.nearest_pairs(points, strata)] == [each.tolist() for each in whole]


def test_features_that_agree_in_neighbours_by_the_others(rng):
    slide, noise = np.repeat(rng.normal(size=60), 2), rng.normal(size=120)
    values = np.stack([slide, 5 * slide + rng.normal(0, 0.05, 120), noise, 0.9 * slide + 0.4 * noise], axis=1)
    agree = slide_metric.agreeing(values[:, :3], np.array(["a", "b", "c"]), np.zeros(120))
    assert agree.tolist() == [True, True, False]


def test_the_metric_of_one_feature():
    values = np.array([[0.0], [2], [10], [12]])
    # within: 4 squares of 1 by 4 - 2 degrees of freedom; in all: 104 / 3
    assert slide_metric.refined_metric(values, np.array([0, 0, 1, 1])) ** 2 == pytest.approx(1 / 2 - 3 / 104)
    assert slide_metric.refined_metric(values, np.array([0, 0, 1, 2])) is None
    pairs = np.array([[0.0], [1], [10], [12], [20], [23]])
    within, total = (1 + 4 + 9) / 6, pairs.var(ddof=1)
    assert slide_metric.first_metric(pairs, np.zeros(6)) ** 2 == pytest.approx(1 / within - 1 / total)
    alone = np.array([[0.0], [3], [7]])
    assert slide_metric.first_metric(alone, np.array(list("abc"))) == pytest.approx(1 / alone.std())


def test_the_metric_of_two_features_shrinks_what_they_share():
    values = np.array([[0.0, 0], [1, 2], [2, 1], [6, 9], [7, 7], [9, 8]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    factor = slide_metric.refined_metric(values, labels)
    rest = values - np.array([[1, 1]] * 3 + [[22 / 3, 8]] * 3)
    off = np.array([[1, 0.9], [0.9, 1]])
    within, total = off * (rest.T @ rest / 4), off * np.cov(values.T)
    weight, vectors = np.linalg.eigh(np.linalg.inv(within) - np.linalg.inv(total))
    assert factor @ factor.T == pytest.approx(vectors @ np.diag(weight.clip(0)) @ vectors.T, rel=1e-5)


def test_images_that_never_were_have_the_values_of_those_that_are(rng):
    values = rng.normal(5, 2, (30, 1))
    dealt = slide_metric.without_slides(values, rng)
    assert np.sort(dealt, axis=0) == pytest.approx(np.sort(values, axis=0))
    assert not np.allclose(dealt, values)


def test_the_cut_of_a_few_distances():
    distances = np.array([1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 24, 25.0])
    chance = np.array([3.5, 20, 21, 22, 23, 24])
    # Beyond the median of 21.5 lie 4 of 12: 2 / 3 of the pairs are wide. At 6: 1/2 are below, 2/3 of 1/6 wrongly.
    cut = best_cut(distances, chance, 24)
    assert cut.threshold == 6
    assert cut.gain == pytest.approx(24 * (1 / 2 - 2 / 9))
    assert cut.wrong == pytest.approx((1 / 9) / (1 / 2))
    assert best_cut(distances, np.array([]), 24) == best_cut(np.array([]), chance, 24) == Cut(0.0, 0.0, 0.0)
    far = best_cut(np.array([9.0, 9, 9]), np.array([1.0, 2, 3]), 3)
    assert far.gain == -3  # all are wide, and all of chance lies below


def test_groups_join_while_they_are_near_on_average():
    strata = np.array(list("abaabcb"))
    places = np.array([[0.0], [0], [1], [9], [5], [0], [5.5]])
    groups = slide_pairs._linked(slide_metric.pair_distances(places, strata), strata, 2.0)
    assert len(set(groups)) == 5
    assert groups[0] == groups[2] != groups[3]
    assert groups[4] == groups[6] != groups[1]
    assert sorted(set(groups.tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("groups", "cut", "words"),
    [
        ([0, 0, 1, 1], Cut(1, 4.0, 1 / 3), ""),
        ([0, 0, 1, 1], Cut(1, 3.9, 0.0), "an image has 1.0 look-alikes beyond chance on average, under 1"),
        ([0, 0, 1, 1], Cut(1, 2.0, 0.0), "an image has 0.5 look-alikes"),
        ([0, 0, 1, 1], Cut(1, 4.0, 0.34), "of the pairs that look alike, 34% do so by chance"),
        ([0, 0, 0, 1], Cut(1, 4.0, 0.0), "more than half"),
    ],
)
def test_groups_that_are_not_to_be_trusted(groups, cut, words):
    doubt = slides._doubt(np.array(groups), cut)
    assert doubt.startswith(words) or words in doubt
    assert bool(doubt) == bool(words)


def test_what_is_said_of_slides():
    found = slides.Slides(list("abcdef"), np.array([0, 1, 1, 2, 2, 2]), cut=Cut(1.2345, 9, 0.1), p=0.01)
    assert found.sizes.tolist() == [3, 2]
    assert found.sentence == (
        "5 of 6 images look as if from 2 slides of 2 to 3 images; of pairs so near, 10% are so by chance."
    )
    assert found.facts == {
        "images": 6, "groups": 2, "grouped_images": 5, "largest": 3, "p": 0.01, "threshold": 1.234,
        "pairs_by_chance": 0.1,
    }  # fmt: skip
    none = slides.Slides(["a"], np.array([0]), "too few")
    assert (none.count, none.facts["reason"], "p" in none.facts) == (0, "too few", False)
    assert slides.Slides([], np.empty(0, int), "too few").sizes.size == 0


@pytest.mark.parametrize(("count", "few"), [(59, True), (60, False)])
def test_sixty_images_are_enough_to_learn_from(count, few):
    found = slides.find_slides(
        [str(n) for n in range(count)], np.zeros((count, len(FEATURES))), np.zeros(count), np.zeros(count)
    )
    assert ("too few" in found.reason) == few
    assert found.groups.tolist() == list(range(count))


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
def test_copies_turn_and_move_a_little_only(linear, shift, small):
    centre = np.full(2, 49.5)
    change = np.column_stack([linear, centre - np.array(linear) @ centre + shift])
    assert near_duplicates._is_small(change, 100) == small


def described(*rows: list[float]) -> np.ndarray:
    """Descriptors of images whose copies of every warp are alike."""
    return np.repeat(np.array(rows, np.float32)[:, None], len(near_duplicates._WARPS), axis=1)


def test_candidates_are_as_like_as_their_descriptors():
    near, far = np.sqrt(1 - 0.86**2), np.sqrt(1 - 0.84**2)
    found = list(near_duplicates._candidates(described([1, 0, 0], [0, 0, 1], [0.86, near, 0], [0.84, -far, 0])))
    assert [pair[:2] for pair in found] == [(0, 2)]
    many = list(near_duplicates._candidates(described(*[[1.0, 0]] * 19)))
    assert [pair[1] for pair in many if pair[0] == 0] == list(range(1, 17))
    assert [pair[:2] for pair in many if pair[0] > 15] == [(16, 17), (16, 18), (17, 18)]


@pytest.mark.parametrize(
    ("box", "kinds"),
    [
        ((0, 0, 1, 5), []),
        ((0, 0, 5, 1), []),
        ((0, 0, 5, 0.9), ["too_small"]),
        ((5, 0, 5, 5), ["zero_area"]),
        ((6, 0, 5, 5), ["zero_area"]),
        ((10, 0, 12, 5), ["outside"]),
        ((0, 8, 5, 12), ["outside"]),
        ((-5, 0, 0, 5), ["outside"]),
        ((0, -5, 5, 0), ["outside"]),
        ((9, 0, 12, 5), ["clipped"]),
    ],
)
def test_boxes_at_the_edges_of_an_image(box, kinds):
    log = IssueLog()
    row = {"image_id": "a", "label": "x", "file": "t", "row": 2, **dict(zip(BOX, box, strict=True))}
    sizes = pd.DataFrame({"width": [10], "height": [8]}, index=["a"])
    clip_boxes(table_of([row], LABELLED_BOXES), sizes, 1.0, log)
    assert [each["kind"] for each in log.rows] == kinds


def test_overlap_by_hand():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 4], [4, 0, 8, 4], [3, 3, 3, 3]], float)
    assert box_iou(boxes)[0] == pytest.approx([1, 4 / 20, 0, 0])
    assert box_iou(boxes)[3, 3] == 0
    cut = within(np.array([[-1, -1, 9, 9], [-1, -1, 9, 9]], float), np.array([[4, 6], [np.inf, np.inf]]))
    assert cut.tolist() == [[0, 0, 4, 6], [-1, -1, 9, 9]]


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("a,drop,x,0,0,10,5,", True),  # an IoU of one half
        ("a,drop,x,0,0,10,4.9,", False),
        ("a,move,x,9.9,0,20,10,", True),
        ("a,move,x,10,0,20,10,", False),
        ("a,relabel,y,0,0,10,5,", True),
        ("a,add,x,1,2,3,2,", False),
        ("a,add,x,1,2,1,3,", False),
        ("a,set label,NEG,x,,,,", True),
        ("a,exclude image,what,,,,,", True),
        ("b,add,x,1,2,3,4,", True),
    ],
)
def test_corrections_at_the_edge_of_what_they_mean(tmp_path, line, done):
    path = tmp_path / "fix.csv"
    path.write_text(f"image_id,action,label,xmin,ymin,xmax,ymax,reason\n{line}\n")
    images = pd.DataFrame(
        {"image_id": ["a", "b"], "label": None, "status": ["ok", "missing"], "width": 50, "height": 50}
    )
    log = IssueLog()
    boxes = table_of([{"image_id": "a", "label": "x", **dict(zip(BOX, (0, 0, 10, 10), strict=True))}], LABELLED_BOXES)
    images, _ = Corrector(images, boxes, ["x", "y"], "NEG", True, "fix.csv", log).apply(path)
    assert [each["kind"] for each in log.rows] == ["correction" if done else "bad_correction"]
    assert images["status"].iloc[1] == "missing"


def test_sizes_with_their_long_side_first():
    images = pd.DataFrame({"width": [30, 40, 20, None], "height": [40, 30, 20, 9], "device": ["x", "", None, "y"]})
    images = images.astype({"width": "Int64", "height": "Int64", "device": "string"})
    stated = images.assign(stated_width=pd.array([1, 1, 1, 5], "Int64"), stated_height=pd.array([1, 1, 1, 7], "Int64"))
    assert attributes(stated)["size"].tolist() == ["40x30", "40x30", "20x20", "9x5"]
    assert attributes(images)["size"].isna().tolist() == [False, False, False, True]
    assert attributes(images)["device"].isna().tolist() == [False, True, True, False]


@pytest.mark.parametrize(("labelled", "found"), [(10, True), (11, False)])
def test_a_class_is_left_out_below_a_tenth_of_its_share_elsewhere(labelled, found):
    """All of 100 images elsewhere show it, and of 100 images here 10 or 11."""
    rows = [{"image_id": f"{n}", "subset": "train", "width": 10 + n // 100, "height": 5, "device": "", "group": f"{n}"}
            for n in range(200)]  # fmt: skip
    shows = [n < labelled or n >= 100 for n in range(200)]
    boxes = [(f"{n}", "other") for n in range(200)] + [(f"{n}", "x") for n in range(200) if shows[n]]
    images = pd.DataFrame(rows)
    told_of = find_left_out(images, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01)
    assert [each["value"] for each in told_of] == (["10x5"] if found else [])
    test = images.assign(subset="test")
    assert find_left_out(test, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01) == []
