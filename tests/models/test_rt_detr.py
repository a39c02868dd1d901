"""RT-DETR against transformers' own use of the same layers, and its weights from a hub on loopback."""

import sys

import pytest
import torch
from torchvision.ops import box_convert

from data.sources.hub_server import HubRepo, LoopbackHub
from tropho.errors import ExternalError, UsageError
from tropho.models import build_model
from tropho.models.heads import PRIOR
from tropho.models.rt_detr import QUERIES
from tropho.models.rt_detr_weights import ARCHITECTURES, OF_CLASSES, REPOSITORIES, rt_detr_network

EVERYTHING = {"model.nms_iou_threshold": 1.0, "model.score_threshold": 0.0}
POSITIONS = 8 * 8 + 4 * 4 + 2 * 2
"""Of an image of 64 pixels."""


@pytest.fixture
def model(settings, tiny_rt_detr):
    """model(**dotted overrides) -> settings of a tiny RT-DETR."""
    return lambda **overrides: settings("smear_demo", **{"model.name": "rt_detr", **overrides}).model


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A running hub that HF_ENDPOINT points to, with an empty cache and no token."""
    with LoopbackHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture
def published(model, hub, tmp_path):
    """A network of 80 classes, whose files the hub serves where RT-DETR's authors publish theirs."""
    torch.manual_seed(5)
    network = rt_detr_network(model(), 80)
    with torch.no_grad():
        for each in network.parameters():
            each.normal_(0.05, 0.05)
    network.save_pretrained(tmp_path / "saved")
    files = {each.name: each.read_bytes() for each in (tmp_path / "saved").iterdir()}
    hub.repos[REPOSITORIES["resnet18"]] = HubRepo({"main": files})
    return network


def images(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


def twins(model, **overrides):
    """transformers' network and Tropho's detector with the same weights."""
    torch.manual_seed(0)
    theirs = rt_detr_network(model(**overrides), 2)
    torch.manual_seed(0)
    ours = build_model(model(**overrides), "detection", 2, 64)
    theirs.config.num_queries = POSITIONS
    return theirs, ours


def test_boxes_are_those_of_transformers(model):
    theirs, ours = twins(model, **EVERYTHING)
    with torch.no_grad():
        found = ours.eval()(images())
        reference = theirs.eval()(images() / 255)
    boxes = box_convert(reference.pred_boxes, "cxcywh", "xyxy").clamp(0, 1) * 64
    for each, box, logits in zip(found, boxes, reference.logits, strict=True):
        scores, order = logits.sigmoid().flatten().sort(descending=True)
        assert len(each["scores"]) > 100
        torch.testing.assert_close(each["scores"], scores[: len(each["scores"])])
        apart = torch.cdist(each["boxes"], box[order // 2], p=float("inf")).amin(dim=1)
        assert apart.max() < 1e-3


def test_losses_add_up_to_that_of_transformers(model):
    theirs, ours = twins(model, **EVERYTHING)
    boxes, labels = torch.tensor([[6.0, 8, 26, 28], [32, 36, 56, 60]]), torch.tensor([0, 1])
    targets = [{"boxes": boxes, "labels": labels}, {"boxes": boxes[:1], "labels": labels[:1]}]
    torch.manual_seed(7)
    losses = ours.train()(images(), targets)
    torch.manual_seed(7)
    told = [
        {"boxes": box_convert(each["boxes"], "xyxy", "cxcywh") / 64, "class_labels": each["labels"]} for each in targets
    ]
    reference = theirs.train()(images() / 255, labels=told)
    torch.testing.assert_close(losses["loss_cls"] + losses["loss_box"], reference.loss)


def test_large_images_have_the_papers_queries(model):
    detector = build_model(model(**EVERYTHING, **{"model.max_detections": 10_000}), "detection", 1, 160).eval()
    with torch.no_grad():
        (found,) = detector(torch.zeros(1, 3, 160, 160, dtype=torch.uint8))
    assert detector.head.network.config.num_queries == QUERIES < 20 * 20
    assert len(found["scores"]) <= QUERIES


def test_pretrained_layers_are_the_published_ones_but_for_the_classes(model, published):
    detector = build_model(model(**{"model.pretrained": True}), "detection", 2, 64)
    found = {
        **{f"model.backbone.{key}": value for key, value in detector.pyramid.body.state_dict().items()},
        **{f"model.encoder.{key}": value for key, value in detector.pyramid.encoder.state_dict().items()},
        **{f"model.encoder_input_proj.{key}": v for key, v in detector.pyramid.projections.state_dict().items()},
        **detector.head.network.state_dict(),
    }
    wanted = published.state_dict()
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        assert torch.equal(found[key], value) != any(layer in key for layer in OF_CLASSES), key
    for layer in (*detector.head.network.model.decoder.class_embed, detector.head.network.model.enc_score_head):
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full((2,), PRIOR))
    again = build_model(model(), "detection", 2, 64)
    again.load_state_dict(detector.state_dict())


def test_a_frozen_backbone_takes_published_statistics(model, published):
    detector = build_model(model(**{"model.pretrained": True, "model.norm": "frozen"}), "detection", 2, 64)
    before = {key: value.clone() for key, value in detector.body.state_dict().items() if "running" in key}
    detector.train()(images(), [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * 2)
    assert before
    assert all(torch.equal(value, detector.body.state_dict()[key]) for key, value in before.items())


def test_published_weights_are_read_from_the_cache_without_a_hub(model, published, hub, monkeypatch):
    first = build_model(model(**{"model.pretrained": True}), "detection", 2, 64)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    second = build_model(model(**{"model.pretrained": True}), "detection", 2, 64)
    for key, value in first.body.state_dict().items():
        assert torch.equal(value, second.body.state_dict()[key])


def test_weights_that_cannot_be_fetched_are_named(model, hub):
    with pytest.raises(ExternalError, match=r"PekingU/rtdetr_r18vd can't be fetched .*set HF_ENDPOINT"):
        build_model(model(**{"model.pretrained": True}), "detection", 2, 64)


def test_another_networks_weights_are_refused(model, published, monkeypatch):
    backbone, rest = ARCHITECTURES["resnet18"]
    monkeypatch.setitem(ARCHITECTURES, "resnet18", (backbone, {**rest, "decoder_layers": 3}))
    with pytest.raises(ExternalError, match="are not those of its network"):
        build_model(model(**{"model.pretrained": True}), "detection", 2, 64)


def test_without_transformers_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"tropho\[rtdetr\]"):
        build_model(model(), "detection", 2, 64)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("model.backbone", "resnet152", "resnet18, resnet34"), ("model.norm", "group", "batch or frozen")],
)
def test_layers_it_does_not_have_are_refused(model, key, value, told):
    with pytest.raises(UsageError, match=told):
        model(**{key: value})


@pytest.mark.parametrize(
    ("backbone", "millions"), [("resnet18", 20), ("resnet34", 31), ("resnet50", 42), ("resnet101", 76)]
)
def test_networks_have_the_published_numbers_of_weights(settings, backbone, millions):
    with torch.device("meta"):
        network = rt_detr_network(
            settings("smear_demo", **{"model.name": "rt_detr", "model.backbone": backbone}).model, 80
        )
    assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)
