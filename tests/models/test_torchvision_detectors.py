"""COCO's weights, as torchvision's own networks hold them, read and used as these networks use them."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection.image_list import ImageList

from tropho.config.model_config import TORCHVISION
from tropho.errors import ExternalError
from tropho.models import build_model
from tropho.models.fcos import Grid, decode_sides
from tropho.models.torchvision_detectors import BUILDERS, torchvision_network

RESNET50 = {"model.backbone": "resnet50"}


def published(name: str) -> nn.Module:
    """torchvision's own network, with random weights and statistics in the place of COCO's."""
    torch.manual_seed(3)
    network = torchvision.models.get_model(BUILDERS[name], weights=None, weights_backbone=None).eval()
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1.5)
    return network


@pytest.fixture
def served(monkeypatch):
    """served(state) makes it the file that every address holds, and returns the list of addresses asked for."""

    def serve(state: dict[str, torch.Tensor]) -> list[str]:
        asked: list[str] = []

        def load(url: str, *_args, **_kwargs):
            asked.append(url)
            return state

        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
        return asked

    return serve


@pytest.mark.parametrize("norm", ["batch", "frozen"])
@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_have_the_tensors_of_the_published_ones(settings, name, norm):
    with torch.device("meta"):
        ours = torchvision_network(settings("smear_demo", **RESNET50, **{"model.name": name, "model.norm": norm}).model)
        theirs = torchvision.models.get_model(BUILDERS[name], weights=None, weights_backbone=None)

    def shapes(network):
        tensors = network.state_dict().items()
        return {key: value.shape for key, value in tensors if not key.endswith("num_batches_tracked")}

    assert shapes(ours) == shapes(theirs)


@pytest.mark.parametrize("name", TORCHVISION)
def test_pretrained_layers_do_what_torchvision_does(settings, served, name):
    theirs = published(name)
    state = {key: value for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked")}
    asked = served(copy.deepcopy(state))
    pretrained = settings("smear_demo", **RESNET50, **{"model.name": name, "model.pretrained": True})
    ours = build_model(pretrained.model, "detection", 2, 64).eval()
    assert asked == [torchvision.models.get_model_weights(BUILDERS[name]).DEFAULT.url]

    # torchvision takes strides from the maps' shapes; for sides that are multiples of 128 these are the true ones.
    images = torch.randint(0, 255, (1, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        normal = ours.normalize(images)
        features = ours.pyramid(normal)
        reference = list(theirs.backbone(normal).values())
        for mine, his in zip(features, reference, strict=True):
            torch.testing.assert_close(mine, his)
        torch.testing.assert_close(*boxes(name, ours.head, theirs, normal, features), atol=1e-3, rtol=1e-4)


def boxes(name: str, head, theirs, images: torch.Tensor, features: list) -> tuple[torch.Tensor, torch.Tensor]:
    """Every box before thresholds (for Faster R-CNN every proposal), by our code and by torchvision's."""
    listed = ImageList(images, [tuple(images.shape[-2:])])
    if name == "torchvision_faster_rcnn":
        named = {str(index): each for index, each in enumerate(features)}
        proposals, _ = head._propose(features, [tuple(images.shape[-2:])], None)
        return proposals[0], theirs.rpn(listed, named)[0][0]
    outputs, anchors = theirs.head(features), theirs.anchor_generator(listed, features)[0]
    if name == "torchvision_fcos":
        his = theirs.box_coder.decode(outputs["bbox_regression"][0], anchors)
        grid = Grid.of(features, head.model.levels, head.offset)
        return decode_sides(head.outputs(features)[1][0], grid.points, grid.stride_of), his
    mine = head.coder.decode_single(head.outputs(features)[1][0], head.anchors(features))
    return mine, theirs.box_coder.decode_single(outputs["bbox_regression"][0], anchors)


def test_another_networks_weights_are_refused(settings, served):
    served(published("torchvision_fcos").state_dict())
    pretrained = {**RESNET50, "model.name": "torchvision_retinanet", "model.pretrained": True}
    with pytest.raises(ExternalError, match="not those of retinanet_resnet50_fpn_v2; delete the file"):
        build_model(settings("smear_demo", **pretrained).model, "detection", 2, 64)


def test_weights_that_cannot_be_fetched_are_named(settings, tmp_path, monkeypatch):
    def unreachable(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    pretrained = {**RESNET50, "model.name": "torchvision_fcos", "model.pretrained": True}
    with pytest.raises(ExternalError, match=r"COCO weights of fcos_resnet50_fpn can't be fetched .*place https://"):
        build_model(settings("smear_demo", **pretrained).model, "detection", 2, 64)
