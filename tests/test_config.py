import re

import pytest
import yaml

from conftest import ROOT
from tropho.config.load import load_params, load_task, member_settings, task_settings, with_overrides
from tropho.config.task_config import SECTIONS, TaskConfig
from tropho.errors import UsageError


@pytest.fixture
def params():
    return load_params(ROOT / "params.yaml")


def test_every_task_of_the_project_is_valid(params):
    assert list(params["tasks"]) == [
        "smear_demo",
        "cells_demo",
        "malaria",
        "brain_tumor",
        "brain_tumor_binary",
        "retina_oct",
        "chest_xray",
    ]
    for task in params["tasks"]:
        assert task_settings(task, params).name == task


def test_defaults_name_every_setting(params):
    for section in SECTIONS:
        fields = TaskConfig.model_fields[section].annotation.model_fields
        assert list(params["defaults"][section]) == list(fields), section


def test_every_default_has_a_comment():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    block = lines[lines.index("defaults:") + 1 : lines.index("tasks:")]
    knobs = [line for line in block if re.match(r"    \w+:", line)]
    assert len(knobs) > 60
    assert [line for line in knobs if "  # " not in line] == []


def test_a_task_says_only_what_differs(params):
    settings = task_settings("smear_demo", params)
    assert settings.model.name == "fcos"
    assert settings.model.backbone == params["defaults"]["model"]["backbone"]


