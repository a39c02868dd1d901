import itertools
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.ops import box_iou

from hf_checkpoints import ARCHITECTURES
from tropho.config.model_config import TORCHVISION
from tropho.models import build_model, heads

DETECTORS = ["fcos", *TORCHVISION, *ARCHITECTURES]
PARTS = {
    "fcos": {"loss_cls", "loss_box", "loss_centerness"},
    "torchvision_fcos": {"loss_cls", "loss_box", "loss_centerness"},
    "torchvision_retinanet": {"loss_cls", "loss_box"},
    "torchvision_faster_rcnn": {"loss_objectness", "loss_rpn_box", "loss_cls", "loss_box"},
    **{name: {"loss_cls", "loss_box"} for name in ARCHITECTURES},
}
SMALL = {"model.fpn_channels": 32, "model.num_head_convs": 1}


@pytest.fixture
def build(settings, named):
    """build(name, **dotted overrides) -> a small detector of two classes, seeded."""

    def make(name: str, **overrides):
        torch.manual_seed(0)
        model = settings("smear_demo", **SMALL, **named(name), **overrides).model
        detector = build_model(model, "detection", 2, 64)
        if name == "torchvision_faster_rcnn":  # its box head is heavy
            detector.head.rpn._post_nms_top_n = {"training": 10, "testing": 10}
            detector.head.roi.fg_bg_sampler.batch_size_per_image = 8
        return detector

    return make


