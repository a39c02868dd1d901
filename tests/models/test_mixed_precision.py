"""Mixed precision may round what a network says of its boxes; where they lie is worked out in float32."""

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.rpn import concat_box_prediction_layers

from hf_checkpoints import ARCHITECTURES
from tropho.config.model_config import TORCHVISION
from tropho.models import build_model
from tropho.models.fcos import Grid

WIDTH = 1024
"""Pixels of the images' longer side, at which a bfloat16 is right to 4 pixels."""

SMALL = {"model.backbone": "resnet18", "model.pretrained": False, "model.fpn_channels": 16, "model.norm": "frozen"}
KEEP_ALL = {"model.score_threshold": 0.0, "model.nms_iou_threshold": 1.0, "model.max_detections": 300}


@pytest.fixture
def build(settings, named):
    """build(name): an untrained detector of two classes whose boxes are no longer all alike."""

    def make(name: str):
        torch.manual_seed(0)
        made = settings("smear_demo", **SMALL, **KEEP_ALL, **named(name), **{"model.fit_levels": False})
        model = build_model(made.model, "detection", 2, WIDTH)
        for parameter_name, value in model.named_parameters():
            if ("head." in parameter_name or "network.model.decoder" in parameter_name) and value.ndim >= 2:
                value.data.normal_(0, 0.05)
        return model

    return make


def look(model, width: int = WIDTH) -> dict[str, Tensor]:
    """What a model finds in an image of 32 pixels height under bfloat16 autocast."""
    images = torch.randint(0, 255, (1, 3, 32, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return model.eval()(images)[0]


def record(module, into: list, inputs: bool = False) -> None:
    """Note what a module returns, or is given, at each call."""
    module.register_forward_hook(lambda _module, given, output: into.append(given if inputs else output))


def decode(offsets: Tensor, anchors: Tensor, weights=(1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Offsets (n, 4) about anchors (n, 4) -> boxes, by the formula of Girshick et al. (2014) in float64."""
    offsets = offsets.double() / torch.tensor(weights, dtype=torch.float64)
    anchors = anchors.double()
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2 + offsets[:, :2] * size
    half = offsets[:, 2:].clamp(max=torch.log(torch.tensor(1000 / 16))).exp() * size / 2
    return torch.cat([centre - half, centre + half], dim=1)


def assert_found_among(found: Tensor, expected: Tensor) -> None:
    """Each box found is one of those expected, clipped to the image, to a thousandth of a pixel."""
    assert len(found) > 10
    assert found.dtype == torch.float32
    assert found[:, 2].max() > 0.9 * WIDTH
    limit = torch.tensor([WIDTH, 32, WIDTH, 32], dtype=torch.float64)
    clipped = torch.minimum(expected.double().clamp(min=0), limit)
    assert torch.cdist(found.double(), clipped, p=float("inf")).min(dim=1).values.max() < 1e-3


@pytest.mark.parametrize("name", ["fcos", "torchvision_fcos"])
def test_fcos(build, name):
    model = build(name)
    said, maps = [], []
    outputs = model.head.outputs
    model.head.outputs = lambda features: said.append(outputs(features)) or said[-1]
    record(model.pyramid, maps)
    found = look(model)
    assert maps[0][0].dtype == torch.bfloat16  # so that there is something to spoil
    grid = Grid.of(maps[0], model.head.model.levels, model.head.offset)
    distance = said[0][1][0].double() * grid.stride_of[:, None].double()
    expected = torch.cat([grid.points - distance[:, :2], grid.points + distance[:, 2:]], dim=1)
    assert_found_among(found["boxes"], expected)


def test_retinanet(build):
    model = build("torchvision_retinanet")
    said, maps = [], []
    record(model.head.layers, said)
    record(model.pyramid, maps)
    found = look(model)
    assert_found_among(found["boxes"], decode(said[0]["bbox_regression"][0], model.head.anchors(maps[0])))


def test_faster_rcnn(build):
    model = build("torchvision_faster_rcnn")
    model.head.rpn._post_nms_top_n["testing"] = 100
    proposed, pooled, said, maps = [], [], [], []
    record(model.head.rpn.head, proposed)
    record(model.head.roi.box_roi_pool, pooled, inputs=True)
    record(model.head.roi.box_predictor, said)
    record(model.pyramid, maps)
    found = look(model)
    proposals = pooled[0][1][0]
    _, deltas = concat_box_prediction_layers(*proposed[0])
    assert_found_among(proposals, decode(deltas, model.head.anchors(maps[0])))
    of_classes = said[0][1].view(len(proposals), 3, 4)
    every = [decode(of_classes[:, label], proposals, (10.0, 10.0, 5.0, 5.0)) for label in (1, 2)]
    assert_found_among(found["boxes"], torch.cat(every))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_transformers(build, name):
    """Neither the boxes that the decoder starts from nor those found are rounded to bfloat16."""
    model = build(name)
    started = []
    model.network.model.decoder.register_forward_pre_hook(
        lambda _module, _given, named: started.append(named["reference_points"]), with_kwargs=True
    )
    found = look(model, 512)
    for boxes in (found["boxes"], started[0][0]):
        assert len(boxes) > 5
        assert boxes.dtype == torch.float32
        assert (boxes == boxes.bfloat16())[:, ::2].float().mean() < 0.3  # some are clipped
    for layer in model.network.model.decoder.layers:
        layer.register_forward_hook(lambda _module, _given, output: started.append(output))
    look(model, 512)
    assert {each.dtype for each in started} == {torch.float32}


@pytest.mark.parametrize("name", ["fcos", *TORCHVISION, *ARCHITECTURES])
def test_losses_are_float32(build, name):
    model = build(name).train()
    boxes = torch.tensor([[200.5, 4.0, 230.25, 28.0], [10.0, 2.0, 40.0, 30.0]])
    targets = [{"boxes": boxes, "labels": torch.tensor([0, 1])}]
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(torch.zeros(1, 3, 32, 256, dtype=torch.uint8), targets)
    assert {each.dtype for each in losses.values()} == {torch.float32}
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite()
