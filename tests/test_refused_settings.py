"""Settings that can't work are refused before any work, with a sentence; those that are let through do work."""

import math

import pytest
import torch
import yaml

from conftest import ROOT
from tropho.config.load import load_params, task_settings
from tropho.config.model_config import CLASSIFIERS, TORCHVISION
from tropho.errors import UsageError
from tropho.tasks import build_task

NOTHING_TO_AVERAGE = "batch norm only one value a channel to average"
REFUSED = [
    # batches of one through batch norm
    ("cells_demo", {"model.name": "mlp", "train.batch_size": 1}, f"train.batch_size 1 leaves {NOTHING_TO_AVERAGE}"),
    ("cells_demo", {"model.name": "mlp", "train.batch_size": 1}, "model.norm to layer or none"),
    ("cells_demo", {"augment.image_size": 32, "train.batch_size": 1}, "model.norm to layer, group, frozen or none"),
    ("smear_demo", {"augment.image_size": 32, "train.batch_size": 1}, NOTHING_TO_AVERAGE),
    ("smear_demo", {"augment.crop_size": 32, "train.batch_size": 1}, NOTHING_TO_AVERAGE),
    ("smear_demo", {"augment.zoom_range": [0.1, 1.0], "train.batch_size": 1}, NOTHING_TO_AVERAGE),
    (
        "cells_demo",
        {"model.name": "mlp", "tune.max_train_images": 1},
        f"tune.max_train_images 1 leaves {NOTHING_TO_AVERAGE}",
    ),
    ("cells_demo", {"model.name": "mlp", "tune.space": {"train.batch_size": {"choices": [1, 8]}}}, NOTHING_TO_AVERAGE),
    ("cells_demo", {"model.name": "mlp", "tune.space": {"train.batch_size": {"low": 1, "high": 8}}}, "tune.space."),
    ("cells_demo", {"tune.space": {"train.rl": {"low": 1, "high": 2}}}, "tune.space.train.rl: "),
    ("cells_demo", {"tune.space": {"train.lr": {"low": 0.0, "high": 0.1}}}, "tune.space.train.lr: "),
    ("cells_demo", {"tune.space": {"train.lr": {"low": "1e-4", "high": 0.1}}}, "is the text '1e-4'"),
    ("cells_demo", {"tune.space": {"train.batch_size": {"low": 8.0, "high": 64.0}}}, "tune.space.train.batch_size: "),
    ("cells_demo", {"tune.space": {"train.optimizer": {"choices": ["adamw", "adam"]}}}, "tune.space.train.optimizer: "),
    ("cells_demo", {"tune.space": {"model.fpn_levels": {"choices": [[3, 5]]}}}, "tune.space.model.fpn_levels: "),
    ("cells_demo", {"augment.image_size": 32, "train.ensemble": {"m": {"train.batch_size": 1}}}, "train.ensemble.m"),
    # sizes
    ("cells_demo", {"augment.image_size": 15}, "augment.image_size is 15"),
    ("cells_demo", {"augment.image_size": 10**9}, "augment.image_size is 1000000000"),
    ("cells_demo", {"augment.image_size": math.inf}, "augment.image_size is inf"),
    ("cells_demo", {"model.name": "lenet", "augment.image_size": 16, "predict.tta": ["hflip@0.5"]}, "shows it 8"),
    (
        "cells_demo",
        {"model.name": "mlp", "augment.image_size": 4096, "model.hidden_units": [256]},
        "more than 2,000,000,000 weights",
    ),
    ("smear_demo", {"augment.crop_size": 512}, "crop_size 512 is more than the 320 pixels"),
    ("smear_demo", {"augment.crop_size": 16}, "augment.crop_size is 16"),
    ("smear_demo", {"augment.image_size": 32, "model.fpn_levels": [5, 6, 7]}, "a stride of 128 pixels"),
    ("smear_demo", {"predict.tile_size": 48}, "predict.tile_size is 48"),
    ("smear_demo", {"predict.tile_size": 32_000}, "predict.tile_size is 32000"),
    ("smear_demo", {"augment.zoom_range": [1.0, 1e9]}, "augment.zoom_range.1"),
    ("smear_demo", {"augment.zoom_range": [math.nan, 1.0]}, "augment.zoom_range.0 is nan"),
    # numbers that no training takes
    ("cells_demo", {"train.lr": 1e30}, "train.lr is 1e+30"),
    ("cells_demo", {"train.lr": math.inf}, "train.lr is inf"),
    ("cells_demo", {"train.lr": math.nan}, "train.lr is nan"),
    ("cells_demo", {"train.weight_decay": 1e30}, "train.weight_decay"),
    ("cells_demo", {"train.clip_grad_norm": math.inf}, "train.clip_grad_norm is inf"),
    ("cells_demo", {"train.epochs": 10**12}, "train.epochs is 1000000000000"),
    ("cells_demo", {"train.batch_size": 10**12}, "train.batch_size"),
    ("cells_demo", {"train.num_workers": 10**6}, "train.num_workers"),
    ("cells_demo", {"model.hidden_units": [10**9]}, "model.hidden_units.0"),
    ("cells_demo", {"model.hidden_units": [16] * 1000}, "model.hidden_units"),
    ("smear_demo", {"model.fpn_channels": 10**6}, "model.fpn_channels"),
    ("smear_demo", {"model.num_head_convs": 10**6}, "model.num_head_convs"),
    ("smear_demo", {"model.max_detections": 10**9}, "model.max_detections"),
    ("smear_demo", {"model.regression_ranges": [math.inf, math.inf]}, "model.regression_ranges.0 is inf"),
    ("cells_demo", {"split.n_folds": 10**9}, "split.n_folds"),
    ("cells_demo", {"evaluate.gallery_images": 10**9}, "evaluate.gallery_images"),
    ("cells_demo", {"audit.max_megapixels": math.inf}, "audit.max_megapixels is inf"),
    ("smear_demo", {"predict.wbf_iou_threshold": math.nan}, "predict.wbf_iou_threshold"),
    # seeds that NumPy doesn't take once a fold's number is added
    *(
        ("smear_demo", {f"{section}.seed": value}, f"{section}.seed is {value}")
        for section in ("download", "split", "train")
        for value in (2**31, 2**32 - 1, 2**32, -1)
    ),
    # names
    ("smear_demo", {"report.parasites": ["Trophozoites"]}, "report.parasites: 'Trophozoites' is not one of audit.clas"),
    ("smear_demo", {"audit.classes": []}, "audit.classes is []: it names no class"),
    ("smear_demo", {"audit.classes": ["WBC", "WBC"]}, "it names 'WBC' twice"),
    ("smear_demo", {"audit.classes": ["WBC", " "]}, "a class has an empty name"),
    ("smear_demo", {"audit.classes": ["WBC", "NEG"]}, "leave it out of classes"),
    ("smear_demo", {"audit.negative": ""}, "negative is an empty name"),
]


