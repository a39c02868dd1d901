"""Pictures as cameras, tools and the web give them: turned by EXIF, of more than 8 bits, of another format, huge."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tropho.images.cache import ImageCache
from tropho.images.decode import Decoding, read_image
from tropho.submission.target import to_stored_frame
from tropho.tables import BOX

WIDE, HIGH = 96, 60
SMALL = {
    "augment": {"image_size": 48, "policy": "none"},
    "train": {"epochs": 1, "batch_size": 4, "n_folds": 1},
    "evaluate": {"gallery_images": 2},
}


FCOS = {"name": "fcos", "fpn_channels": 32, "num_head_convs": 1}


def look(project, folder: Path, form: str) -> None:
    """Audit a folder of boxes."""
    local = {"source": "local", "path": str(folder)}
    project.add("t", "detection", download=local, audit={"format": form}, model=FCOS)
    project.run("t", "download", "audit")


def summary(project, task="t"):
    return json.loads((project.root / "data" / "audit" / task / "summary.json").read_text())


def saved(pixels: np.ndarray, path: Path, orientation: int) -> None:
    """Store an upright picture as a camera that was held another way does."""
    swapped = (1, 0, *range(2, pixels.ndim))
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(swapped),
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].transpose(swapped),
        8: np.rot90(pixels, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)


def spotted(rng, width: int = WIDE, height: int = HIGH) -> tuple[np.ndarray, list[int]]:
    """A grey picture with one bright rectangle, and its box xyxy."""
    pixels = rng.integers(60, 90, (height, width, 3), dtype=np.uint8)
    x, y = rng.integers(4, width - 30), rng.integers(4, height - 20)
    pixels[y : y + 12, x : x + 22] = 220
    return pixels, [int(x), int(y), int(x) + 22, int(y) + 12]


def where(pixels: np.ndarray) -> list[int]:
    """The box of the bright rectangle."""
    y, x = np.nonzero(pixels[:, :, 0] > 160)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def coco(folder: Path, images: list[dict], boxes: list[tuple[int, list[float]]]) -> None:
    annotations = [
        {"id": n, "image_id": number, "category_id": 1, "bbox": [x, y, right - x, low - y]}
        for n, (number, (x, y, right, low)) in enumerate(boxes)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "train.json").write_text(json.dumps(content))


def stored_size(orientation: int, size: tuple[int, int] = (WIDE, HIGH)) -> tuple[int, int]:
    return size[::-1] if orientation > 4 else size


def stored_box(box: list[int], orientation: int, size: tuple[int, int] = (WIDE, HIGH)) -> list[int]:
    """Where an upright box lies in the stored picture, found by drawing it."""
    mask = np.zeros((size[1], size[0], 3), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    swapped = (1, 0, 2)
    stored = {
        1: mask,
        2: mask[:, ::-1],
        3: mask[::-1, ::-1],
        4: mask[::-1],
        5: mask.transpose(swapped),
        6: np.rot90(mask),
        7: mask[::-1, ::-1].transpose(swapped),
        8: np.rot90(mask, -1),
    }[orientation]
    return [int(value) for value in where(stored)]


def test_a_submission_is_written_in_the_frame_of_the_labels(project, phone):
    """Boxes of the upright pictures go back to where the labels have them; a row that says "nothing here" stays."""
    phone("stored", range(1, 9), "stored")
    found = project.table("t", "boxes")
    nothing = found.iloc[[5]].assign(label="NEG", **dict.fromkeys(BOX, 0.0))
    images = project.table("t", "images")
    raw = project.root / "data" / "raw" / "t"
    table, sizes = to_stored_frame(pd.concat([found, nothing], ignore_index=True), images, raw)
    labels = json.loads((raw / "train.json").read_text())
    stored = {each["image_id"]: each["bbox"] for each in labels["annotations"]}
    for number, row in enumerate(table.iloc[:8].itertuples()):
        assert [row.xmin, row.ymin, row.xmax - row.xmin, row.ymax - row.ymin] == stored[number]
        told = labels["images"][number]
        assert tuple(sizes.loc[number, ["width", "height"]]) == (told["width"], told["height"])
    assert (table[BOX].iloc[8] == 0).all()


@pytest.fixture
def phone(project, rng):
    """phone(frame, orientations, stated) makes a COCO task of photos held in many ways; it gives their true boxes."""

    def make(frame: str, orientations, stated: str | None, size=(WIDE, HIGH)) -> dict[str, list[int]]:
        folder = project.root / "source"
        folder.mkdir()
        images, boxes, right = [], [], {}
        for number, orientation in enumerate(orientations):
            pixels, box = spotted(rng, *size)
            name = f"p{number}.png"
            saved(pixels, folder / name, orientation)
            image = {"id": number, "file_name": name}
            told = {"stored": stored_size(orientation, size), "upright": size, None: None}[stated]
            images.append({**image, "width": told[0], "height": told[1]} if told else image)
            boxes.append((number, stored_box(box, orientation, size) if frame == "stored" else box))
            right[name] = box
        coco(folder, images, boxes)
        look(project, folder, "coco")
        return right

    return make


def audited(project) -> dict[str, list[float]]:
    boxes = project.table("t", "boxes").set_index("image_id")
    return {name: list(boxes.loc[name, BOX]) for name in boxes.index}


@pytest.mark.parametrize("frame", ["stored", "upright"])
def test_boxes_are_brought_into_the_upright_frame_by_the_size_that_the_labels_state(project, phone, frame):
    """A half turn and a mirror keep the size: the quarter turns of the same data set tell."""
    right = phone(frame, range(1, 9), frame)
    assert audited(project) == right
    kinds = project.table("t", "issues")["kind"].value_counts().to_dict()
    assert kinds == ({"turned_boxes": 7} if frame == "stored" else {})
    assert set(project.table("t", "images")["status"]) == {"ok"}
    assert summary(project)["box_frame"] == frame


def test_where_nothing_tells_the_frame_the_image_is_quarantined_with_a_remedy(project, phone):
    right = phone("stored", [1, 1, 3, 2], "stored")
    assert set(audited(project)) == {"p0.png", "p1.png"}
    assert {name: right[name] for name in ("p0.png", "p1.png")} == audited(project)
    issues = project.table("t", "issues").query("kind == 'unknown_frame'")
    assert list(issues["action"]) == ["quarantined"] * 2
    assert "remove the tag" in issues["detail"].iloc[0]
    assert list(project.table("t", "images")["status"]) == ["ok", "ok", "unlabelled", "unlabelled"]
    assert summary(project)["box_frame"] is None


def test_a_square_photo_is_turned_as_the_others_are_or_not_at_all(project, phone):
    phone("stored", [1, 6, 8], "stored", size=(80, 80))
    assert set(audited(project)) == {"p0.png"}


def test_without_a_stated_size_boxes_tell_that_fit_one_frame_only(project, rng):
    folder = project.root / "source"
    folder.mkdir()
    rows, right = [], {}
    for number, orientation in enumerate([1, 6, 6, 3, 1]):
        pixels, box = spotted(rng)
        if orientation == 6:  # far along the longer side
            pixels[:] = 70
            box = [10 + number, 4, 32 + number, 16] if number == 1 else [60, 20, 82, 32]
            pixels[box[1] : box[3], box[0] : box[2]] = 220
        saved(pixels, folder / f"p{number}.png", orientation)
        drawn = stored_box(box, orientation)
        rows.append([f"p{number}.png", "cell", 1, drawn[1], drawn[0], drawn[3], drawn[2]])
        right[f"p{number}.png"] = box
    header = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
    pd.DataFrame(rows, columns=header).to_csv(folder / "Train.csv", index=False)
    look(project, folder, "boxes_csv")
    assert audited(project) == right
    assert summary(project)["box_frame"] == "stored"


@pytest.mark.parametrize("form", ["yolo", "boxes_csv"])
def test_shares_of_a_turned_photo_are_not_trained_on_unless_a_size_tells_their_frame(project, rng, form):
    """Shares fit into any frame; audit.image_sizes_csv names the stored one here."""
    folder = project.root / "source"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    right, rows, sizes = {}, [], []
    for number, orientation in enumerate([1, 6, 8]):
        pixels, box = spotted(rng)
        name = f"p{number}.png"
        saved(pixels, folder / "images" / name, orientation)
        size = stored_size(orientation)
        left, top, far, low = np.array(stored_box(box, orientation)) / np.tile(size, 2)
        cells = [(left + far) / 2, (top + low) / 2, far - left, low - top]
        (folder / "labels" / f"p{number}.txt").write_text(" ".join(map(str, [0, *cells])))
        rows.append([name, "cell", left, top, far, low])
        sizes.append([name, *size])
        right[name] = box
    if form == "boxes_csv":
        header = ["filename", "class", "xmin", "ymin", "xmax", "ymax"]
        pd.DataFrame(rows, columns=header).to_csv(folder / "Train.csv", index=False)
    look(project, folder, form)
    assert set(audited(project)) == {"p0.png"}
    assert list(project.table("t", "issues").query("kind == 'unknown_frame'")["image_id"]) == ["p1.png", "p2.png"]
    (project.root / "corrections").mkdir()
    table = pd.DataFrame(sizes, columns=["image_id", "width", "height"])
    table.to_csv(project.root / "corrections" / "sizes.csv", index=False)
    audit = {"format": form, "image_sizes_csv": "corrections/sizes.csv"}
    local = {"source": "local", "path": str(folder)}
    project.add("t", "detection", download=local, audit=audit, model=FCOS)
    project.run("t", "audit")
    found = audited(project)
    assert set(found) == set(right)
    for name, box in right.items():
        np.testing.assert_allclose(found[name], box, atol=0.01)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_boxes_of_a_resized_copy_are_scaled(project, rng, scale):
    folder = project.root / "source"
    folder.mkdir()
    pixels, box = spotted(rng)
    Image.fromarray(pixels).save(folder / "a.png")
    image = {"id": 0, "file_name": "a.png", "width": round(WIDE * scale), "height": round(HIGH * scale)}
    coco(folder, [image], [(0, [value * scale for value in box])])
    look(project, folder, "coco")
    assert audited(project) == {"a.png": box}
    assert list(project.table("t", "issues")[["kind", "action"]].iloc[0]) == ["scaled_boxes", "repaired"]


@pytest.mark.parametrize("stated", [(HIGH, WIDE), (WIDE + 40, HIGH), (WIDE // 3, HIGH // 3)])
def test_a_size_that_is_not_the_files_is_never_trained_on_as_listed(project, rng, stated):
    """The last states a third of the size, into which the box does not fit."""
    folder = project.root / "source"
    folder.mkdir()
    pixels, box = spotted(rng)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(folder / name)
    images = [{"id": 0, "file_name": "a.png", "width": stated[0], "height": stated[1]}, {"id": 1, "file_name": "b.png"}]
    coco(folder, images, [(0, box if stated[0] > 40 else [60, 40, 82, 52]), (1, box)])
    look(project, folder, "coco")
    assert set(audited(project)) == {"b.png"}
    issue = project.table("t", "issues").set_index("kind").loc["size_mismatch"]
    assert issue["action"] == "quarantined"
    assert f"state {stated[0]}x{stated[1]}" in issue["detail"]


def frames(folder: Path, write, rng, count: int = 12) -> None:
    """Two class folders of 32x32 pictures with 12 bits of 16, the second with a bright spot."""
    for label in ("clear", "spot"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            values = 1000 + rng.integers(0, 60, (32, 32))
            if label == "spot":
                values[8:16, 8 + number : 16 + number] += 150
            write(folder / label / f"{label}{number}", values)


def sixteen(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint16)).save(path.with_suffix(".png" if path.name[-1] in "02468" else ".tif"))


def signed(path: Path, values: np.ndarray) -> None:
    cv2.imwrite(str(path.with_suffix(".tif")), (values - 1100).astype(np.int16))


def floating(path: Path, values: np.ndarray) -> None:
    values = values.astype(np.float32) / 1000
    values[0, :2] = math.nan, math.inf
    Image.fromarray(values).save(path.with_suffix(".tif"))


def doubles(path: Path, values: np.ndarray) -> None:
    cv2.imwrite(str(path.with_suffix(".tif")), values.astype(np.float64))


def colour(path: Path, values: np.ndarray) -> None:
    cv2.imwrite(str(path.with_suffix(".png")), np.dstack([values, values + 5, values + 9]).astype(np.uint16))


@pytest.mark.parametrize("write", [sixteen, signed, floating, doubles, colour])
def test_deep_images_keep_what_they_show(project, rng, write):
    frames(project.root / "source", write, rng)
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "source")})
    said = project.run("t", "download", "audit").text
    found = summary(project)["value_range"]
    low, high = {signed: (-100, 109), floating: (1.0, 1.209), colour: (1000, 1218)}.get(write, (1000, 1209))
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.002)
    assert "duplicate_image" not in set(project.table("t", "issues")["kind"])
    assert set(project.table("t", "images")["status"]) == {"ok"}
    assert "are scaled by their range" in said
    if write not in (floating, doubles):
        assert "distinct grey levels" in said
    if write is sixteen:
        assert "(1000 to 1209, 0.3 % of 16 bits)" in said


def test_the_same_range_is_used_from_the_pack_to_the_prediction(project, rng):
    """And by a model folder alone, as it is served."""
    frames(project.root / "source", sixteen, rng)
    model = {"name": "mlp", "hidden_units": [8]}
    split = {"n_folds": 2, "test_fraction": 0.2}
    local = {"source": "local", "path": str(project.root / "source")}
    project.add("t", "classification", download=local, split=split, model=model, **SMALL)
    project.run("t", "download", "audit", "split", "augment", "tune", "train", "evaluate")
    found = summary(project)["value_range"]
    decoding = Decoding(value_range=(found["low"], found["high"]))
    images = project.table("t", "images").set_index("image_id")
    pack = ImageCache(project.root / "data" / "augmented" / "t" / "cache")
    name = "spot/spot3.tif"
    pixels = read_image(project.root / "data" / "raw" / "t" / images.loc[name, "path"], decoding=decoding)
    assert np.ptp(pixels) > 200
    assert np.abs(cv2.resize(pack[name], (32, 32), interpolation=cv2.INTER_AREA).astype(int) - pixels).mean() < 30

    from tropho.inference.predictor import load_predictor

    predictor = load_predictor(project.root / "models" / "t" / "fold0")
    assert predictor.decoding == decoding
    fitted = json.loads((project.root / "reports" / "t" / "evaluate" / "postprocess.json").read_text())
    alone = predictor.task.postprocess(predictor.predict_raw(pixels, name, fitted), fitted)
    out = project.root / "out.csv"
    project.tropho("predict", "t", project.root / "source" / name, "--out", out)
    told = pd.read_csv(out)
    assert told["p_spot"].iloc[0] == pytest.approx(alone["p_spot"].iloc[0], abs=1e-4)
    assert "value_range" in (project.root / "data" / "augmented" / "t" / "cache" / "cache.json").read_text()


def test_eight_bit_packs_know_no_range(project, rng):
    frames(
        project.root / "source",
        lambda path, values: Image.fromarray((values - 1000).astype(np.uint8)).save(path.with_suffix(".png")),
        rng,
    )
    project.add("t", "classification", download={"source": "local", "path": str(project.root / "source")}, **SMALL)
    project.run("t", "download", "audit", "split", "augment")
    assert summary(project)["value_range"] is None
    pack = json.loads((project.root / "data" / "augmented" / "t" / "cache" / "cache.json").read_text())
    assert set(pack) == {"version", "size", "encoding", "grayscale", "images", "fingerprint", "sha256"}


def test_mixed_depths_are_told_and_constant_ones_do_not_divide_by_zero(project, rng):
    source = project.root / "source"
    for label in ("a", "b"):
        (source / label).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(source / label / f"{number}.png")
        Image.fromarray(np.full((16, 16), 7, np.uint16)).save(source / label / "deep.png")
    project.add("t", "classification", download={"source": "local", "path": str(source)})
    assert "leaves the training images 1 distinct grey levels" in project.run("t", "download", "audit").text
    Image.fromarray(np.full((16, 16), 9, np.uint16)).save(source / "a" / "deep.png")
    said = project.run("t", "download", "audit").text
    assert "2 distinct grey levels" in said
    assert "; 6 of 8 bits are not scaled" in said


def test_a_test_image_is_predicted_whatever_its_name_and_labels_are(project, rng):
    """Named wrongly, labelled beside the picture, in a frame that nobody knows: it can be read, so it is predicted."""
    folder = project.root / "source"
    folder.mkdir()
    header = ["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]
    rows: dict[str, list] = {"Train": [], "Test": []}
    for number in range(12):
        subset = "Test" if number > 7 else "Train"
        pixels, (left, top, right, low) = spotted(rng)
        name = f"p{number}.png"
        orientation, form = (3 if number in (2, 9) else 1), ("WEBP" if number in (3, 10) else "PNG")
        saved(pixels, folder / name, orientation)
        if form == "WEBP":
            Image.fromarray(pixels).save(folder / name, format=form)
        shift = 500 if number == 11 else 0
        rows[subset].append([name, "cell", 1, top + shift, left, low + shift, right])
    for subset, table in rows.items():
        pd.DataFrame(table, columns=header).to_csv(folder / f"{subset}.csv", index=False)
    local = {"source": "local", "path": str(folder)}
    audit = {"format": "boxes_csv"}
    project.add("t", "detection", download=local, audit=audit, split={"n_folds": 2}, model=FCOS, **SMALL)
    project.run("t", "download", "audit", "split", "augment")
    status = project.table("t", "images").set_index("image_id")["status"]
    assert status["p2.png"] == "unlabelled"
    assert status["p3.png"] == "ok"
    splits = pd.read_csv(project.root / "data" / "splits" / "t.csv")
    assert set(splits.loc[splits["subset"] == "test", "image_id"]) == {f"p{number}.png" for number in range(8, 12)}
    pack = ImageCache(project.root / "data" / "augmented" / "t" / "cache")
    assert {f"p{number}.png" for number in range(8, 12)} <= set(pack.image_ids)
    assert "p2.png" not in pack


def test_large_images_are_a_setting_away(project, rng):
    source = project.root / "source"
    for label in ("a", "b"):
        (source / label).mkdir(parents=True)
        for number in range(3):
            side = 1100 if number == 0 else 40
            Image.fromarray(rng.integers(0, 255, (side, side), dtype=np.uint8)).save(source / label / f"{number}.png")
    local = {"source": "local", "path": str(source)}
    project.add("t", "classification", download=local, audit={"max_megapixels": 1}, split={"n_folds": 2}, **SMALL)
    project.run("t", "download", "audit")
    issues = project.table("t", "issues").query("kind == 'unreadable'")
    assert len(issues) == 2
    assert "has 1.21 megapixels, more than audit.max_megapixels (1); raise it" in issues["detail"].iloc[0]
    project.add("t", "classification", download=local, audit={"max_megapixels": 2}, split={"n_folds": 2}, **SMALL)
    project.run("t", "audit", "split", "augment")
    assert set(project.table("t", "images")["status"]) == {"ok"}


@pytest.mark.real
def test_case_04_exif_turns_the_photo_and_its_boxes(case):
    project, task = case("04")
    project.run(task, "download", "audit")
    right = pd.read_csv(next(project.root.glob("04-*/upright_boxes.csv"))).set_index("file")
    boxes = project.table(task, "boxes").set_index("image_id")
    assert len(boxes) == 12
    for name in boxes.index:
        np.testing.assert_allclose(boxes.loc[name, BOX].astype(float), right.loc[name, BOX].astype(float), atol=1)
    assert summary(project, task)["box_frame"] == "stored"


@pytest.mark.real
def test_case_05_twelve_bits_in_sixteen(case):
    project, task = case("05")
    said = project.run(task, "download", "audit").text
    assert "duplicate_image" not in set(project.table(task, "issues")["kind"])
    assert "(1030 to 1275, 0.4 % of 16 bits)" in said
    project.run(task, "split")


@pytest.mark.real
def test_case_09_test_images_whose_ending_lies(case):
    project, task = case("09")
    project.run(task, "download", "audit", "split", "augment", "tune", "train", "evaluate", "submit")
    text = (project.root / "submissions" / f"{task}.csv").read_text()
    assert text.count(",NEG,0.5,") == 0
