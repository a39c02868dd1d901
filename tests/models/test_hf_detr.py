"""Detectors of transformers: what Tropho adds to the library's own use of them."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d, box_convert
from transformers.loss.loss_utils import LOSS_MAPPING

from hf_checkpoints import ARCHITECTURES, OTHERS
from tropho.errors import UsageError
from tropho.models import build_model
from tropho.models.backbone import stage_of
from tropho.models.hf_detr import padded_size
from tropho.training.devices import sync_batch_norms
from tropho.training.optim import ModelEma, param_groups

EVERYTHING = {"model.nms_iou_threshold": 1.0, "model.score_threshold": 0.0}
BOXES = torch.tensor([[6.0, 8, 26, 28], [32, 36, 56, 60]])
TARGETS = [
    {"boxes": BOXES, "labels": torch.tensor([0, 1])},
    {"boxes": BOXES[:1], "labels": torch.tensor([0])},
]


@pytest.fixture
def build(settings, named):
    """build(architecture, **dotted overrides) -> a small detector of two classes, seeded."""

    def make(name, **overrides):
        torch.manual_seed(0)
        return build_model(settings("smear_demo", **named(name), **overrides).model, "detection", 2, 64)

    return make


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (2, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_boxes_and_scores_are_those_of_transformers(build, name):
    detector = build(name, **EVERYTHING, **{"model.pretrained": True}).eval()
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if name in ("lw_detr", "rf_detr") else ([0.0], [1.0])
    pixels = (images() / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    with torch.no_grad():
        found = detector(images())
        reference = detector.network(pixels)
    boxes = box_convert(reference.pred_boxes, "cxcywh", "xyxy").clamp(0, 1) * 64
    for each, box, logits in zip(found, boxes, reference.logits, strict=True):
        scores, order = logits.sigmoid().flatten().sort(descending=True)
        assert len(each["scores"]) > 10
        torch.testing.assert_close(each["scores"], scores[: len(each["scores"])], rtol=1e-3, atol=1e-4)
        assert torch.cdist(each["boxes"], box[order // 2], p=float("inf")).amin(dim=1).max() < 0.05


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_add_up_to_that_of_transformers(build, name):
    detector = build(name).train()
    plain = deepcopy(detector.network)
    plain.loss_function = LOSS_MAPPING[type(plain).__name__]
    told = [
        {"boxes": box_convert(each["boxes"], "xyxy", "cxcywh") / 64, "class_labels": each["labels"]} for each in TARGETS
    ]
    torch.manual_seed(7)
    losses = detector(images(), TARGETS)
    torch.manual_seed(7)
    reference = plain(detector.normalize(images()), labels=told)
    torch.testing.assert_close(losses["loss_cls"] + losses["loss_box"], reference.loss)
    boxes = {"loss_bbox": 5.0, "loss_giou": 2.0} if name in ("lw_detr", "rf_detr") else {}
    parts = [
        value * boxes.get("_".join(key.split("_")[:2]), 1.0)
        for key, value in reference.loss_dict.items()
        if any(kind in key for kind in ("bbox", "giou", "fgl", "ddf"))
    ]
    torch.testing.assert_close(losses["loss_box"], sum(parts))


@pytest.mark.parametrize(
    ("name", "given", "padded"),
    [
        ("rt_detr", (64, 64), (64, 64)),
        ("rt_detr", (32, 32), (32, 32)),  # 4 x 4 + 2 x 2 + 1 positions for 20 queries
        ("lw_detr", (64, 96), (64, 96)),
        ("lw_detr", (40, 16), (48, 16)),
        ("rf_detr", (64, 96), (96, 96)),
        ("rf_detr", (8, 8), (32, 32)),
    ],
)
def test_images_are_padded_to_what_a_network_takes(build, name, given, padded):
    detector = build(name, **EVERYTHING).eval()
    assert padded_size(*given, detector.network.config) == padded
    with torch.no_grad():
        found = detector(images(*given))
    assert all((each["boxes"].amax(dim=0) <= torch.tensor([given[1], given[0]] * 2)).all() for each in found)


@pytest.mark.parametrize(("height", "width", "kept"), [(64, 64, True), (64, 128, False)])
def test_rf_detr_s_windows_keep_the_order_of_squares_alone(build, height, width, kept):
    """Why its images are padded to squares; once this fails, transformers has mended it."""
    body = build("rf_detr").body
    order = torch.arange(height // 8 * width // 8, dtype=torch.float32)  # of the patches
    patches = torch.cat([torch.zeros(1), order]).view(1, -1, 1).expand(1, -1, 32)
    windows = body.embeddings.window_partition(patches, height, width)
    again = body.window_unpartition(windows[:, 1:], height, width).reshape(-1, 32)[:, 0]
    assert torch.equal(again, order) == kept


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_frozen_network_keeps_its_statistics(build, name):
    detector = build(name, **{"model.pretrained": True, "model.norm": "frozen"})
    norms = [layer for layer in detector.modules() if isinstance(layer, FrozenBatchNorm2d)]
    assert (len(norms) > 0) == (name != "rf_detr")  # which has layer norms alone
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in detector.modules())
    before = {key: value.clone() for key, value in detector.state_dict().items() if "running" in key}
    detector.train()(images(), TARGETS)
    assert all(torch.equal(value, detector.state_dict()[key]) for key, value in before.items())
    again = build(name, **{"model.norm": "frozen"})
    again.load_state_dict(detector.state_dict())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_backbone_is_found_by_name(build, name):
    detector = build(name)
    inside = {id(each) for each in detector.body.parameters()}
    for parameter_name, parameter in detector.named_parameters():
        assert (stage_of(parameter_name) is not None) == (id(parameter) in inside), parameter_name
    stages = {stage_of(parameter_name) for parameter_name, _ in detector.named_parameters()}
    assert stages == ({None, 0, 4} if name in ("lw_detr", "rf_detr") else {None, 0, 1, 2, 3, 4})
    scales = {
        id(each): group["lr_scale"]
        for group in param_groups(detector, 0.1, backbone_lr_scale=0.1)
        for each in group["params"]
    }
    assert all(scales[key] == 0.1 for key in inside)
    assert sum(scale == 1.0 for scale in scales.values()) > 20


@pytest.mark.parametrize("name", ["rt_detr_v2", "rf_detr"])
def test_an_average_of_weights_predicts(build, name):
    detector = build(name, **EVERYTHING)
    average = ModelEma(detector, 0.9)
    with torch.no_grad():
        for one, two in zip(average.module(images()), detector.eval()(images()), strict=True):
            torch.testing.assert_close(one["boxes"], two["boxes"])


@pytest.mark.parametrize("name", OTHERS)
def test_further_architectures_need_no_code(build, name):
    """DETR's softmax has one class more, "no object"; Conditional DETR's sigmoid has not."""
    detector = build(name, **EVERYTHING, **{"model.pretrained": True})
    losses = detector.train()(images(64, 96), TARGETS)
    sum(losses.values()).backward()
    assert all(each.grad is not None for each in detector.parameters() if each.requires_grad)
    with torch.no_grad():
        found = detector.eval()(images(64, 96))
        logits = detector.network(detector.normalize(images(64, 96))).logits
    assert logits.shape[-1] == (3 if name == "detr" else 2)
    best = logits.softmax(dim=-1)[..., :-1].amax() if name == "detr" else logits.sigmoid().amax()
    assert max(each["presence"] for each in found) <= best
    assert all(0 < len(each["boxes"]) <= 20 for each in found)


def test_layers_it_does_not_have_are_refused(settings, checkpoints):
    given = {"model.name": "hf_detr", "model.checkpoint": str(checkpoints("rt_detr"))}
    with pytest.raises(UsageError, match="batch or frozen"):
        settings("smear_demo", **given, **{"model.norm": "group"})
    with pytest.raises(UsageError, match="hf_detr needs a checkpoint, such as PekingU"):
        settings("smear_demo", **{"model.name": "hf_detr"})


def test_synced_norms_keep_the_names(build):
    names = list(build("rt_detr").state_dict())
    assert list(sync_batch_norms(build("rt_detr"), type("One", (), {"num_processes": 1})).state_dict()) == names
