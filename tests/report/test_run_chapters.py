"""Tests of the chapters on runs: what they claim, and only where a record shows it."""

import json

import yaml

from tropho.report.blocks import Table, Text
from tropho.report.run_chapters import training, tuning


def chosen_title(reader):
    return next(block.title for block in tuning(reader).blocks if isinstance(block, Table))


def test_tuning_says_whether_training_used_the_choice(cells_reader):
    assert chosen_title(cells_reader) == "Chosen settings, used in training"
    cells_reader.paths.choice.write_text(yaml.safe_dump({"train.lr": 0.5}))
    assert chosen_title(cells_reader) == "Chosen settings; the models were trained with other values"
    for config in cells_reader.paths.models.glob("fold*/config.yaml"):
        config.unlink()
    assert chosen_title(cells_reader) == "Chosen settings"


def test_tuning_says_which_images_chose(cells_reader):
    (cells_reader.paths.search / "choice.json").write_text(json.dumps({"images": {"train": 640, "judge": 160}}))
    text = " ".join(block.text for block in tuning(cells_reader).blocks if isinstance(block, Text))
    assert "trained on 640 images and scored on 160 others" in text


def test_training_names_a_backbone_only_if_there_is_one(cells_reader):
    assert dict(training(cells_reader).blocks[0].items)["network"] == "resnet with resnet18"
    for path in cells_reader.paths.models.glob("fold*/config.yaml"):
        saved = yaml.safe_load(path.read_text())
        saved["settings"]["model"]["name"] = "lenet"
        path.write_text(yaml.safe_dump(saved))
    assert dict(training(cells_reader).blocks[0].items)["network"] == "lenet"