def test_settings_are_frozen(settings):
    with pytest.raises(ValueError, match="frozen"):
        settings("smear_demo").train.epochs = 3


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("train", {"epoch": 3}, ["tasks.malaria.train.epoch", "did you mean 'epochs'"]),
        ("train", {"lr": "1e-3"}, ["tasks.malaria.train.lr", "1.0e-3"]),
        ("train", {"epochs": 0}, ["tasks.malaria.train.epochs is 0", "greater than or equal to 1"]),
        ("train", {"epochs": 2.5}, ["tasks.malaria.train.epochs is 2.5"]),
        ("train", {"schedule": "cosin"}, ["tasks.malaria.train.schedule", "'cosine'"]),
        ("model", {"fpn_levels": [3, 5]}, ["tasks.malaria.model", "consecutive"]),
        ("model", {"name": "resnet"}, ["tasks.malaria", "can't do detection"]),
        ("download", {"source": "local"}, ["tasks.malaria.download", "'path'"]),
        ("predict", {"tta": ["mirror"]}, ["tasks.malaria.predict.tta.0", "'hflip'"]),
        ("predict", {"tta": ["hflip@9"]}, ["tasks.malaria.predict.tta.0", "0.25 to 4.0"]),
        ("predict", {"tta": ["hflip", "hflip@1.0"]}, ["tasks.malaria.predict.tta", "twice"]),
        (
            "predict",
            {"member_weights": {"base": 1.0, "other": 1.0}},
            ["tasks.malaria", "predict.member_weights needs a value for each of base"],
        ),
        ("train", {"ensemble": {"fold1": {}}}, ["tasks.malaria.train.ensemble.fold1", "not base or fold0"]),
        ("train", {"ensemble": {"m": {"train.lrr": 0.1}}}, ["tasks.malaria.train.ensemble.m", "'train.lr'"]),
        ("train", {"ensemble": {"m": {"train.lr": -1.0}}}, ["tasks.malaria.train.ensemble.m", "greater than 0"]),
        ("train", {"n_folds": 9}, ["train.n_folds is 9, but split.n_folds makes only 5"]),
        ("split", {"published_val": "keep"}, ["tasks.malaria", "train.n_folds must be 1", "split.published_val"]),
        ("model", {"backbone": "resnet19"}, ["did you mean 'resnet18'"]),
        ("model", {"backbone": "resnext50"}, ["did you mean 'resnext50_32x4d'"]),
        ("train", {"ensemble": {"m": {"split.n_folds": 3}}}, ["ensemble.m can't change 'split.n_folds'"]),
        ("train", {"ensemble": {"m": {"train.n_folds": 1}}}, ["ensemble.m can't change 'train.n_folds'"]),
        (
            "train",
            {"ensemble": {"m": {"augment.image_size": 2048}}},
            ["ensemble.m", "2048 is more than the 1280 pixels"],
        ),
        ("train", {"ensemble": {"m": {"model.name": "resnet"}}}, ["ensemble.m", "can't do detection"]),
        ("model", {"name": "negative_classifier"}, ["tasks.malaria.model.name", "train.ensemble"]),
        ("predict", {"negative_members": ["emtpy"]}, ["tasks.malaria", "there is no member 'emtpy'"]),
        ("predict", {"negative_members": []}, ["tasks.malaria.predict.negative_members", "at least 1 item"]),
        ("predict", {"member_weights": "fitted"}, ["predict.member_weights", "evaluate.fit_postprocess: true"]),
        ("evaluate", {"postprocess_trials": 8}, ["tasks.malaria.evaluate.postprocess_trials", "fit_postprocess"]),
        ("predict", {"wbf_iou_threshold": {"WBC": 0.5}}, ["tasks.malaria", "predict.wbf_iou_threshold by class"]),
        ("predict", {"tile_size": 500}, ["tasks.malaria.predict.tile_size is 500", "multiple of 32"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(params, section, changes, words):
    params["preset"] = "gpu"
    params["tasks"]["malaria"][section] = {**params["tasks"]["malaria"][section], **changes}
    if "ensemble" in changes:  # without the preset's classifier
        params["tasks"]["malaria"]["predict"] = {"negative_members": None}
    with pytest.raises(UsageError) as caught:
        task_settings("malaria", params)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.fault("a task's name that is a path or a shell command", "refuses the name before any work")
@pytest.mark.parametrize("name", ["../../victim", ".", "..", "/x", "x; touch PWNED #", "a b", "", "-x", "é"])
@pytest.mark.parametrize("place", ["tasks", "active"])
def test_a_task_name_is_neither_a_path_nor_a_shell_word(tmp_path, params, name, place):
    if place == "tasks":
        params["tasks"][name] = params["tasks"]["malaria"]
    else:
        params["active"] = [name]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UsageError, match="can't be the name of a task"):
        load_params(tmp_path / "params.yaml")


def test_an_mlp_is_not_asked_for_views_at_other_scales(params):
    params["tasks"]["cells_demo"].update(model={"name": "mlp"}, predict={"tta": ["identity", "hflip@1.25"]})
    with pytest.raises(UsageError, match=r"tasks\.cells_demo: an mlp sees images of one size only"):
        task_settings("cells_demo", params)


def test_a_preset_lies_between_the_defaults_and_what_the_task_says(params):
    laptop = task_settings("brain_tumor", params)
    gpu = task_settings("brain_tumor", {**params, "preset": "gpu"})
    assert (laptop.augment.image_size, gpu.augment.image_size) == (128, 224)
    assert laptop.train.lr == params["defaults"]["train"]["lr"]
    assert gpu.model.pretrained
    params["tasks"]["brain_tumor"]["augment"] = {"image_size": 96}
    assert task_settings("brain_tumor", params).augment.image_size == 96


@pytest.mark.parametrize("preset", ["laptop", "gpu"])
def test_every_class_project_has_a_preset_for_either_machine(params, preset):
    for task in ("brain_tumor", "brain_tumor_binary", "retina_oct", "chest_xray"):
        assert preset in params["presets"]["classification"]
        assert task_settings(task, {**params, "preset": preset}).kind == "classification"


def test_every_choice_of_a_preset_has_its_reason():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    choices = [line for line in lines if re.match(r" {6,8}\w+\.\w+:", line)]
    assert len(choices) > 35
    assert [line for line in choices if "  # " not in line] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"preset": "laptpo"},
            "preset is 'laptpo', but tasks.brain_tumor.presets has none of that name (did you mean 'laptop'?)",
        ),
        ({"preset": None}, "preset is 'None', but tasks.brain_tumor.presets has none of that name"),
    ],
)
def test_an_unknown_preset_names_the_nearest(params, changes, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        task_settings("brain_tumor", {**params, **changes})
    assert task_settings("cells_demo", {**params, **changes}).name == "cells_demo"  # it has none to choose from


@pytest.mark.parametrize(
    ("presets", "words"),
    [
        ({"laptop": {"train.epoch": 3}}, ["presets.laptop: train.epoch is not a known key", "'train.epochs'"]),
        ({"laptop": {"split.n_folds": 3}}, ["presets.laptop: split.n_folds is not a known key"]),
        ({"laptop": {}, "gpu": {"train.rl": 3}}, ["presets.gpu: train.rl is not a known key"]),
        ({"laptop": {"train.epochs": 0}}, ["tasks.brain_tumor.train.epochs is 0"]),
        ({"laptop": 3}, ["tasks.brain_tumor.presets must hold sections by name"]),
        (None, ["write `presets: {}`"]),
    ],
)
def test_a_wrong_preset_is_refused_with_its_path(params, presets, words):
    params["tasks"]["brain_tumor"]["presets"] = presets
    with pytest.raises(UsageError) as caught:
        task_settings("brain_tumor", params)
    for word in words:
        assert word in str(caught.value)


def test_a_kind_has_presets_that_a_task_overrides_or_refuses(params):
    params["preset"] = "gpu"
    shared = params["presets"]["detection"]["gpu"]
    task = params["tasks"]["smear_demo"]
    assert task_settings("smear_demo", params).model.backbone == params["defaults"]["model"]["backbone"]  # none
    task["presets"] = {}
    assert task_settings("smear_demo", params).model.backbone == shared["model.backbone"]
    task["presets"] = {"gpu": {"model.backbone": "resnet34"}}
    assert task_settings("smear_demo", params).model.backbone == "resnet34"
    assert task_settings("smear_demo", params).train.lr == shared["train.lr"]
    shared["train.rl"] = 3
    with pytest.raises(UsageError, match=r"presets\.detection\.gpu: train\.rl is not a known key"):
        task_settings("smear_demo", params)


def test_a_classifier_does_not_look_at_tiles(params):
    params["tasks"]["cells_demo"]["predict"] = {"tile_size": 256}
    with pytest.raises(UsageError, match=r"tasks\.cells_demo: predict\.tile_size is for detection"):
        task_settings("cells_demo", params)


def test_an_unknown_section_names_the_nearest(params):
    params["tasks"]["malaria"]["trian"] = {}
    with pytest.raises(UsageError, match=r"tasks\.malaria\.trian .* 'train'"):
        task_settings("malaria", params)


def test_a_missing_section_says_how_to_write_it(params):
    del params["tasks"]["malaria"]["tune"]
    with pytest.raises(UsageError, match=re.escape("write `tune: {}`")):
        task_settings("malaria", params)


def test_an_unknown_task_names_the_nearest(params):
    with pytest.raises(UsageError, match="did you mean 'malaria'"):
        task_settings("maleria", params)


def test_an_unknown_active_task_is_refused(tmp_path, params):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**params, "active": ["cell_demo"]}))
    with pytest.raises(UsageError, match=r"active: there is no task 'cell_demo' \(did you mean 'cells_demo'\?\)"):
        load_params(path)