def sample() -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Two images of 64 pixels: one with a bright and a dark square, one with noise alone."""
    images = torch.randint(90, 130, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images[0, :, 8:28, 6:26] = 250
    images[0, :, 36:60, 32:56] = 10
    full = {"boxes": torch.tensor([[6.0, 8, 26, 28], [32, 36, 56, 60]]), "labels": torch.tensor([0, 1])}
    return images, [full, empty()]


def empty() -> dict[str, torch.Tensor]:
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def train(detector, images, targets, steps: int, lr: float = 1e-3) -> list[dict[str, float]]:
    optimizer = torch.optim.AdamW(detector.parameters(), lr, fused=True)
    history = []
    for _ in range(steps):
        losses = detector(images, targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    return history


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        *itertools.product(["fcos"], ["batch", "group", "frozen"]),
        *((name, "frozen") for name in TORCHVISION),
        ("rt_detr", "batch"),
    ],
)
def test_every_detector_learns(build, name, norm):
    detector = build(name, **{"model.norm": norm})
    history = train(detector, *sample(), steps=3, lr=1e-4)
    assert set(history[0]) == PARTS[name]
    assert all(math.isfinite(value) for losses in history for value in losses.values())
    assert sum(history[-1].values()) < sum(history[0].values())
    assert all(each.grad is not None for each in detector.parameters() if each.requires_grad)


def test_overfits_one_batch(build):
    detector = build("fcos", **{"model.fpn_levels": [3]})
    images, targets = sample()
    train(detector, images, targets, steps=25, lr=5e-4)
    detector.eval()
    with torch.no_grad():
        full, bare = detector(images)
    for box, label in zip(targets[0]["boxes"], targets[0]["labels"], strict=True):
        best = full["boxes"][full["labels"] == label][:1]
        assert box_iou(best, box[None]) > 0.5
    assert full["presence"] == full["scores"].max()
    assert bare["presence"] < full["presence"]
    assert len(bare["scores"]) == 0 or bare["scores"].max() < full["scores"][:2].min()


@pytest.mark.parametrize("name", DETECTORS)
def test_images_without_any_box(build, name):
    detector = build(name)
    losses = detector(sample()[0], [empty(), empty()])
    assert set(losses) == PARTS[name]
    sum(losses.values()).backward()
    assert all(math.isfinite(value.item()) for value in losses.values())
    assert losses["loss_box"] == 0 or name == "d_fine"  # which also learns from the boxes of its own last layer
    assert all(torch.isfinite(each.grad).all() for each in detector.parameters() if each.grad is not None)


@pytest.mark.parametrize("levels", [[2], [2, 3], [5, 6], [6, 7], [2, 3, 4, 5, 6, 7]])
def test_any_run_of_levels(build, levels):
    detector = build("fcos", **{"model.fpn_levels": levels})
    images, targets = sample()
    features = detector.pyramid(detector.normalize(images))
    assert [each.shape for each in features] == [(2, 32, -(-64 // 2**n), -(-64 // 2**n)) for n in levels]
    losses = detector(images, targets)
    sum(losses.values()).backward()
    assert all(math.isfinite(value.item()) for value in losses.values())
    assert all(each.grad is not None for each in detector.pyramid.parameters())
    with torch.no_grad():
        assert len(detector.eval()(images)) == 2


def test_each_level_learns_the_boxes_of_its_size(build):
    detector = build("fcos", **{"model.fpn_levels": [2, 3, 4, 5]})

    def taught(box: list[float]) -> list[bool]:
        """Which of the levels P2 to P5 learn to find a box."""
        features = [each.detach().requires_grad_() for each in detector.pyramid(detector.normalize(sample()[0][:1]))]
        target = {"boxes": torch.tensor([box]), "labels": torch.tensor([0])}
        losses = detector.head(features, (64, 64), [target])
        losses["loss_box"].backward()
        return [each.grad is not None and bool(each.grad.any()) for each in features]

    assert taught([9.0, 9, 19, 19]) == [True, False, False, False]
    assert not taught([0.0, 0, 64, 64])[0]


@pytest.mark.parametrize("name", DETECTORS)
def test_detections_keep_the_contract(build, name):
    detector = build(name, **{"model.max_detections": 7, "model.score_threshold": 0.0}).eval()
    with torch.no_grad():
        outputs = detector(sample()[0])
    for found in outputs:
        count = len(found["boxes"])
        assert 0 < count <= 7
        assert found["boxes"].shape == (count, 4)
        assert found["labels"].dtype == torch.int64
        assert set(found["labels"].tolist()) <= {0, 1}
        assert (found["boxes"].amax(dim=0) <= 64).all()
        assert (found["boxes"][:, 2:] > found["boxes"][:, :2]).all()
        assert found["presence"].shape == ()
        assert 0 <= found["presence"] <= 1


@pytest.mark.parametrize("name", DETECTORS)
def test_no_box_is_less_confident_than_score_min(build, name):
    images = sample()[0][:1]
    with torch.no_grad():
        (everything,) = build(name, **{"model.score_threshold": 0.0}).eval()(images)
        middle = everything["scores"].median().item()
        (found,) = build(name, **{"model.score_threshold": middle}).eval()(images)
    assert 0 < len(found["scores"]) < len(everything["scores"])
    assert found["scores"].min() >= middle
    assert (found["scores"].diff() <= 0).all()


def test_the_same_input_gives_the_same_output(build):
    detector = build("fcos").eval()
    images = sample()[0]
    with torch.no_grad():
        first, again = detector(images), detector(images)
    for one, two in zip(first, again, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_presence_is_the_best_score(build):
    images = sample()[0]
    low = build("fcos", **{"model.score_threshold": 0.0}).eval()
    high = build("fcos", **{"model.score_threshold": 1.0}).eval()
    with torch.no_grad():
        assert all(each["presence"] == each["scores"].max() for each in low(images))
        assert all(each["presence"] == 0 for each in high(images))


@pytest.mark.parametrize("name", DETECTORS)
def test_weights_go_through_safetensors(build, name, tmp_path):
    first = build(name).eval()
    save_file({key: value.clone() for key, value in first.state_dict().items()}, tmp_path / "weights.safetensors")
    second = build(name)
    train(second, *sample(), steps=1)
    second.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        for one, two in zip(first(sample()[0]), second.eval()(sample()[0]), strict=True):
            assert all(torch.equal(one[key], two[key]) for key in one)


def test_moving_the_features_moves_the_boxes(build, monkeypatch):
    """A shift by a stride of P4 on both levels gives the very same boxes, 16 pixels on."""
    monkeypatch.setattr(heads, "CANDIDATES", 100_000)
    everything = {"model.nms_iou_threshold": 1.0, "model.score_threshold": 0.0, "model.max_detections": 100_000}
    head = build("fcos", **{**everything, "model.fpn_levels": [3, 4]}).head.eval()
    features = []
    for cells in (24, 12):
        level = torch.zeros(1, 32, cells, cells)
        middle = slice(cells // 3, cells // 2)
        level[:, :, middle, middle] = torch.randn(1, 32, cells // 6, cells // 6)
        features.append(level)
    moved = [level.roll(level.shape[-1] // 12, dims=3) for level in features]
    with torch.no_grad():
        here, there = (head(each, (192, 192), None)[0] for each in (features, moved))

    def inner(found: dict[str, torch.Tensor], shift: float) -> torch.Tensor:
        """Label, score and box moved back, away from the border, where convolutions see its zeros."""
        boxes = found["boxes"] - torch.tensor([shift, 0, shift, 0])
        kept = ((boxes[:, :2] > 48) & (boxes[:, 2:] < 128)).all(dim=1)
        return torch.cat([found["labels"][:, None], found["scores"][:, None], boxes], dim=1)[kept]

    one, two = inner(here, 0), inner(there, 16)
    assert len(one) == len(two) > 50
    assert torch.cdist(one, two, p=float("inf")).amin(dim=1).max() < 1e-3
