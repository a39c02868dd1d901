"""The checks before a long training: what is right passes, and each planted fault is found in every family of model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tropho.data.task_data import GroundTruth, TaskData
from tropho.images.cache import ImageCache, write_cache
from tropho.models import torchvision_detectors
from tropho.tables import BOXES, conform, empty
from tropho.tasks import build_task
from tropho.tasks.classification_task import ClassificationTask
from tropho.tasks.datasets import DetectionDataset
from tropho.tasks.detection_task import DetectionTask
from tropho.training import overfit
from tropho.training.overfit import Overfit, pick_images
from tropho.training.preflight import check_rate, preflight
from tropho.training.target_checks import check_targets, draw_batch
from tropho.training.training_fingerprint import fitted_settings

CLASSES = ["red", "blue"]
COLOURS = [(200, 30, 30), (30, 30, 200)]
DETECTORS = {
    "fcos": {"model.name": "fcos", "train.lr": 1e-3},
    "torchvision_fcos": {"model.name": "torchvision_fcos", "train.lr": 1e-3},
    "torchvision_retinanet": {"model.name": "torchvision_retinanet", "train.lr": 1e-3},
    "torchvision_faster_rcnn": {"model.name": "torchvision_faster_rcnn", "train.lr": 1e-3},
    "detr": {"model.name": "hf_detr", "train.lr": 4e-4},
}
STEPS = {**dict.fromkeys([*DETECTORS, "negative_classifier"], 40), "detr": 110, "torchvision_faster_rcnn": 80}
"""In which right targets are learned, and wrong ones are not."""
SLOW = [name if name == "fcos" else pytest.param(name, marks=pytest.mark.slow) for name in DETECTORS]
CLASSIFIERS = ["mlp", "lenet", "resnet"]
RIGHT_LR = {"resnet": 1e-3, "detr": 1e-4, "pretrained": 3e-4, "pretrained detr": 1e-4}


@pytest.fixture
def data(tmp_path, rng):
    """Six photos of 128 x 96 pixels, cached at 64: four with a red or blue square each, two empty."""
    names, labels, boxes = [f"{number}.png" for number in range(6)], [], []
    for number, name in enumerate(names):
        pixels = rng.integers(170, 200, (96, 128, 3)).astype(np.uint8)
        labels.append(CLASSES[number % 2])
        x, y = int(rng.integers(0, 70)), int(rng.integers(0, 40))
        if number < 4:
            pixels[y : y + 50, x : x + 54] = COLOURS[number % 2]
            boxes.append((name, labels[-1], x, y, x + 54, y + 50))
        Image.fromarray(pixels).save(tmp_path / name)
    images = pd.DataFrame({"image_id": names, "path": names, "label": pd.NA})
    write_cache(images, tmp_path, tmp_path / "cache", 64)
    gt = GroundTruth(images, conform(pd.DataFrame(boxes, columns=list(BOXES)[:-1]), BOXES))
    return TaskData(gt, {0: names[5:], 1: names[:5]}, [], ImageCache(tmp_path / "cache"), CLASSES, "")


@pytest.fixture
def labelled(data):
    """The same photos, each with a class of its own."""
    images = data.gt.images.assign(label=CLASSES * 3)
    return replace(data, gt=GroundTruth(images, empty(BOXES)))


@pytest.fixture
def make(settings, data):
    """Settings of a small model: make("smear_demo", **{"model.name": "fcos"})."""
    small = {
        "augment.image_size": 64,
        "model.backbone": "resnet18",
        "model.fpn_channels": 32,
        "model.hidden_units": [32],
    }
    return lambda task, **changes: fitted_settings(settings(task, **{**small, "train.batch_size": 4, **changes}), data)


@pytest.fixture
def few_proposals(monkeypatch):
    """Let Faster R-CNN look at few proposals, which take most of its time on a CPU."""
    build = torchvision_detectors.torchvision_network

    def build_small(model):
        network = build(model)
        if model.name == "torchvision_faster_rcnn":
            network.roi_heads.fg_bg_sampler.batch_size_per_image = 8
            network.rpn._post_nms_top_n = {"training": 16, "testing": 16}
        return network

    monkeypatch.setattr(torchvision_detectors, "torchvision_network", build_small)


@pytest.fixture
def detector(make, tiny_detr, few_proposals):
    """Settings of a detector of DETECTORS by name."""
    return lambda name: make(
        "smear_demo", **DETECTORS.get(name, {"model.name": name}), **(tiny_detr if name == "detr" else {})
    )


@pytest.fixture
def tiny_detr(checkpoints):
    """Changes that choose a small DETR."""
    return {"model.checkpoint": str(checkpoints("rt_detr"))}


def shift(labels):
    return (labels + 1) % len(CLASSES)


TARGET_FAULTS = {
    "classes": lambda target: {**target, "labels": shift(target["labels"])},
    "normalised": lambda target: {**target, "boxes": target["boxes"] / torch.tensor([64.0, 48.0, 64.0, 48.0])},
    "frame": lambda target: {**target, "boxes": 2 * target["boxes"]},
    "corners": lambda target: {**target, "boxes": target["boxes"][:, [1, 0, 3, 2]]},
}


def plant(monkeypatch, fault):
    """Let every detector learn from targets that are wrong; the datasets stay right."""
    compute_loss = DetectionTask.compute_loss

    def compute_wrong_loss(task, model, batch):
        return compute_loss(
            task, model, {**batch, "targets": [TARGET_FAULTS[fault](each) for each in batch["targets"]]}
        )

    monkeypatch.setattr(DetectionTask, "compute_loss", compute_wrong_loss)


def learn(settings, data, tmp_path, **options):
    image_ids = pick_images(build_task(settings, data.classes), data.gt)
    return Overfit(settings, data, image_ids, tmp_path, **options).check()


def test_pick_images_shows_every_class_and_an_empty_image(make, data, labelled):
    task = build_task(make("smear_demo", **DETECTORS["fcos"]), CLASSES)
    assert pick_images(task, data.gt) == ["0.png", "1.png", "4.png", "2.png"]
    task = build_task(make("cells_demo"), CLASSES)
    assert pick_images(task, labelled.gt) == ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize(
    ("task", "name", "lr"),
    [
        *(("smear_demo", name, 1e-3) for name in DETECTORS if name != "detr"),
        ("smear_demo", "negative_classifier", 1e-3),
        ("smear_demo", "detr", 1e-4),
        *(("cells_demo", name, 1e-3) for name in CLASSIFIERS),
    ],
)
def test_a_rate_ten_times_too_high_is_a_fault(settings, monkeypatch, tiny_detr, task, name, lr, pretrained):
    if pretrained and name in ("mlp", "lenet"):
        pytest.skip("has no published weights")
    lr = 3e-4 if pretrained and name != "detr" else lr
    changes = {"model.name": name, **DETECTORS.get(name, {}), **(tiny_detr if name == "detr" else {})}
    made = settings(task, **{**changes, "model.fpn_channels": 32, "train.lr": lr})
    model = made.model.model_copy(update={"pretrained": pretrained})
    found = []
    for scale in (1, 10):
        train = made.train.model_copy(update={"lr": scale * lr})
        task = build_task(made.model_copy(update={"model": model, "train": train}), CLASSES)
        unloaded = build_task(made, CLASSES)
        monkeypatch.setattr(task, "build_model", unloaded.build_model)
        found.append(check_rate(task).state)
    assert found[0] in ("ok", "warning" if name == "detr" and pretrained else "ok")
    assert found[1] == "fault"


@pytest.mark.parametrize(("optimizer", "momentum", "lr", "state"), [
    ("sgd", 0.9, 0.05, "ok"),
    ("sgd", 0.0, 0.1, "ok"),
    ("sgd", 0.9, 0.5, "fault"),
    ("adamw", 0.9, 1e-5, "warning"),
])  # fmt: skip
def test_check_rate_by_optimizer(make, optimizer, momentum, lr, state):
    changes = {"train.optimizer": optimizer, "train.momentum": momentum, "train.lr": lr}
    assert check_rate(build_task(make("cells_demo", **changes), CLASSES)).state == state


def test_check_targets_finds_nothing_wrong(make, data, labelled):
    for name, changes in (("smear_demo", DETECTORS["fcos"]), ("cells_demo", {})):
        kept = data if changes else labelled
        finding = check_targets(build_task(make(name, **changes), CLASSES), kept.gt, data.cache)
        assert (finding.state, finding.text.startswith("6 images")) == ("ok", True)


@pytest.mark.parametrize("fault", TARGET_FAULTS)
def test_check_targets_finds_a_wrong_dataset(make, data, monkeypatch, fault):
    right = DetectionDataset.__getitem__

    def wrong(dataset, key):
        image, target, idx = right(dataset, key)
        return image, TARGET_FAULTS[fault](target), idx

    monkeypatch.setattr(DetectionDataset, "__getitem__", wrong)
    finding = check_targets(build_task(make("smear_demo", **DETECTORS["fcos"]), CLASSES), data.gt, data.cache)
    assert finding.state == "fault"
    assert ("holds 1 blue, but the audit's table 1 red" if fault == "classes" else "has a red at") in finding.text


def test_check_targets_finds_shifted_labels(make, labelled, monkeypatch):
    right = ClassificationTask.collate

    def collate(task, samples):
        batch = right(task, samples)
        return {**batch, "targets": {**batch["targets"], "label": batch["targets"]["label"] + 1}}

    monkeypatch.setattr(ClassificationTask, "collate", collate)
    finding = check_targets(build_task(make("cells_demo"), CLASSES), labelled.gt, labelled.cache)
    assert (finding.state, "holds 1 blue, but the audit's table 1 red" in finding.text) == ("fault", True)
    finding = check_targets(build_task(make("cells_demo"), CLASSES), labelled.gt.subset(["1.png"]), labelled.cache)
    assert "holds 1 class 2," in finding.text


def test_draw_batch_writes_one_tile_an_image(make, data, tmp_path):
    draw_batch(build_task(make("smear_demo"), CLASSES), data.gt, data.cache, tmp_path / "new" / "batch.png")
    assert Image.open(tmp_path / "new" / "batch.png").size[0] > 2 * 480


@pytest.mark.parametrize("name", [*SLOW, "negative_classifier"])
def test_every_detector_learns_a_handful(detector, data, tmp_path, monkeypatch, name):
    monkeypatch.setattr(overfit, "MAX_STEPS", STEPS[name])
    finding = learn(detector(name), data, tmp_path, max_seconds=300)
    assert finding.state == "ok", finding.text


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("fault", ["classes", "normalised", "frame"])
def test_every_detector_shows_wrong_targets(detector, data, tmp_path, monkeypatch, name, fault):
    plant(monkeypatch, fault)
    monkeypatch.setattr(overfit, "MAX_STEPS", STEPS[name])
    finding = learn(detector(name), data, tmp_path, max_seconds=300)
    assert finding.state == "fault", finding.text


@pytest.mark.parametrize("name", [*CLASSIFIERS[:2], pytest.param(CLASSIFIERS[2], marks=pytest.mark.slow)])
def test_every_classifier_learns_a_handful_and_shows_shifted_classes(make, labelled, tmp_path, monkeypatch, name):
    settings = make("cells_demo", **{"model.name": name, "augment.image_size": 32})
    finding = learn(settings, labelled.at_size(32), tmp_path, max_seconds=300)
    assert finding.state == "ok", finding.text
    compute_loss = ClassificationTask.compute_loss

    def shifted(task, model, batch):
        targets = {**batch["targets"], "label": shift(batch["targets"]["label"])}
        return compute_loss(task, model, {**batch, "targets": targets})

    monkeypatch.setattr(ClassificationTask, "compute_loss", shifted)
    monkeypatch.setattr(overfit, "MAX_STEPS", 30)
    finding = learn(settings, labelled.at_size(32), tmp_path, max_seconds=300)
    assert finding.state == "fault", finding.text


def test_overfit_finds_a_prediction_in_the_wrong_frame(detector, data, tmp_path, monkeypatch):
    predict = DetectionTask.predict

    def in_shares(task, model, batch, view=None):
        return [{**each, "boxes": each["boxes"] / 64} for each in predict(task, model, batch, view)]

    monkeypatch.setattr(DetectionTask, "predict", in_shares)
    monkeypatch.setattr(overfit, "MAX_STEPS", 30)
    assert learn(detector("fcos"), data, tmp_path).state == "fault"


def test_overfit_finds_a_model_that_is_saved_wrong(make, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(overfit, "save_file", lambda weights, path: save_file(
        {name: torch.zeros_like(value) for name, value in weights.items()}, path
    ))  # fmt: skip
    finding = learn(make("cells_demo", **{"model.name": "mlp"}), labelled, tmp_path)
    assert (finding.state, "lost once saved" in finding.text) == ("fault", True)


def test_overfit_is_undecided_for_want_of_time(detector, data, tmp_path):
    finding = learn(detector("fcos"), data, tmp_path, max_seconds=0)
    assert (finding.state, "there is nothing to correct" in finding.text) == ("warning", True)


def test_overfit_reports_a_loss_that_is_not_finite(detector, data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        DetectionTask, "compute_loss", lambda *_: {"loss_cls": torch.tensor(float("nan"), requires_grad=True)}
    )
    finding = learn(detector("fcos"), data, tmp_path)
    assert (finding.state, "stopped being finite" in finding.text) == ("fault", True)


def test_preflight_learns_nothing_where_the_rate_is_wrong(make, data, tmp_path):
    made = make("smear_demo", **{**DETECTORS["fcos"], "train.lr": 0.1})
    findings = preflight(made, data, 0, tmp_path, tmp_path / "batch.png")
    assert [(each.check, each.state) for each in findings] == [("rate", "fault"), ("targets", "ok")]
    assert (tmp_path / "batch.png").exists()