@pytest.mark.fault("settings that pass and crash later", "refuses them before any work")
@pytest.mark.parametrize(("task", "changes", "words"), REFUSED)
def test_what_cannot_work_is_refused(task, changes, words):
    params = load_params(ROOT / "params.yaml")
    for key, value in changes.items():
        section, _, field = key.partition(".")
        params["tasks"][task][section][field] = value
    with pytest.raises(UsageError) as caught:
        task_settings(task, params)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def refused(tmp_path):
    """The sentence with which params.yaml is refused once these keys of its outline have changed."""

    def read(**changes):
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, **changes}), encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            task_settings("cells_demo", load_params(tmp_path / "params.yaml"))
        return str(caught.value)

    return read


@pytest.mark.fault("`active: 5` and the like", "refuses it in one sentence")
@pytest.mark.parametrize("active", ["smear_demo", 5, None, {"smear_demo": 1}, ["smear_demo", 5], [["smear_demo"]]])
def test_active_is_a_list_of_names(refused, active):
    assert "active must be a list of names of tasks, such as [smear_demo], not" in refused(active=active)


@pytest.mark.fault("`preset: [a]` and the like", "refuses it in one sentence")
@pytest.mark.parametrize("preset", [["a"], 5, {"laptop": 1}, True])
def test_preset_is_one_name(refused, preset):
    assert "preset must be the name of one preset, such as laptop, not" in refused(preset=preset)


CLASSES = ["a", "b"]
SMALLEST = {
    "augment.image_size": 16,
    "model.fpn_channels": 8,
    "model.num_head_convs": 1,
    "model.hidden_units": [1],
    "train.batch_size": 2,
    "model.pretrained": False,
}


