"""What the wrapper round transformers' losses masks, and by what it divides."""

import math
from types import SimpleNamespace

import pytest
import torch

from hf_checkpoints import ARCHITECTURES
from tropho.models import build_model, hf_detr
from tropho.models.hf_detr import IGNORE_LOGIT, masked_loss

CONFIG = SimpleNamespace(bbox_loss_coefficient=5.0)
NEAR, FAR, ON = [0.3, 0.3, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1], [0.21, 0.2, 0.1, 0.1]
"""Boxes of three queries: in the region and no object's, outside, in the region on an object."""
LABEL = {
    "class_labels": torch.tensor([0]),
    "boxes": torch.tensor([[0.2, 0.2, 0.1, 0.1]]),
    "regions": torch.tensor([[0.0, 0.0, 0.5, 0.5]]),
    "ignore": torch.tensor([False, True]),
}


def seen_by(parameters: str):
    """A loss with these further parameters, and what it is called with."""
    seen = {}

    def loss(logits, labels, device, pred_boxes, config, outputs_class=None, outputs_coord=None, **kwargs):
        seen.update(logits=logits, outputs_class=outputs_class, **kwargs)
        return logits.sum(), {"loss_vfl": logits.sum(), "loss_bbox": logits.sum() * 0.0}, None

    def rt_detr(logits, labels, device, pred_boxes, config, outputs_class=None, outputs_coord=None,
                enc_topk_logits=None, enc_topk_bboxes=None, denoising_meta_values=None, **kwargs):  # fmt: skip
        return loss(logits, labels, device, pred_boxes, config, outputs_class, enc_topk_logits=enc_topk_logits)

    return (rt_detr if parameters == "rt_detr" else loss), seen


def test_masks_ignored_classes_and_regions_everywhere():
    """Two images, two layers: each tensor is masked along its own axes."""
    boxes = torch.tensor([NEAR, FAR, ON])
    plain = {"class_labels": LABEL["class_labels"], "boxes": LABEL["boxes"]}
    expected = torch.zeros(3, 2)
    expected[:, 1] = expected[0, 0] = IGNORE_LOGIT
    stacked = torch.stack([boxes, boxes])  # (batch, queries, 4)
    for kind, axis in (("rt_detr", 0), ("lw_detr", 1)):
        loss, seen = seen_by(kind)
        more = {"enc_topk_logits": torch.zeros(2, 3, 2), "enc_topk_bboxes": stacked} if kind == "rt_detr" else {}
        masked_loss(
            loss,
            torch.zeros(2, 3, 2),
            [LABEL, plain],
            "cpu",
            stacked,
            CONFIG,
            torch.zeros(2, 2, 3, 2),
            torch.stack([stacked, stacked], dim=1 - axis),
            **more,
        )
        assert torch.equal(seen["logits"], torch.stack([expected, torch.zeros(3, 2)]))
        assert torch.equal(seen["outputs_class"].select(axis, 0), torch.stack([expected] * 2))
        assert (seen["outputs_class"].select(axis, 1) == 0).all()
        if more:
            assert torch.equal(seen["enc_topk_logits"][0], expected)


def test_masks_no_object_s_class_never():
    loss, seen = seen_by("detr")
    masked_loss(loss, torch.zeros(1, 1, 3), [LABEL], "cpu", torch.tensor([[FAR]]), CONFIG)
    assert seen["logits"].tolist() == [[[0.0, IGNORE_LOGIT, 0.0]]]


def test_hands_on_float32_and_splits_the_loss():
    def loss(logits, labels, device, pred_boxes, config, **kwargs):
        assert logits.dtype == pred_boxes.dtype == torch.float32
        box = pred_boxes.sum()
        return logits.sum() + 5.0 * box, {"loss_ce": logits.sum(), "loss_bbox_0": box, "cardinality_error": box}, None

    with torch.autocast("cpu", torch.bfloat16):
        total, parts, _ = masked_loss(
            loss, torch.ones(1, 1, 2).bfloat16(), [{"boxes": torch.zeros(1, 4)}], "cpu", torch.ones(1, 1, 4), CONFIG
        )
    assert total == 22.0
    assert parts == {"loss_cls": torch.tensor(2.0), "loss_box": torch.tensor(20.0)}


@pytest.mark.parametrize(("kind", "boxes", "mean", "scale"), [
    ("rt_detr", 3, 2.0, 1.5), ("rt_detr", 0, 0.5, 2.0), ("lw_detr", 3, 2.0, 1.0), ("lw_detr", 0, 0.5, 2.0),
])  # fmt: skip
def test_divides_by_the_mean_of_boxes_over_processes(monkeypatch, kind, boxes, mean, scale):
    """RT-DETR's loss is divided by the process's own boxes, LW-DETR's by the mean, both by at least one."""

    def average(value, min_total=0.0):
        assert value == boxes
        return torch.tensor(max(2 * mean, min_total) / 2)  # two processes

    monkeypatch.setattr(hf_detr, "mean_over_processes", average)
    loss, _ = seen_by(kind)
    label = {"boxes": torch.zeros(boxes, 4), "class_labels": torch.zeros(boxes, dtype=torch.int64)}
    total, *_ = masked_loss(loss, torch.ones(1, 1, 2), [label], "cpu", torch.ones(1, 1, 4), CONFIG)
    assert total == 2.0 * scale


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_image_that_is_all_ignored_teaches_no_class(settings, named, name):
    torch.manual_seed(0)
    detector = build_model(settings("smear_demo", **named(name)).model, "detection", 2, 64)
    images = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    ignored = detector(images, [{**target, "regions": torch.tensor([[0.0, 0.0, 64.0, 64.0]])}])
    taught = detector(images, [target])
    assert ignored["loss_cls"].item() == pytest.approx(0, abs=1e-6)
    assert taught["loss_cls"].item() > 5e-5
    assert math.isfinite(ignored["loss_box"].item())
