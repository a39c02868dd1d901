import math
from functools import partial

import pytest
import torch
from torch import nn

from hf_checkpoints import ARCHITECTURES
from tropho.config.model_config import TORCHVISION
from tropho.models import build_model
from tropho.models.heads import drop_ignored_boxes

DETECTORS = ["fcos", *TORCHVISION, *ARCHITECTURES]
SMALL = {"model.fpn_channels": 32, "model.num_head_convs": 1}
WBC = 1
"""Of two classes, the one that is ignored."""


def class_rows(detector) -> torch.Tensor:
    """(classes, any) gradients of the weights that make the class logits."""
    if hasattr(detector, "network"):
        heads = [layer for name, layer in detector.network.named_modules() if "class_embed" in name or "score" in name]
        return torch.stack([layer.weight.grad for layer in heads if isinstance(layer, nn.Linear)], dim=1)
    head = detector.head
    if hasattr(head, "roi"):
        return head.roi.box_predictor.cls_score.weight.grad.flatten(1)[1:]
    layer = head.layers.classification_head.cls_logits if hasattr(head, "layers") else head.class_logits
    return layer.weight.grad.flatten(1).unflatten(0, (-1, 2)).transpose(0, 1).flatten(1)


@pytest.fixture
def losses_and_rows(settings, named):
    """losses_and_rows(name, targets) -> a detector's losses, and the gradients of its class weights."""
    return partial(_losses_and_rows, settings, named)


def _losses_and_rows(settings, named, name: str, targets) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    detector = build_model(settings("smear_demo", **SMALL, **named(name)).model, "detection", 2, 64)
    if name == "torchvision_faster_rcnn":  # its box head is heavy
        detector.head.roi.fg_bg_sampler.batch_size_per_image = 8
    losses = detector(torch.randint(0, 255, (len(targets), 3, 64, 64), dtype=torch.uint8), targets)
    sum(losses.values()).backward()
    return losses, class_rows(detector)


def target(boxes, labels, *ignored: int) -> dict[str, torch.Tensor]:
    ignore = torch.zeros(2, dtype=torch.bool)
    ignore[list(ignored)] = True
    boxes, labels = torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)
    return {"boxes": boxes.reshape(-1, 4), "labels": labels, "ignore": ignore}


BOXES = [[6, 8, 26, 28], [32, 36, 56, 60]]


@pytest.mark.parametrize("name", DETECTORS)
def test_an_ignored_class_gets_no_gradient(losses_and_rows, name):
    _, ignoring = losses_and_rows(name, [target(BOXES, [0, WBC], WBC), target([], [], WBC)])
    assert (ignoring[WBC] == 0).all()
    assert (ignoring[0] != 0).any()
    _, heeding = losses_and_rows(name, [target(BOXES, [0, WBC], WBC), target([], [])])
    assert (heeding[WBC] != 0).any()  # the other image does teach it


@pytest.mark.parametrize("name", DETECTORS)
def test_images_that_ignore_every_class_teach_nothing(losses_and_rows, name):
    losses, rows = losses_and_rows(name, [target(BOXES, [0, WBC], 0, WBC)] * 2)
    assert all(math.isfinite(value.item()) for value in losses.values())
    assert sum(losses.values()).item() == pytest.approx(0, abs=1e-5)
    assert (rows == 0).all()


def test_an_image_that_ignores_a_class_teaches_no_proposal_that_it_is_ground(losses_and_rows):
    losses, _ = losses_and_rows("torchvision_faster_rcnn", [target([], [], WBC)])
    assert losses["loss_objectness"] == 0
    losses, _ = losses_and_rows("torchvision_faster_rcnn", [target([], [])])
    assert losses["loss_objectness"] > 0


def test_boxes_of_an_ignored_class_are_left_out():
    plain = target(BOXES, [0, WBC])
    del plain["ignore"]
    kept, untouched = drop_ignored_boxes([target(BOXES, [0, WBC], WBC), plain])
    assert kept["boxes"].tolist() == BOXES[:1]
    assert kept["labels"].tolist() == [0]
    assert untouched is plain
