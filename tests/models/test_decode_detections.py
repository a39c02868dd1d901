import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from tropho.boxes.box_ops import MIN_SIDE
from tropho.models.heads import decode_detections

SIZE = 50, 60  # height and width


def random_boxes(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(1, count, 2, generator=generator) * 80 - 10
    sides = torch.rand(1, count, 2, generator=generator) * 30
    return torch.rand(1, count, 2, generator=generator), torch.cat([corner, corner + sides], dim=2)


@given(st.integers(0, 1000), st.integers(0, 40), st.sampled_from([0.3, 0.7]), st.integers(1, 20))
@hypothesis_settings(max_examples=40, deadline=None)
def test_detections_keep_what_was_asked_for(settings, seed, count, iou, most):
    model = settings(
        "smear_demo", **{"model.score_threshold": 0.25, "model.nms_iou_threshold": iou, "model.max_detections": most}
    ).model
    scores, boxes = random_boxes(seed, count)
    (found,) = decode_detections(scores, boxes, SIZE, model)
    assert len(found["boxes"]) == len(found["scores"]) == len(found["labels"]) <= most
    assert (found["scores"] >= 0.25).all()
    assert (found["scores"].diff() <= 0).all()
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"][:, 2] <= 60).all()
    assert (found["boxes"][:, 3] <= 50).all()
    assert (found["boxes"][:, 2:] - found["boxes"][:, :2] > MIN_SIDE).all()
    for label in (0, 1):
        same = found["boxes"][found["labels"] == label]
        assert (box_iou(same, same).fill_diagonal_(0) <= iou + 1e-6).all()


def test_a_position_may_answer_for_two_classes(settings):
    model = settings("smear_demo").model
    scores = torch.tensor([[[0.9, 0.8]]])
    (found,) = decode_detections(scores, torch.tensor([[[1.0, 1, 9, 9]]]), SIZE, model)
    assert found["labels"].tolist() == [0, 1]


def test_boxes_wholly_in_the_padding_go(settings):
    boxes = torch.tensor([[[61.0, 10, 70, 20], [10, 10, 20, 20]]])
    (found,) = decode_detections(torch.full((1, 2, 1), 0.9), boxes, SIZE, settings("smear_demo").model)
    assert found["boxes"].tolist() == [[10, 10, 20, 20]]
