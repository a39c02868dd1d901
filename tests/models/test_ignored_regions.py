"""An ignored region teaches a detector nothing, whatever is in it."""

import pytest
import torch

from tropho.models import build_model
from tropho.models.heads import in_regions

SMALL = {"model.fpn_channels": 32, "model.num_head_convs": 1}


def losses(settings, images, target, name="fcos", train_bias=None):
    torch.manual_seed(0)
    detector = build_model(settings("smear_demo", **SMALL, **{"model.name": name}).model, "detection", 2, 64)
    found = detector(images, [target])
    sum(found.values()).backward()
    return found, detector


def target(boxes, regions):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "boxes": boxes,
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "regions": torch.tensor(regions, dtype=torch.float32).reshape(-1, 4),
    }


@pytest.mark.parametrize("name", ["fcos", "torchvision_fcos"])
def test_a_picture_that_is_all_ignored_teaches_no_class(settings, name):
    images = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    found, detector = losses(settings, images, target([], [[0, 0, 64, 64]]), name)
    assert sum(found.values()).item() == pytest.approx(0, abs=1e-6)
    head = detector.head.layers.classification_head.cls_logits if name != "fcos" else detector.head.class_logits
    assert (head.weight.grad == 0).all()
    taught, _ = losses(settings, images, target([], []), name)
    assert taught["loss_cls"] > 0


def test_a_box_in_a_region_still_teaches(settings):
    images = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    inside, detector = losses(settings, images, target([[8, 8, 40, 40]], [[0, 0, 64, 64]]))
    plain, _ = losses(settings, images, target([[8, 8, 40, 40]], []))
    for part in ("loss_box", "loss_centerness"):
        assert inside[part].item() == pytest.approx(plain[part].item())
    assert 0 < inside["loss_cls"] < plain["loss_cls"]
    assert (detector.head.class_logits.weight.grad != 0).any()


def test_logits_have_no_gradient_in_a_region_and_one_outside(settings):
    """The left half is ignored: there, and only there, class logits are free."""
    torch.manual_seed(0)
    head = build_model(settings("smear_demo", **SMALL).model, "detection", 2, 64).head
    kept = []
    outputs = head.outputs

    def watched(features):
        logits, sides, centre = outputs(features)
        logits.retain_grad()
        kept.append(logits)
        return logits, sides, centre

    head.outputs = watched
    features = [torch.randn(1, 32, 64 // 2**level, 64 // 2**level) for level in head.model.levels]
    found = head(features, (64, 64), [target([[40, 8, 60, 30]], [[0, 0, 32, 64]])])
    sum(found.values()).backward()
    finest = kept[0].grad[0, :64].reshape(8, 8, 2)
    assert (finest[:, :4] == 0).all()
    assert (finest[:, 4:] != 0).all()


def test_the_far_sides_of_a_region_are_outside():
    points = torch.tensor([[0.0, 0.0], [4.0, 4.0], [8.0, 4.0], [4.0, 8.0]])
    inside = in_regions(points, [{"regions": torch.tensor([[0.0, 0.0, 8.0, 8.0]])}, {}])
    assert inside.tolist() == [[True, True, False, False], [False] * 4]