def step(settings, name: str, images: int = 2, **changes) -> None:
    """One training step and one prediction of a single image, at the smallest settings that are let through."""
    kind = "cells_demo" if name in CLASSIFIERS else "smear_demo"
    levels = {} if name in CLASSIFIERS else {"model.fpn_levels": [3, 4, 5]}
    base = settings(kind, **{**SMALLEST, **levels, "model.name": name, **changes})
    task = build_task(base, CLASSES)
    torch.manual_seed(0)
    model = task.build_model()
    size = base.augment.image_size
    samples = [task.sample(torch.randint(0, 255, (size, size, 3), dtype=torch.uint8).numpy()) for _ in range(images)]
    if name in CLASSIFIERS:
        samples = [(image, number % 2, weight, index) for number, (image, _, weight, index) in enumerate(samples)]
    else:
        target = {"boxes": torch.tensor([[2.0, 2.0, 12.0, 12.0]]), "labels": torch.tensor([1])}
        samples = [(image, target, index) for image, _, index in samples]
    loss = sum(task.compute_loss(model.train(), task.collate(samples)).values())
    assert torch.isfinite(loss)
    loss.backward()
    with torch.inference_mode():
        for view in base.predict.tta:
            task.predict(model.eval(), task.collate(samples[:1]), view)


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "fcos", "torchvision_fcos", "torchvision_retinanet"])
def test_every_model_takes_a_step_at_the_smallest_settings(settings, name):
    step(settings, name)


@pytest.mark.parametrize("norm", ["layer", "group", "frozen", "none"])
@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "fcos"])
def test_batches_of_one_that_are_let_through_take_a_step(settings, name, norm):
    if name in ("mlp", "lenet") and norm in ("group", "frozen"):
        with pytest.raises(UsageError, match="takes batch, layer or none"):
            step(settings, name, 1, **{"model.norm": norm})
        return
    step(settings, name, 1, **{"model.norm": norm, "train.batch_size": 1})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("lenet", {"model.norm": "batch"}),
        ("mlp", {"model.hidden_units": []}),
        ("resnet", {"augment.image_size": 33}),
        ("fcos", {"augment.image_size": 33}),
    ],
)
def test_batch_norm_takes_one_image_where_it_has_more_than_one_value(settings, name, changes):
    step(settings, name, 1, **{"train.batch_size": 1, **changes})


@pytest.mark.parametrize("levels", [[2], [3], [5], [6], [2, 3, 4, 5, 6], [5, 6]])
def test_every_pyramid_that_is_let_through_takes_a_step(settings, levels):
    step(settings, "fcos", 1, **{"model.fpn_levels": levels, "model.norm": "frozen", "train.batch_size": 1})


@pytest.mark.parametrize("width", [8, 9, 31, 32, 33, 64])
def test_every_width_takes_a_step_of_one_image_on_one_position(settings, width):
    step(settings, "fcos", 1, **{"model.fpn_channels": width, "model.norm": "frozen", "train.batch_size": 1})


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "selu"])
@pytest.mark.parametrize("init", ["kaiming", "xavier", "naive"])
def test_every_activation_and_start_takes_a_step(settings, activation, init):
    for name in ("mlp", "lenet"):
        step(settings, name, **{"model.activation": activation, "model.init": init})


def test_lenet_sees_the_smallest_view_that_is_let_through(settings):
    step(settings, "lenet", **{"predict.tta": ["hflip@0.75"]})
    with pytest.raises(UsageError, match=r"12 pixels, and predict\.tta shows it 11"):
        step(settings, "lenet", **{"predict.tta": ["hflip@0.7"]})


def test_the_smallest_views_of_a_resnet_and_a_detector_work(settings):
    for name in ("resnet", "fcos"):
        step(settings, name, **{"predict.tta": ["identity", "rot90@0.25", "hflip@4.0"]})


def test_the_largest_seed_is_one_that_numpy_takes(settings):
    from accelerate.utils import set_seed

    made = settings("cells_demo", **{"train.seed": 2**31 - 1, "train.epochs": 10_000})
    set_seed(made.train.seed + made.split.n_folds + 100_003 * (made.train.epochs + 1))


def test_torchvision_models_are_all_tried():
    assert set(TORCHVISION) == {"torchvision_fcos", "torchvision_retinanet", "torchvision_faster_rcnn"}
