"""The same drawn data set in every format that a reader takes."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

SIZE = (64, 48)
CLASSES = ["007", "Zellä"]
"""Names that neither a number nor ASCII could hold."""
Box = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Drawn:
    """A drawn picture: its subset (train, val or test), its file's name and its boxes, corners in pixels."""

    subset: str
    name: str
    boxes: tuple[Box, ...]


def drawn_set(counts: dict[str, int]) -> list[Drawn]:
    """Describe so many pictures of each subset: two boxes in each, and none in the last of training."""
    pictures = []
    for subset, count in counts.items():
        for number in range(count):
            rng = np.random.default_rng([number, len(subset)])
            left, top = (int(each) for each in rng.integers(1, (10, 26)))
            pair = [(CLASSES[0], left, top, left + 20, top + 20), (CLASSES[1], left + 30, top, left + 50, top + 18)]
            boxes = () if subset == "train" and number == count - 1 else tuple(pair)
            pictures.append(Drawn(subset, f"{subset} {number}.b.png", boxes))
    return pictures


def draw(picture: Drawn, folder: Path) -> None:
    """Write the picture's file: noise, a dark square for the first class, a light one for the second."""
    rng = np.random.default_rng(list(picture.name.encode()))
    pixels = rng.integers(90, 160, (SIZE[1], SIZE[0], 3))
    for label, *corners in picture.boxes:
        left, top, right, bottom = corners
        pixels[top:bottom, left:right] = 20 if label == CLASSES[0] else 240
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / picture.name)


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows, the heading among them, as UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def place_at(raw: Path, files: dict[str, str]) -> Path:
    """Write files; an image of 100 x 80 pixels is drawn where the name ends in .png."""
    for name, text in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            Image.new("L", (100, 80)).save(raw / name)
        else:
            (raw / name).write_text(text, encoding="utf-8")
    return raw


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def of(pictures: list[Drawn], subset: str) -> list[Drawn]:
    """The pictures of a subset."""
    return [each for each in pictures if each.subset == subset]


def zindi(folder: Path, pictures: list[Drawn]) -> None:
    """Train.csv, Test.csv without labels, SampleSubmission.csv, images/."""
    rows: list[list[object]] = [["Image_ID", "class", "confidence", "ymin", "xmin", "ymax", "xmax"]]
    for each in pictures:
        draw(each, folder / "images")
        rows += [[each.name, b[0], 1, b[2], b[1], b[4], b[3]] for b in each.boxes if each.subset != "test"]
        rows += [[each.name, "NEG", 1, 0, 0, 0, 0]] if not each.boxes else []
    write_csv(folder / "Train.csv", rows)
    names = [each.name for each in of(pictures, "test")]
    write_csv(folder / "Test.csv", [["Image_ID"], *([name] for name in names)])
    write_csv(folder / "SampleSubmission.csv", [rows[0], *([name, CLASSES[0], 0.5, 1, 1, 9, 9] for name in names)])


