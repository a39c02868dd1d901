"""The recipe of preset gpu for the competition: its whole configuration loads, and each of its models can be built."""

import re

import pytest
import torch

from conftest import ROOT
from hf_checkpoints import write_checkpoint
from tropho.config.load import load_params, member_settings, task_settings, with_overrides
from tropho.tasks import build_task

SIDE = 96
REDUCED = {"model.pretrained": False}


@pytest.fixture(scope="module")
def members():
    return member_settings(task_settings("malaria", {**load_params(ROOT / "params.yaml"), "preset": "gpu"}))


def test_the_recipe_has_two_families_and_a_classifier_with_published_weights(members):
    assert {settings.model.name for settings in members.values()} == {
        "hf_detr",
        "torchvision_faster_rcnn",
        "negative_classifier",
    }
    assert all(settings.model.pretrained for settings in members.values())
    base = members["base"]
    assert {name: member.train.empty_fraction for name, member in members.items()} == {
        "base": 0.33,
        "rcnn": 0.33,
        "empty": 1.0,
    }
    assert base.train.n_folds is None
    assert base.predict.tta == ["identity", "hflip", "vflip", "rot180"]
    assert base.predict.negative_members == ["empty"]
    assert base.evaluate.fit_postprocess
    assert base.audit.missing_labels == "detect"


def test_every_model_of_the_recipe_is_built_and_trained_for_a_step(members, tmp_path):
    """With new weights and small images, a loss and its gradients, then detections; ignored classes are allowed."""
    write_checkpoint(tmp_path, "rt_detr", weights=False)
    for name, settings in members.items():
        crop = {"augment.crop_size": SIDE} if settings.augment.crop_size else {}
        small = with_overrides(
            settings, {**REDUCED, **crop, "augment.image_size": SIDE, "model.checkpoint": str(tmp_path)}
        )
        task = build_task(small, ["Trophozoite", "WBC"])
        torch.manual_seed(0)
        model = task.build_model().train()
        boxes = torch.tensor([[10.0, 10, 40, 40], [50, 50, 80, 90]])
        targets = [
            {"boxes": boxes, "labels": torch.tensor([0, 0]), "ignore": torch.tensor([False, True])},
            {"boxes": boxes[:0], "labels": torch.zeros(0, dtype=torch.int64), "ignore": torch.tensor([False, False])},
        ]
        images = torch.randint(0, 255, (2, 3, SIDE, SIDE), dtype=torch.uint8)
        loss = sum(task.compute_loss(model, {"images": images, "targets": targets}).values())
        loss.backward()
        assert torch.isfinite(loss), name
        assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters()), name
        with torch.no_grad():
            outputs = task.predict(model.eval(), {"images": images, "sizes": torch.tensor([[SIDE, SIDE]] * 2)})
        assert [set(output) for output in outputs] == [{"boxes", "scores", "labels", "presence"}] * 2, name


def test_every_choice_of_the_recipe_has_its_reason():
    text = (ROOT / "params.yaml").read_text()
    recipe = text[text.index("      gpu:\n        # The recipe of") : text.index("    download: {source: zindi")]
    choices = [line for line in recipe.splitlines() if re.match(r" +[\w.]+:", line) and "gpu:" not in line]
    assert len(choices) > 20
    assert [line for line in choices if "  # " not in line] == []