def test_a_misspelt_task_of_an_experiment_is_refused_by_every_task(tmp_path, params):
    params["tasks"]["brain_tumr"] = {"train": {"epochs": 3}}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    words = "tasks.brain_tumr has no key 'kind' (did you mean 'brain_tumor'?); correct or remove it in params.yaml"
    with pytest.raises(UsageError, match=re.escape(words)):
        load_task("smear_demo", path)


def test_a_misspelt_setting_of_an_active_task_is_refused_before_any_task_runs(project):
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["tasks"]["cells_demo"]["train"]["epoch"] = 3
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    done = project.tropho("fingerprint", "smear_demo", code=2)
    assert (
        "tasks.cells_demo.train.epoch is not a known setting (did you mean 'epochs'?); correct or remove" in done.text
    )
    params["active"] = ["smear_demo"]
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    project.tropho("fingerprint", "smear_demo")


def test_a_fault_of_yaml_is_named_by_line_and_column(tmp_path):
    (tmp_path / "params.yaml").write_text("preset: laptop\nactive: [a\ntasks: {}\n")
    with pytest.raises(UsageError) as caught:
        load_params(tmp_path / "params.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/params.yaml is not valid YAML: line 3, column 6, expected ',' or ']', but got ':'; "
        "correct it there."
    )


def test_an_unknown_default_section_is_refused(tmp_path, params):
    params["defaults"]["tunes"] = {}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(UsageError, match=r"defaults\.tunes .* 'tune'"):
        load_params(path)


@pytest.mark.parametrize("text", ["a: [1", "- a list", ""])
def test_a_broken_file_is_a_usage_error(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"params\.yaml"):
        load_task("malaria", path)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UsageError, match="run tropho in the folder that holds it"):
        load_params(tmp_path / "params.yaml")


def test_overrides_are_validated(settings):
    base = settings("cells_demo")
    assert with_overrides(base, {"train.lr": 0.5, "model.dropout": 0.25}).model.dropout == 0.25
    assert base.train.lr != 0.5
    with pytest.raises(UsageError, match=r"no setting 'train\.rl'"):
        with_overrides(base, {"train.rl": 0.5})
    with pytest.raises(UsageError, match=r"tasks\.cells_demo\.model\.dropout"):
        with_overrides(base, {"model.dropout": 1.5})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"predict.member_weights": {"base": 0.0, "empty": 1.0}}, "no member that finds boxes"),
        (
            {"predict.member_weights": {"base": 1.0, "empty": 0.0}, "predict.negative_members": ["empty"]},
            "are 0 for all",
        ),
        (
            {"audit.negative": None, "train.ensemble": {}, "predict.negative_members": ["base"]},
            r"needs audit\.negative",
        ),
    ],
)
def test_a_member_without_boxes_is_not_left_alone(settings, changes, words):
    members = {"train.ensemble": {"empty": {"model.name": "negative_classifier"}}}
    with pytest.raises(UsageError, match=words):
        settings("smear_demo", **{**members, **changes})


def test_a_presence_member_needs_a_negative_class(params):
    members = {"empty": {"model.name": "negative_classifier"}}
    params["tasks"]["smear_demo"]["train"] |= {"ensemble": members}
    assert list(member_settings(task_settings("smear_demo", params))) == ["base", "empty"]
    params["tasks"]["smear_demo"]["audit"] |= {"negative": None}
    with pytest.raises(UsageError, match=r"train\.ensemble\.empty.*needs audit\.negative"):
        task_settings("smear_demo", params)
