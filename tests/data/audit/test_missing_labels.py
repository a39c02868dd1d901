"""Classes left out of some images: found where planted, and not where they were not."""

from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from smear_generator import smear
from tropho.data.audit.missing_labels import attributes, find_missing_labels, group_size_exact_test, ignored
from tropho.data.audit.run_audit import audit
from tropho.tables import BOXES, IMAGES, conform

CLASSES = ["Trophozoite", "WBC"]


def tables(rows: list[dict], labels: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """tables.IMAGES of the rows, and boxes of the classes (joined by "+") that each image_id shows."""
    images = pd.DataFrame(rows).assign(subset="train", status="ok")
    boxes = [{"image_id": name, "label": each} for name, text in labels.items() for each in text.split("+") if each]
    corners = {"xmin": 0.0, "ymin": 0.0, "xmax": 9.0, "ymax": 9.0}
    return (
        conform(images.reindex(columns=list(IMAGES)), IMAGES),
        conform(pd.DataFrame(boxes).reindex(columns=["image_id", "label"]).assign(**corners), BOXES),
    )


def two_sizes(shows_small: list[bool], shows_large: list[bool], group: str = "{}") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images of two sizes that all show a Trophozoite, and a WBC where told."""
    rows, labels = [], {}
    for width, shows in ((100, shows_small), (200, shows_large)):
        for number, wbc in enumerate(shows):
            name = f"{width}-{number}"
            rows.append({"image_id": name, "width": width, "height": 50, "group": group.format(name)})
            labels[name] = "Trophozoite+WBC" if wbc else "Trophozoite"
    return tables(rows, labels)


def drawn(monkeypatch: pytest.MonkeyPatch, seed: int, count: int) -> tuple[list[smear.Photo], pd.DataFrame]:
    """Photos of the generator, left black since only their boxes matter, and their rows of tables.IMAGES."""
    monkeypatch.setattr(smear, "photograph", lambda *args: np.zeros((8, 8, 3), np.uint8))
    photos = list(smear.photos(seed, count, "train", 0.2))
    rows = [
        {"image_id": each.image_id, "width": each.camera.width, "height": each.camera.height, "group": each.slide}
        for each in photos
    ]
    return photos, tables(rows, {})[0]


def boxes_of(labelled: dict[str, tuple]) -> pd.DataFrame:
    rows = [{"image_id": name, **vars(box)} for name, boxes in labelled.items() for box in boxes]
    return conform(pd.DataFrame(rows), BOXES)


def test_find_missing_labels_by_hand():
    images, boxes = two_sizes([True] * 12 + [False] * 2, [False] * 6)
    (finding,) = find_missing_labels(images, boxes, CLASSES, 0.05)
    # No WBC among 6 of 20 images, 12 of which have one. Two tests: the other size could show 6 in 14, p = 0.02.
    assert finding["p"] == pytest.approx(2 * comb(8, 6) / comb(20, 6), rel=5e-3)
    assert {key: finding[key] for key in ("class", "attribute", "value")} == {
        "class": "WBC",
        "attribute": "size",
        "value": "200x50",
    }
    assert [finding[key] for key in ("images", "labelled", "images_elsewhere", "labelled_elsewhere")] == [6, 0, 14, 12]
    assert find_missing_labels(images, boxes, CLASSES, finding["p"] / 2) == []


def test_find_missing_labels_counts_groups():
    shows = [True] * 12 + [False] * 2, [False] * 6
    images, boxes = two_sizes(*shows)
    images["group"] = images["width"].astype("string")  # one slide of each size
    assert find_missing_labels(images, boxes, CLASSES, 0.05) == []


def test_find_missing_labels_needs_hardly_any_label():
    few = two_sizes([True] * 400 + [False] * 100, [True] * 30 + [False] * 170)  # 15 % against 80 %: other slides
    assert find_missing_labels(*few, CLASSES, 1e-3) == []
    one = two_sizes([True] * 400 + [False] * 100, [True] * 2 + [False] * 198)
    assert [finding["labelled"] for finding in find_missing_labels(*one, CLASSES, 1e-3)] == [2]


def test_find_missing_labels_needs_another_class():
    """Empty fields, and slides that show one class alone, are no evidence."""
    rows = [{"image_id": f"{n}", "width": 100 + 100 * (n % 2), "height": 50, "group": f"{n}"} for n in range(200)]
    labels = {f"{n}": "Trophozoite" if n % 2 else "WBC" for n in range(100)}
    assert find_missing_labels(*tables(rows, labels), CLASSES, 0.05) == []


def test_find_missing_labels_by_device():
    rows = [
        {"image_id": f"{n}", "width": (30, 40)[n % 2], "height": (40, 30)[n % 2], "device": "ab"[n < 20], "group": n}
        for n in range(60)
    ]
    images, boxes = tables(rows, {f"{n}": "Trophozoite" if n < 20 else "Trophozoite+WBC" for n in range(60)})
    assert set(attributes(images)["size"]) == {"40x30"}
    findings = find_missing_labels(images, boxes, CLASSES, 1e-3)
    assert [(each["attribute"], each["value"]) for each in findings] == [("device", "b")]
    names = ignored(images, [*findings, {**findings[0], "class": "Trophozoite"}])
    assert names[:20].eq('["Trophozoite", "WBC"]').all()
    assert names[20:].isna().all()
    assert ignored(images, []).isna().all()


@pytest.mark.parametrize(("seed", "count"), [(11, 130), (12, 130)])
def test_find_missing_labels_of_the_generator(monkeypatch, seed, count):
    photos, images = drawn(monkeypatch, seed, count)
    images["group"] = images["image_id"]  # as an audit without slides sees them
    boxes = boxes_of({each.image_id: each.labelled for each in photos})
    findings = find_missing_labels(images, boxes, CLASSES, 1e-3)
    assert [(each["class"], each["value"], each["labelled"]) for each in findings] == [("WBC", "832x624", 0)]
    assert (ignored(images, findings) == '["WBC"]').sum() == sum(not each.camera.labels_white_cells for each in photos)
    everything = boxes_of({each.image_id: each.boxes for each in photos})
    assert find_missing_labels(images, everything, CLASSES, 1e-3) == []


def test_find_missing_labels_allows_for_slides():
    """25 worlds of 40 slides, each with its own share of both classes, U-shaped for the white cells."""
    rng = np.random.default_rng(0)
    findings = []
    for _ in range(25):
        rows, labels = [], {}
        for slide in range(40):
            width = int(rng.choice([1920, 4032, 4160], p=[0.5, 0.4, 0.1]))
            white, parasites = rng.beta(0.6, 0.6), rng.beta(2, 1)
            for field in range(rng.integers(3, 11)):
                name = f"{slide}-{field}"
                rows.append({"image_id": name, "width": width, "height": 1080, "group": f"{slide}"})
                shown = [label for label, share in (("WBC", white), ("Trophozoite", parasites)) if rng.random() < share]
                labels[name] = "+".join(shown)
        findings += find_missing_labels(*tables(rows, labels), CLASSES, 0.05)
    assert findings == []


@pytest.mark.parametrize(("protocol", "ignoring"), [("detect", True), ("list", False), ("none", False)])
def test_audit_ignores_missing_labels_as_set(settings, tmp_path, protocol, ignoring):
    """Files are absent, so that sizes come from a table beside them; the test images get the column too."""
    (tmp_path / "corrections").mkdir()
    train = [
        f"{size}{n}.jpg,{label},1,1,1,9,9"
        for size in "sl"
        for n in range(30)
        for label in (["Trophozoite", "WBC"] if size == "s" else ["Trophozoite"])
    ]
    (tmp_path / "Train.csv").write_text("Image_ID,class,confidence,ymin,xmin,ymax,xmax\n" + "\n".join(train))
    (tmp_path / "Test.csv").write_text("Image_ID\nl99.jpg\ns99.jpg\n")
    names = [f"{size}{n}.jpg,{80 if size == 's' else 90},60" for size in "sl" for n in [*range(30), 99]]
    (tmp_path / "corrections/sizes.csv").write_text("image_id,width,height\n" + "\n".join(names))
    overrides = {"audit.image_sizes_csv": "corrections/sizes.csv", "audit.missing_labels": protocol}
    result = audit(settings("smear_demo", **overrides), tmp_path, tmp_path)
    listed = result.issues[result.issues["kind"] == "left_out_class"]
    assert list(listed["action"]) == {"detect": ["ignored"], "list": ["listed"], "none": []}[protocol]
    assert [each["value"] for each in result.summary["missing_labels"]] == (["90x60"] if protocol != "none" else [])
    large = result.images["image_id"].str.startswith("l")
    assert (result.images["ignore_classes"] == '["WBC"]').fillna(False).tolist() == (large & ignoring).tolist()


@pytest.mark.real
def test_the_competitions_white_cells_are_missing_at_4160(settings, real_data, tmp_path):
    """Only 4160x3120 photos have boxes beyond 4032 or 3016 pixels (and a pixel of slack); other sizes are not given."""
    table = pd.read_csv(real_data / "lacuna" / "Train.csv")
    reach = table.groupby("Image_ID")[["xmax", "ymax"]].max()
    large = reach[(reach["xmax"] > 4033) | (reach["ymax"] > 3017)].index
    assert len(large) == 40
    (tmp_path / "corrections").mkdir()
    sizes = pd.DataFrame({"image_id": large, "width": 4160, "height": 3120})
    sizes.to_csv(tmp_path / "corrections/sizes.csv", index=False)
    task = settings("malaria", **{"audit.image_sizes_csv": "corrections/sizes.csv"})
    result = audit(task, real_data / "lacuna", tmp_path)
    (finding,) = result.summary["missing_labels"]
    assert (finding["class"], finding["value"], finding["labelled"], finding["images"]) == ("WBC", "4160x3120", 0, 40)
    assert (finding["labelled_elsewhere"], finding["images_elsewhere"]) == (1542, 1978)
    assert finding["p"] < 1e-20
    assert set(result.images.loc[result.images["ignore_classes"] == '["WBC"]', "image_id"]) == set(large)


def test_attributes_put_the_long_side_first():
    images = pd.DataFrame({"width": [30, 40, 20, None], "height": [40, 30, 20, 9], "device": ["x", "", None, "y"]})
    images = images.astype({"width": "Int64", "height": "Int64", "device": "string"})
    stated = images.assign(stated_width=pd.array([1, 1, 1, 5], "Int64"), stated_height=pd.array([1, 1, 1, 7], "Int64"))
    assert attributes(stated)["size"].tolist() == ["40x30", "40x30", "20x20", "9x5"]
    assert attributes(images)["size"].isna().tolist() == [False, False, False, True]
    assert attributes(images)["device"].isna().tolist() == [False, True, True, False]


@pytest.mark.parametrize(("labelled", "expected"), [(10, True), (11, False)])
def test_find_missing_labels_needs_a_tenth_of_the_share_elsewhere(labelled, expected):
    """All of 100 images elsewhere show it, and of 100 images here 10 or 11."""
    rows = [{"image_id": f"{n}", "subset": "train", "width": 10 + n // 100, "height": 5, "device": "", "group": f"{n}"}
            for n in range(200)]  # fmt: skip
    shows = [n < labelled or n >= 100 for n in range(200)]
    boxes = [(f"{n}", "other") for n in range(200)] + [(f"{n}", "x") for n in range(200) if shows[n]]
    images = pd.DataFrame(rows)
    findings = find_missing_labels(images, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01)
    assert [each["value"] for each in findings] == (["10x5"] if expected else [])
    test = images.assign(subset="test")
    assert find_missing_labels(test, pd.DataFrame(boxes, columns=["image_id", "label"]), ["x"], 0.01) == []


def counts(*groups: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(images, labelled) by group -> sizes and labelled."""
    sizes, labelled = np.array(groups).T
    return sizes, labelled


def test_group_size_exact_test_of_single_images_is_fishers(rng):
    for _ in range(50):
        here, elsewhere = (rng.integers(0, 2, rng.integers(1, 40)) for _ in range(2))
        shown = hypergeom(len(here) + len(elsewhere), here.sum() + elsewhere.sum(), len(here))
        p, least = group_size_exact_test(np.ones_like(here), here, np.ones_like(elsewhere), elsewhere)
        assert p == pytest.approx(shown.cdf(here.sum()), rel=1e-9)
        assert least == pytest.approx(shown.cdf(shown.support()[0]), rel=1e-9)


def test_group_size_exact_test_compares_groups_no_smaller():
    elsewhere = counts((4, 3), (6, 1), (1, 0), (1, 0), (1, 1))
    # Four of six images, one of them labelled, show nothing in C(5, 4) of C(6, 4) draws.
    expected = (1 + 0 + comb(5, 4) / comb(6, 4)) / 3
    assert group_size_exact_test(*counts((4, 0)), *elsewhere)[0] == pytest.approx(expected, rel=1e-9)
    # A group of one is held against all; of the large ones, 1/4 and 5/6 of the images are without the class.
    assert group_size_exact_test(*counts((1, 0)), *elsewhere)[0] == pytest.approx((1 + 1 / 4 + 5 / 6 + 2) / 6, rel=1e-9)


def test_group_size_exact_test_caps_large_groups():
    elsewhere = counts(*[(1, 1)] * 4, *[(5, 5)] * 2)
    assert group_size_exact_test(*counts((50, 0)), *elsewhere)[0] == pytest.approx(1 / 3, rel=1e-9)
    assert group_size_exact_test(*counts((50, 45)), *elsewhere)[0] == 1.0


def test_group_size_exact_test_least_p():
    many = counts(*[(8, 8)] * 39)
    assert group_size_exact_test(*counts((30, 0), (9, 0)), *many)[0] == pytest.approx(1 / comb(41, 2), rel=1e-9)
    assert group_size_exact_test(*counts((8, 0), (3, 0)), *many)[0] == pytest.approx(1 / comb(41, 2), rel=1e-9)
    assert group_size_exact_test(*counts((7, 0), (5, 0), (3, 0), (2, 0)), *many) == pytest.approx(
        (1 / comb(43, 4),) * 2, rel=1e-9
    )
    assert group_size_exact_test(*counts((30, 0)), np.zeros(0, int), np.zeros(0, int)) == (1.0, 1.0)


def test_group_size_exact_test_weighs_large_groups():
    elsewhere = counts(*[(1, 0)] * 8, *[(1, 1)] * 12, *[(5, 4)] * 20)
    large, small = (group_size_exact_test(*counts(*[(size, 0)] * 3), *elsewhere)[0] for size in (5, 1))
    assert large == pytest.approx(1 / comb(23, 3), rel=1e-9)
    assert small > 50 * large


def mixed(rng: np.random.Generator, number: int) -> np.ndarray:
    return np.where(rng.random(number) < 0.35, 1, rng.integers(1, 11, number))


def of(size: int):
    return lambda rng, number: np.full(number, size)


@pytest.mark.parametrize(
    ("k", "here", "elsewhere", "rates"),
    [
        (10, of(1), of(10), lambda rng, n: np.full(n, 0.2)),  # many images alone against whole slides
        (6, of(3), of(12), lambda rng, n: rng.beta(0.3, 1, n)),
        (2, of(8), mixed, lambda rng, n: np.where(rng.random(n) < 0.14, 0, 0.8)),  # some slides have no white cell
        (3, mixed, mixed, lambda rng, n: rng.beta(0.6, 0.6, n)),
        (12, mixed, mixed, lambda rng, n: rng.beta(0.3, 2, n)),
    ],
)
def test_group_size_exact_test_holds_its_level(rng, k, here, elsewhere, rates):
    """Nothing is left out; slides differ in rate, and sizes hang on the value. 1,000 worlds, 20 groups elsewhere."""
    p_values = []
    for _ in range(1000):
        sizes, others, rate = here(rng, k), elsewhere(rng, 20), rates(rng, k + 20)
        p_values.append(
            group_size_exact_test(sizes, rng.binomial(sizes, rate[:k]), others, rng.binomial(others, rate[k:]))[0]
        )
    for level in (0.2, 0.05, 0.01):
        assert np.mean(np.array(p_values) <= level) <= level


def test_group_size_exact_test_holds_its_level_at_mixed_sizes(rng):
    """Which slides are without the class is drawn anew each time; how many are is fixed, as the test takes it."""
    sizes, others = np.array([9, 7, 5, 3]), np.full(20, 10)
    p_values = []
    for _ in range(2000):
        shows = rng.permutation(24) >= 6
        p_values.append(group_size_exact_test(sizes, sizes * shows[:4], others, others * shows[4:])[0])
    attained, times = np.unique(p_values, return_counts=True)
    allowed = attained * 2000
    assert (np.cumsum(times) <= allowed + 4 * np.sqrt(allowed)).all()
    assert attained[0] == pytest.approx(comb(6, 4) / comb(24, 4), rel=1e-9)
