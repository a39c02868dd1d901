"""Classes that annotators left out of some images: found where planted, and not where they were not."""

from math import comb

import numpy as np
import pandas as pd
import pytest

from smear_generator import smear
from tropho.data.audit.missing_labels import attributes, find_missing_labels, ignored
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


def test_p_is_fishers_exact_by_hand():
    images, boxes = two_sizes([True] * 12 + [False] * 2, [False] * 6)
    (found,) = find_missing_labels(images, boxes, CLASSES, 0.05)
    # No WBC among 6 of 20 images, 12 of which have one. Two tests: the other size could show 6 in 14, p = 0.02.
    assert found["p"] == pytest.approx(2 * comb(8, 6) / comb(20, 6), rel=5e-3)
    assert {key: found[key] for key in ("class", "attribute", "value")} == {
        "class": "WBC",
        "attribute": "size",
        "value": "200x50",
    }
    assert [found[key] for key in ("images", "labelled", "images_elsewhere", "labelled_elsewhere")] == [6, 0, 14, 12]
    assert find_missing_labels(images, boxes, CLASSES, found["p"] / 2) == []


def test_images_of_a_group_are_one_observation():
    shows = [True] * 12 + [False] * 2, [False] * 6
    images, boxes = two_sizes(*shows)
    images["group"] = images["width"].astype("string")  # one slide of each size
    assert find_missing_labels(images, boxes, CLASSES, 0.05) == []


def test_seldom_is_not_never_unless_nearly():
    few = two_sizes([True] * 400 + [False] * 100, [True] * 30 + [False] * 170)  # 15 % against 80 %: other slides
    assert find_missing_labels(*few, CLASSES, 1e-3) == []
    one = two_sizes([True] * 400 + [False] * 100, [True] * 2 + [False] * 198)
    assert [found["labelled"] for found in find_missing_labels(*one, CLASSES, 1e-3)] == [2]


def test_images_without_another_class_say_nothing():
    """Empty fields, and slides that show one class alone, are no evidence."""
    rows = [{"image_id": f"{n}", "width": 100 + 100 * (n % 2), "height": 50, "group": f"{n}"} for n in range(200)]
    labels = {f"{n}": "Trophozoite" if n % 2 else "WBC" for n in range(100)}
    assert find_missing_labels(*tables(rows, labels), CLASSES, 0.05) == []


def test_turned_photos_are_of_one_size_and_devices_count_too():
    rows = [
        {"image_id": f"{n}", "width": (30, 40)[n % 2], "height": (40, 30)[n % 2], "device": "ab"[n < 20], "group": n}
        for n in range(60)
    ]
    images, boxes = tables(rows, {f"{n}": "Trophozoite" if n < 20 else "Trophozoite+WBC" for n in range(60)})
    assert set(attributes(images)["size"]) == {"40x30"}
    found = find_missing_labels(images, boxes, CLASSES, 1e-3)
    assert [(each["attribute"], each["value"]) for each in found] == [("device", "b")]
    names = ignored(images, [*found, {**found[0], "class": "Trophozoite"}])
    assert names[:20].eq('["Trophozoite", "WBC"]').all()
    assert names[20:].isna().all()
    assert ignored(images, []).isna().all()


@pytest.mark.parametrize(("seed", "count"), [(7, 200), (11, 130), (12, 130)])
def test_the_generators_unlabelled_white_cells_are_found_and_nothing_else(monkeypatch, seed, count):
    photos, images = drawn(monkeypatch, seed, count)
    images["group"] = images["image_id"]  # as an audit without slides sees them
    boxes = boxes_of({each.image_id: each.labelled for each in photos})
    found = find_missing_labels(images, boxes, CLASSES, 1e-3)
    assert [(each["class"], each["value"], each["labelled"]) for each in found] == [("WBC", "832x624", 0)]
    assert (ignored(images, found) == '["WBC"]').sum() == sum(not each.camera.labels_white_cells for each in photos)
    everything = boxes_of({each.image_id: each.boxes for each in photos})
    assert find_missing_labels(images, everything, CLASSES, 1e-3) == []


def test_no_false_finding_where_classes_hang_on_the_slide():
    """60 worlds of 40 slides, each with its own share of both classes, U-shaped for the white cells."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        rows, labels = [], {}
        for slide in range(40):
            width = int(rng.choice([1920, 4032, 4160], p=[0.5, 0.4, 0.1]))
            white, parasites = rng.beta(0.6, 0.6), rng.beta(2, 1)
            for field in range(rng.integers(3, 11)):
                name = f"{slide}-{field}"
                rows.append({"image_id": name, "width": width, "height": 1080, "group": f"{slide}"})
                shown = [label for label, share in (("WBC", white), ("Trophozoite", parasites)) if rng.random() < share]
                labels[name] = "+".join(shown)
        found += find_missing_labels(*tables(rows, labels), CLASSES, 0.05)
    assert found == []


@pytest.mark.parametrize(("protocol", "ignoring"), [("detect", True), ("list", False), ("none", False)])
def test_the_audit_lists_and_ignores_as_told(settings, tmp_path, protocol, ignoring):
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
    knobs = {"audit.image_sizes_csv": "corrections/sizes.csv", "audit.missing_labels": protocol}
    result = audit(settings("smear_demo", **knobs), tmp_path, tmp_path)
    told = result.issues[result.issues["kind"] == "left_out_class"]
    assert list(told["action"]) == {"detect": ["ignored"], "list": ["listed"], "none": []}[protocol]
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
    (found,) = result.summary["missing_labels"]
    assert (found["class"], found["value"], found["labelled"], found["images"]) == ("WBC", "4160x3120", 0, 40)
    assert (found["labelled_elsewhere"], found["images_elsewhere"]) == (1542, 1978)
    assert found["p"] < 1e-20
    assert set(result.images.loc[result.images["ignore_classes"] == '["WBC"]', "image_id"]) == set(large)
