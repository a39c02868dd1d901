"""Tests of the chapter on methods: what it claims, and only where a record shows it."""

import json

import pandas as pd
import pytest
import yaml

from tropho.report.blocks import Details, KeyValues, List, Table, Text
from tropho.report.method_chapters import methods, training_sentences, tuning


def texts(blocks):
    return " ".join(block.text for block in blocks if isinstance(block, Text))


def chosen_title(reader):
    return next(block.title for block in tuning(reader) if isinstance(block, Table))


def test_tuning_says_whether_training_used_the_choice(cells_reader):
    assert chosen_title(cells_reader) == "Chosen settings, used in training"
    cells_reader.paths.choice.write_text(yaml.safe_dump({"train.lr": 0.5}))
    assert chosen_title(cells_reader) == "Chosen settings; the models were trained with other values"
    for config in cells_reader.paths.models.glob("fold*/config.yaml"):
        config.unlink()
    assert chosen_title(cells_reader) == "Chosen settings"


def test_tuning_says_which_images_and_which_range(cells_reader):
    (cells_reader.paths.search / "choice.json").write_text(json.dumps({"images": {"train": 640, "judge": 160}}))
    blocks = tuning(cells_reader)
    assert "trained on 640 images and scored on 160 others" in texts(blocks)
    (chosen, _) = [block for block in blocks if isinstance(block, Table)]
    assert list(chosen.rows) == [["train.lr", "0.0005 to 0.002, logarithmic", "0.0021"]]


@pytest.mark.parametrize(("best", "warned"), [(0.54, True), (0.56, False), (None, False)])
def test_tuning_warns_of_a_search_no_better_than_guessing(cells_reader, best, warned):
    table = pd.DataFrame({"number": [0], "state": "complete", "score": [best], "train.lr": 0.001})
    table.to_csv(cells_reader.paths.search / "trials.csv", index=False)
    assert any(block.warn for block in tuning(cells_reader) if isinstance(block, Text)) == warned


def test_tuning_says_that_given_settings_were_kept(cells_reader):
    assert "the given settings were kept" not in texts(tuning(cells_reader))
    cells_reader.paths.choice.write_text("{}")
    assert "the given settings were kept" in texts(tuning(cells_reader))


def test_without_a_search_the_page_says_so(cells_reader, settings):
    for path in cells_reader.paths.search.iterdir():
        path.unlink()
    cells_reader.paths.choice.write_text("{}")
    assert "has not been run" in texts(tuning(cells_reader))
    cells_reader.task = settings("cells_demo", **{"tune.trials": 0})
    assert "None: all settings are given" in texts(tuning(cells_reader))


def network_of(reader):
    facts = next(block for block in methods(reader) if isinstance(block, KeyValues))
    return dict(facts.items)["network"]


def test_methods_name_a_backbone_only_if_there_is_one(cells_reader):
    assert network_of(cells_reader) == "resnet18"
    for path in cells_reader.paths.models.glob("fold*/config.yaml"):
        saved = yaml.safe_load(path.read_text())
        saved["settings"]["model"]["name"] = "lenet"
        path.write_text(yaml.safe_dump(saved))
    assert network_of(cells_reader) == "lenet"


def test_methods_list_every_setting(cells_reader):
    blocks = methods(cells_reader)
    (details,) = [block for block in blocks if isinstance(block, Details)]
    names = [row[0] for row in details.blocks[0].rows]
    expected = [
        f"{section}.{key}"
        for section, values in cells_reader.task.model_dump().items()
        if isinstance(values, dict)
        for key in values
    ]
    assert sorted(names) == sorted(expected)
    assert any("AdamW" in item for block in blocks if isinstance(block, List) for item in block.items)


@pytest.mark.parametrize(
    ("task", "overrides", "words"),
    [
        ("cells_demo", {}, "Loss: cross-entropy."),
        ("cells_demo", {"train.class_weights": "balanced"}, "each class weighted by its inverse frequency"),
        ("cells_demo", {"model.pretrained": True}, "published weights (ImageNet)"),
        ("cells_demo", {"train.schedule": "step"}, "is multiplied by 0.5 every 5 epochs after 1 epochs of linear"),
        ("cells_demo", {"train.optimizer": "sgd"}, "SGD with momentum 0.9"),
        ("cells_demo", {"train.early_stopping_patience": 3}, "stops early after 3 validations"),
        ("smear_demo", {}, "focal loss of the classes, generalised IoU loss of the boxes"),
        ("smear_demo", {"train.ema_decay": 0.99}, "moving average of the weights with decay 0.99"),
    ],
)
def test_training_is_told_in_sentences(settings, task, overrides, words):
    told = settings(task, **overrides)
    sections = told.model_dump()
    sentences = training_sentences(told.kind, sections["model"], sections["train"])
    assert words in " ".join(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
