"""Detectors' arithmetic by hand: positions on a border, boxes at a limit, priors, padding, levels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection.retinanet import RetinaNetHead

from tropho.models import torchvision_detectors
from tropho.models.anchors import expected_iou, fit_anchors, fit_levels, fit_ranges
from tropho.models.backbone import FeaturePyramid, resnet
from tropho.models.classifier import ResNetClassifier, negative_loss
from tropho.models.fcos import CORNER, Grid, assign_points, centerness, decode_sides
from tropho.models.heads import (
    PRIOR_BIAS,
    decode_detections,
    flatten_levels,
    in_regions,
    mean_over_processes,
    output_conv,
)
from tropho.models.layers import MEAN, STD, Normalize, group_norm
from tropho.models.torchvision_detectors import TorchvisionRetinaNet


def grid(*levels: int, size: int = 160) -> Grid:
    return Grid.of([torch.zeros(1, 1, size // 2**level, size // 2**level) for level in levels], list(levels))


def matched(positions: Grid, box: list[float], ranges: list[float] | None = None) -> set[tuple[float, float, float]]:
    """x, y and stride of the positions of a lone box."""
    row, chosen = assign_points(positions, [torch.tensor([box])], ranges)
    assert (chosen == 0).all()
    return {
        (*point, stride)
        for point, stride in zip(positions.points[row].tolist(), positions.stride_of[row].tolist(), strict=True)
    }


def places(x: tuple[float, ...], y: tuple[float, ...], stride: float = 8.0) -> set[tuple[float, float, float]]:
    return {(each, other, stride) for each in x for other in y}


def test_positions_just_a_radius_away_are_not_of_a_box():
    assert matched(grid(3), [32.0, 32, 96, 96]) == places((60.0, 68.0), (60.0, 68.0))  # 52 and 76 are 1.5 strides off
    assert matched(grid(3), [36.0, 32, 100, 96]) == places((60.0, 68.0, 76.0), (60.0, 68.0))


def test_positions_on_a_side_are_not_of_a_box():
    assert matched(grid(3), [60.0, 60, 76, 76]) == places((68.0,), (68.0,))
    assert matched(grid(3), [59.9, 60, 76, 76.1]) == places((60.0, 68.0), (68.0, 76.0))


def test_positions_at_the_borders_of_a_map_are_of_a_box_and_none_are_beyond():
    assert matched(grid(3), [0.0, 0, 20, 20]) == places((4.0, 12.0), (4.0, 12.0))
    assert matched(grid(3), [159.5, 159.5, 160, 160]) == places((156.0,), (156.0,))
    assert matched(grid(3), [0.0, 159.5, 0.5, 160]) == places((4.0,), (156.0,))


def test_a_side_just_at_the_end_of_a_range_is_of_the_finer_level():
    fine = (68.0, 68.0, 8.0)
    assert fine in matched(grid(3, 4), [4.0, 4, 132, 132])  # 64 pixels away, 8 strides
    assert fine not in matched(grid(3, 4), [3.0, 4, 132, 132])
    coarse = (72.0, 72.0, 16.0)
    assert coarse not in matched(grid(3, 4), [8.0, 8, 136, 136])  # 64 pixels, 4 of its strides
    assert coarse in matched(grid(3, 4), [7.0, 8, 136, 136])
    assert {stride for *_, stride in matched(grid(4), [60.0, 60, 84, 84])} == {16.0}  # a lone level takes all
    assert {stride for *_, stride in matched(grid(3), [0.0, 0, 160, 160])} == {8.0}


def test_a_box_as_long_as_a_range_is_of_the_finer_level():
    assert {stride for *_, stride in matched(grid(3, 4), [40.0, 40, 72, 60], [32.0])} == {8.0}
    assert {stride for *_, stride in matched(grid(3, 4), [40.0, 40, 72.1, 60], [32.0])} == {16.0}


def test_of_equal_boxes_the_first_has_the_positions():
    boxes = torch.tensor([[40.0, 40, 80, 60], [40.0, 40, 80, 60], [50.0, 30, 70, 70]])
    _, chosen = assign_points(grid(3), [boxes])
    assert 1 not in chosen.tolist()


def test_centerness_by_hand():
    box, stride = torch.tensor([[0.0, 0, 40, 80]]), torch.tensor([8.0])
    assert centerness(torch.tensor([[10.0, 20.0]]), box, stride).item() == pytest.approx(1 / 3)
    assert centerness(torch.tensor([[10.0, 40.0]]), box, stride).item() == pytest.approx(3**-0.5)
    assert centerness(torch.tensor([[0.0, 40.0]]), box, stride).item() == 0.0
    speck = torch.tensor([[6.0, 6, 10, 10]])  # seen as two strides wide: 0 to 16
    assert centerness(torch.tensor([[4.0, 8.0]]), speck, stride).item() == pytest.approx(3**-0.5)


def test_grids_at_corners_and_of_several_levels():
    positions = Grid.of([torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 1)], [3, 4], CORNER)
    assert positions.points.tolist() == [[0, 0], [8, 0], [0, 0]]
    assert (positions.stride_of.tolist(), positions.shapes) == ([8, 8, 16], ((1, 2), (1, 1)))


def test_sides_are_distances_in_strides():
    box = decode_sides(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[40.0, 50.0]]), torch.tensor([8.0]))
    assert box.tolist() == [[32, 34, 64, 82]]


def test_a_fresh_head_says_one_in_a_hundred():
    assert torch.tensor(PRIOR_BIAS).sigmoid().item() == pytest.approx(0.01)
    conv = output_conv(4, 2, -1.5)
    assert conv(torch.zeros(1, 4, 3, 3)).tolist() == [[[[-1.5] * 3] * 3] * 2]


def test_levels_are_flattened_in_the_order_of_the_grid():
    maps = [torch.arange(8.0).reshape(1, 4, 1, 2), torch.arange(4.0).reshape(1, 4, 1, 1) + 100]
    flat = flatten_levels(maps, 2)
    assert flat.tolist() == [[[0, 2], [4, 6], [1, 3], [5, 7], [100, 101], [102, 103]]]


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 32), (32, 16), (16, 8), (48, 16), (2, 1), (1, 1), (3, 1), (96, 32)]
)
def test_groups_of_a_norm_have_two_channels_or_more(channels, groups):
    assert group_norm(channels).num_groups == groups


def test_pixels_are_normalised_by_imagenet():
    image = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    expected = [[(value / 255 - mean) / std for value in (0, 128, 255)] for mean, std in zip(MEAN, STD, strict=True)]
    torch.testing.assert_close(Normalize()(image)[0, :, 0], torch.tensor(expected), atol=1e-5, rtol=0)


def test_a_point_on_the_near_side_of_a_region_is_inside_it():
    points = torch.tensor([[10.0, 10.0], [20.0, 15.0], [15.0, 20.0], [15.0, 15.0], [9.9, 15.0]])
    found = in_regions(points, [{"regions": torch.tensor([[10.0, 10, 20, 20]])}, {}])
    assert found.tolist() == [[True, False, False, True, False], [False] * 5]


def test_boxes_and_scores_just_at_a_limit(settings):
    model = settings("smear_demo", **{"model.score_threshold": 0.25}).model
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20.0, 20, 29, 29], [40, 40, 49, 49]]])
    scores = torch.tensor([[[0.1, 0.25], [0.5, 0.2], [0.1, 0.9]]])
    (found,) = decode_detections(scores, boxes, (50, 60), model)
    assert found["labels"].tolist() == [1, 0, 1]
    assert found["boxes"][:, 0].tolist() == [40, 20, 0]


def test_the_mean_over_one_process_has_a_least_value():
    assert mean_over_processes(torch.tensor(0), min_total=1.0).item() == 1.0
    assert mean_over_processes(torch.tensor(3), min_total=1.0).item() == 3.0
    assert mean_over_processes(torch.tensor(-2.0), min_total=-5.0).item() == -2.0


def test_the_loss_of_presence_leaves_out_what_nobody_knows():
    logits = torch.tensor([2.0, -1.0, 0.5, 3.0, 3.0])
    some, none = torch.zeros(1, 4), torch.zeros(0, 4)
    targets = [
        {"boxes": some, "ignore": torch.tensor([True])},  # an object is an object
        {"boxes": none, "ignore": torch.tensor([False])},
        {"boxes": none, "regions": none},
        {"boxes": none, "ignore": torch.tensor([True])},
        {"boxes": none, "regions": some},
    ]
    expected = (-math.log(1 / (1 + math.exp(-2))) + math.log(1 + math.exp(-1)) + math.log(1 + math.exp(0.5))) / 3
    assert negative_loss(logits, targets).item() == pytest.approx(expected, rel=1e-5)
    assert negative_loss(logits[3:], targets[3:]).item() == 0.0


def test_ranges_share_boxes_evenly():
    sizes = np.stack([np.arange(1.0, 91), np.ones(90)], axis=1)
    assert fit_ranges(sizes, [2, 3, 4]) == [31.0, 60.0]


def test_levels_go_by_the_root_of_the_area():
    assert fit_levels(np.array([[48.0, 12.0]])) == [3]
    assert fit_levels(np.array([[96.0, 96.0]] * 8 + [[400.0, 400.0]] * 2)) == [5, 6, 7]
    assert fit_levels(np.zeros((0, 2))) == [2, 3, 4, 5]


def test_overlap_with_the_nearest_anchor_by_hand():
    """A stride of 8 puts the nearest anchor 2 pixels off on each axis."""
    found = expected_iou(np.array([[10.0, 10.0]]), np.array([[10.0, 10.0], [20.0, 10.0]]), np.array([8.0, 8.0]))
    assert found.tolist() == [pytest.approx([64 / 136, 80 / 220])]


def test_anchors_are_in_strides_of_the_level_of_each_box():
    """Boxes of 12 and 24 wide on levels 2 and 3, all as high as wide or twice that."""
    sizes = np.array([[12.0, 12.0]] * 5 + [[40.0, 40.0]] * 5)
    assert fit_ranges(sizes, [2, 3]) == [26.0]
    scales, ratios = fit_anchors(sizes, [2, 3], 2, 1)
    assert (scales, ratios) == ((3.0, 5.0), (1.0,))
    assert fit_anchors(np.array([[12.0, 24.0]] * 4), [2], 1, 1) == ((4.24,), (2.0,))


def test_proposals_are_pooled_from_the_level_of_their_size():
    align = torchvision_detectors.roi_align([2, 3, 4, 5])
    assert align.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    sides = [50.0, 112.0, 223.0, 224.0, 448.0, 2000.0]
    levels = align.map_levels([torch.tensor([[0.0, 0, side, side] for side in sides])])
    assert levels.tolist() == [0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize(("ignore", "kept"), [(None, True), ([False, False], True), ([False, True], False)])
def test_ground_may_be_an_object_where_a_class_is_ignored(ignore, kept):
    target = {} if ignore is None else {"ignore": torch.tensor(ignore)}
    labels = torchvision_detectors._drop_background(torch.tensor([1.0, 0.0, -1.0]), target)
    assert labels.tolist() == ([1.0, 0.0, -1.0] if kept else [1.0, -1.0, -1.0])


class Fixed(TorchvisionRetinaNet):
    """RetinaNet whose outputs are given."""

    def anchors(self, features):
        return torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 22], [50, 50, 60, 60]])

    def outputs(self, features):
        return features


def test_anchors_that_are_neither_object_nor_ground_teach_nothing(settings):
    """Of a box the first anchor is an object, the second (overlap 10/22) nothing, the third ground."""
    head = Fixed(settings("smear_demo").model, 2, RetinaNetHead(256, 1, 91), None)
    targets = [{"boxes": torch.tensor([[0.0, 0, 10, 10]]), "labels": torch.tensor([1])}]

    def losses(changed: int | None = None, targets=targets) -> dict[str, float]:
        logits, offsets = torch.zeros(1, 3, 2), torch.zeros(1, 3, 4)
        if changed is not None:
            logits[0, changed] += 1
            offsets[0, changed] += 1
        return {name: value.item() for name, value in head((logits, offsets), None, targets).items()}

    plain = losses()
    assert plain["loss_box"] == 0.0
    assert plain["loss_cls"] == pytest.approx(4 * 0.25 * math.log(2) * np.mean([0.75, 0.25, 0.75, 0.75]))
    assert losses(0)["loss_box"] == pytest.approx(4.0)
    assert losses(1) == plain
    assert losses(2)["loss_box"] == 0.0
    assert losses(2)["loss_cls"] > plain["loss_cls"]
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}]
    assert losses(targets=nothing)["loss_cls"] == pytest.approx(6 * 0.25 * math.log(2) * 0.75)
    assert SimpleNamespace(**losses(targets=nothing)).loss_box == 0.0
    assert isinstance(head, nn.Module)


def test_context_flows_down_a_pyramid(settings):
    """Each lateral convolution adds one to what comes from above, and outputs hand on what is there."""
    changes = {"model.fpn_channels": 16, "model.fpn_levels": [2, 3, 4, 5, 6]}
    pyramid = FeaturePyramid(settings("smear_demo", **changes).model).eval()
    for lateral in pyramid.laterals.values():
        nn.init.zeros_(lateral.weight)
        nn.init.ones_(lateral.bias)
    for output in (*pyramid.outputs.values(), *pyramid.extra.values()):
        nn.init.zeros_(output.weight)
        output.weight.data[:, :, 1, 1] = torch.eye(16)
    with torch.no_grad():
        maps = pyramid(torch.zeros(1, 3, 64, 96))
    assert [(each.min().item(), each.max().item()) for each in maps] == [(n, n) for n in (4.0, 3.0, 2.0, 1.0, 1.0)]
    assert [tuple(each.shape[2:]) for each in maps] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]


def deviations(settings, **changes) -> tuple[float, float]:
    """Of the first convolution of a ResNet-18, and of the last one of its first block."""
    torch.manual_seed(0)
    made = settings("cells_demo", **{f"model.{key}": value for key, value in changes.items()}).model
    body = resnet(made)
    return body.conv1.weight.std().item(), body.layer1[0].conv2.weight.std().item()


def test_backbones_start_by_the_initialisation_and_activation_that_are_set(settings):
    published, block = (2 / (64 * 49)) ** 0.5, (2 / (64 * 9)) ** 0.5
    assert deviations(settings) == pytest.approx((published, block), rel=0.05)
    assert deviations(settings, init="naive") == pytest.approx((0.01, 0.01), rel=0.05)
    assert deviations(settings, activation="tanh")[0] == pytest.approx(5 / 3 / 147**0.5, rel=0.05)


def test_without_statistics_each_branch_is_scaled_by_the_root_of_the_blocks(settings):
    assert deviations(settings, norm="none")[1] == pytest.approx((2 / (64 * 9)) ** 0.5 * 8**-0.5, rel=0.05)
    body = resnet(settings("cells_demo", **{"model.norm": "frozen"}).model)
    assert body.layer1[0].bn2.weight.tolist() == pytest.approx([8**-0.5] * 64)


def test_the_last_layer_of_a_classifier_starts_as_the_others_do(settings):
    made = settings("cells_demo", **{"model.init": "naive"}).model
    assert ResNetClassifier(made, 50).body.fc[1].weight.std().item() == pytest.approx(0.01, rel=0.05)
    plain = ResNetClassifier(settings("cells_demo").model, 50).body.fc[1]
    assert plain.weight.std().item() == pytest.approx(1 / (3 * 512) ** 0.5, rel=0.05)  # torch's own
    assert plain.in_features == 512


@pytest.mark.parametrize(
    ("scales", "ratios", "sizes", "aspects"),
    [
        ([2.0, 4.0, 6.0], None, (16.0, 32.0, 48.0), (0.5, 1.0, 2.0)),
        (None, [0.8, 1.0, 1.25], (32.0, 40.0, 50.0), (0.8, 1.0, 1.25)),
    ],
)
def test_anchors_by_hand_leave_the_rest_as_published(settings, scales, ratios, sizes, aspects):
    changes = {"model.name": "torchvision_retinanet", "model.scales": scales, "model.ratios": ratios}
    generator = torchvision_detectors._anchor_generator(settings("smear_demo", **changes).model)
    assert generator.sizes[0] == pytest.approx(sizes)
    assert generator.sizes[1] == pytest.approx([2 * each for each in generator.sizes[0]])
    assert len(generator.sizes) == len(generator.aspect_ratios) == 5
    assert generator.aspect_ratios[0] == aspects
    plain = settings("smear_demo", **{"model.name": "torchvision_retinanet"}).model
    assert torchvision_detectors._anchor_generator(plain) is None


def test_losses_of_more_images_are_means_over_their_objects(settings):
    head = Fixed(settings("smear_demo").model, 2, RetinaNetHead(256, 1, 91), None)
    target = {"boxes": torch.tensor([[0.0, 0, 10, 10]]), "labels": torch.tensor([1])}
    found = [head((torch.zeros(n, 3, 2), torch.ones(n, 3, 4)), None, [target] * n) for n in (1, 2, 3)]
    for losses in found[1:]:
        assert {name: value.item() for name, value in losses.items()} == pytest.approx(
            {name: value.item() for name, value in found[0].items()}
        )
    assert found[0]["loss_box"].item() == pytest.approx(4.0)
