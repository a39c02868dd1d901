"""Tests of the chapters on data."""

import json

from stage_outputs import classification_dataset, detection_dataset, write_data
from tropho.paths import Paths
from tropho.report.blocks import Details, Table, Text
from tropho.report.data_chapters import data, preprocessing
from tropho.report.reader import Reader


def split_table(root, task, dataset):
    write_data(root, task.name, dataset)
    blocks = preprocessing(Reader(task, Paths(root, task.name)))
    (table,) = (block for block in blocks if isinstance(block, Table))
    return table


def column(table: Table, name: str) -> dict[str, str]:
    place = list(table.columns).index(name)
    return {row[0]: row[place] for row in table.rows}


def test_split_counts_boxes_of_each_fold(tmp_path, rng, settings):
    detections = detection_dataset(tmp_path / "raw", 12, rng, ["Trophozoite", "WBC"])
    images = detections.images
    images.loc[[2, 4], "width"] = 200
    table = split_table(tmp_path, settings("smear_demo"), detections)
    part = {"fold 0": [3, 6], "fold 1": [1, 4, 7], "fold 2": [2, 5, 8], "test": [9, 10, 11], "excluded": [0]}
    boxes = detections.boxes["image_id"].value_counts()
    for name, rows in part.items():
        ids = images.loc[rows, "image_id"]
        counts = ids.map(boxes).fillna(0)
        assert column(table, "images")[name] == str(len(rows))
        assert column(table, "groups")[name] == str(images.loc[rows, "group"].nunique())
        assert column(table, "200x64")[name] == str((images.loc[rows, "width"] == 200).sum())
        assert column(table, "images without boxes")[name] == str((counts == 0).sum())
        assert float(column(table, "boxes per image (median)")[name]) == counts.median()
        trophozoites = detections.boxes[detections.boxes["label"] == "Trophozoite"]
        assert column(table, "Trophozoite boxes")[name] == str(trophozoites["image_id"].isin(ids).sum())


def test_split_says_which_empty_images_train(tmp_path, rng, settings):
    write_data(tmp_path, "smear_demo", detection_dataset(tmp_path / "raw", 12, rng, ["Trophozoite", "WBC"]))

    def said(share):
        task = settings("smear_demo", **{"train.empty_fraction": share})
        blocks = preprocessing(Reader(task, Paths(tmp_path, task.name)))
        return [block.text for block in blocks if isinstance(block, Text) and block.text.startswith("Detectors")]

    assert said(1.0) == []
    assert said(0.33)[0].startswith("Detectors train on all images with boxes and on 33% of a fold's training images")
    assert said(0.0)[0].startswith("Detectors train on all images with boxes and on none without;")


def test_split_counts_labels_of_each_fold(tmp_path, rng, settings):
    cells = classification_dataset(tmp_path / "raw", 40, rng, ["Parasitized", "Uninfected"])
    table = split_table(tmp_path, settings("cells_demo"), cells)
    assert list(table.columns) == ["part", "images", "groups", "Parasitized", "Uninfected"]


def test_data_names_further_facts_in_words(cells_reader):
    summary = {
        "colour_modes": {"a_b": {"L": 0.25, "RGB": 0.75}},
        "groups": {"biggest_name": "x_1", "not_matched": 0, "matched": {"all": 0.12345678901234567}},
        "classes": ["a_b"],
        "unheard_of": {"a_key": 0.12345678901234567},
    }
    (cells_reader.paths.audit / "summary.json").write_text(json.dumps(summary))
    (more,) = [block for block in data(cells_reader) if isinstance(block, Details) and "More" in block.title]
    assert dict(more.blocks[0].items) == {
        "share of images by colour mode": "a_b: L 25%, RGB 75%",
        "groups (patients, slides or repeated pictures)": "name of the biggest: x_1",
        "classes": "a_b",
    }