def corners_by_folder(folder: Path, pictures: list[Drawn]) -> None:
    """train/, valid/ and test/, each with _annotations.csv and its images; an empty image has an empty row."""
    for subset in ("train", "val", "test"):
        below = folder / {"val": "valid"}.get(subset, subset)
        rows: list[list[object]] = [["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]]
        for each in of(pictures, subset):
            draw(each, below)
            rows += [[each.name, *SIZE, *box] for box in each.boxes] or [[each.name, *SIZE, "", "", "", "", ""]]
        write_csv(below / "_annotations.csv", rows)


def bbox_cells(folder: Path, pictures: list[Drawn]) -> None:
    """boxes.csv with one cell a box and ids without ending, images in photos/, a sample with strings of boxes."""
    rows: list[list[object]] = [["image_id", "label", "bbox"]]
    for each in pictures:
        draw(each, folder / ("photos" if each.subset != "test" else "test"))
        cells = [[each.name[:-4], b[0], f"[{b[1]}, {b[2]}, {b[3] - b[1]}, {b[4] - b[2]}]"] for b in each.boxes]
        rows += (cells or [[each.name[:-4], "", ""]]) if each.subset != "test" else []
    write_csv(folder / "boxes.csv", rows)
    test = [[each.name[:-4], f"{CLASSES[1]} 0.5 1 2 9 10"] for each in of(pictures, "test")]
    write_csv(folder / "sample_submission.csv", [["image_id", "PredictionString"], *test])


def coco(folder: Path, pictures: list[Drawn]) -> None:
    """annotations/instances_SUBSET2017.json and SUBSET2017/; the test has no annotations."""
    for subset in ("train", "val", "test"):
        images, annotations = [], []
        for number, each in enumerate(of(pictures, subset), start=1):
            draw(each, folder / f"{subset}2017")
            images.append({"id": number, "file_name": each.name, "width": SIZE[0], "height": SIZE[1]})
            for label, left, top, right, bottom in each.boxes if subset != "test" else ():
                box = {"bbox": [left, top, right - left, bottom - top], "category_id": CLASSES.index(label) + 1}
                annotations.append({"id": len(annotations), "image_id": number, "iscrowd": 0, **box})
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_text(folder / "annotations" / f"instances_{subset}2017.json", json.dumps(content))


def voc(folder: Path, pictures: list[Drawn]) -> None:
    """VOC2012/Annotations, JPEGImages and ImageSets/Main; the test is labelled."""
    top = folder / "VOC2012"
    for each in pictures:
        draw(each, top / "JPEGImages")
        write_text(top / "Annotations" / f"{each.name[:-4]}.xml", _voc_xml(each))
    for subset in ("train", "val", "test"):
        names = "".join(f"{each.name[:-4]}\n" for each in of(pictures, subset))
        write_text(top / "ImageSets/Main" / f"{subset}.txt", names)


def voc_beside(folder: Path, pictures: list[Drawn]) -> None:
    """Roboflow's export: train/, valid/ and test/, each annotation beside its image."""
    for each in pictures:
        below = folder / {"val": "valid"}.get(each.subset, each.subset)
        draw(each, below)
        write_text(below / f"{each.name[:-4]}.xml", _voc_xml(each))


def _voc_xml(picture: Drawn) -> str:
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = [
        f"<object><name>{escape(label)}</name><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, corners, strict=True))
        + "</bndbox></object>"
        for label, *corners in picture.boxes
    ]
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{picture.name}</filename>{size}\n" + "\n".join(objects) + "</annotation>"


def yolo(folder: Path, pictures: list[Drawn]) -> None:
    """data.yaml, images/SUBSET and labels/SUBSET; the test has no labels."""
    for each in pictures:
        draw(each, folder / "images" / each.subset)
        rows = [
            f"{CLASSES.index(b[0])} {(b[1] + b[3]) / 2 / SIZE[0]} {(b[2] + b[4]) / 2 / SIZE[1]} "
            f"{(b[3] - b[1]) / SIZE[0]} {(b[4] - b[2]) / SIZE[1]}\n"
            for b in each.boxes
        ]
        if each.subset != "test":
            write_text(folder / "labels" / each.subset / f"{each.name[:-4]}.txt", "".join(rows))
    places = "".join(f"{subset}: images/{subset}\n" for subset in ("train", "val", "test"))
    write_text(folder / "data.yaml", f"path: ../datasets/cells\n{places}names: {json.dumps(CLASSES)}\n")


def kitti(folder: Path, pictures: list[Drawn]) -> None:
    """training/image_2 and label_2, testing/image_2; val is a part of training."""
    for each in pictures:
        below = folder / ("testing" if each.subset == "test" else "training")
        draw(each, below / "image_2")
        rows = [f"{b[0]} 0 0 0 {b[1]} {b[2]} {b[3]} {b[4]} 0 0 0 0 0 0 0\n" for b in each.boxes]
        if each.subset != "test":
            write_text(below / "label_2" / f"{each.name[:-4]}.txt", "".join(rows))


def label_of(picture: Drawn) -> str:
    """The class of a picture as a whole, by its number."""
    return CLASSES[int(picture.name.split()[1][0]) % 2]


def class_folders(folder: Path, pictures: list[Drawn]) -> None:
    """train/CLASS, val/CLASS and test/CLASS."""
    for each in pictures:
        draw(each, folder / each.subset / label_of(each))


def bare_class_folders(folder: Path, pictures: list[Drawn]) -> None:
    """CLASS/ at the top, all for training."""
    for each in pictures:
        draw(each, folder / label_of(each))


def label_tables(folder: Path, pictures: list[Drawn]) -> None:
    """train.csv, val.csv, test.csv without labels, and a sample with a probability a class in other order."""
    for subset in ("train", "val", "test"):
        rows = [["id", "label"]] if subset != "test" else [["id"]]
        for each in of(pictures, subset):
            draw(each, folder / subset)
            rows.append([each.name[:-4], *([label_of(each)] if subset != "test" else [])])
        write_csv(folder / f"{subset}.csv", rows)
    test = [[each.name[:-4], 0.5, 0.5] for each in reversed(of(pictures, "test"))]
    write_csv(folder / "sample_submission.csv", [["id", CLASSES[1], CLASSES[0]], *test])


def one_label_table(folder: Path, pictures: list[Drawn]) -> None:
    """labels.csv with a column of subsets, the test labelled too."""
    for each in pictures:
        draw(each, folder / "images")
    rows = [[f"images/{each.name}", label_of(each), each.subset] for each in pictures]
    write_csv(folder / "labels.csv", [["path", "class", "split"], *rows])
