import torch
from hypothesis import given
from hypothesis import strategies as st

from tropho.models.heads import EVIDENCE, top_logits
from tropho.models.presence import PresenceHead, presence_loss, smooth_maximum

WIDTH = 16


def features(batch: int) -> list[torch.Tensor]:
    return [torch.randn(batch, WIDTH, side, side, requires_grad=True) for side in (16, 8, 4)]


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=50))
def test_smooth_maximum_lies_between_mean_and_maximum(values):
    row = torch.tensor([values], dtype=torch.float64)
    found = smooth_maximum(row)
    assert row.mean() - 1e-9 <= found.item() <= row.max() + 1e-9


def test_gradients_reach_the_pyramid_but_not_the_detector():
    head, levels = PresenceHead(WIDTH), features(2)
    for layer in (head.local[-1], head.field):
        torch.nn.init.normal_(layer.weight)
    detector_logits = torch.randn(2, 30, 3, requires_grad=True)
    targets = [{"boxes": torch.zeros(0, 4)}, {"boxes": torch.tensor([[0.0, 0, 4, 4]])}]
    presence_loss(head(levels, top_logits(detector_logits)), targets).backward()
    assert all(level.grad is not None and level.grad.abs().sum() > 0 for level in levels)
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in head.parameters())
    assert detector_logits.grad is None


def test_an_image_without_boxes_that_ignores_a_class_may_show_something():
    ignore = torch.tensor([False, True])
    unsure = {"boxes": torch.zeros(0, 4), "ignore": ignore}
    full = {"boxes": torch.tensor([[0.0, 0, 4, 4]]), "ignore": ignore}
    bare = {"boxes": torch.zeros(0, 4), "ignore": torch.zeros(2, dtype=torch.bool)}
    logits = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    loss = presence_loss(logits, [unsure, full, bare])
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor([2.0, 3.0]).exp().log1p().mean())
    assert logits.grad[0] == 0
    assert (logits.grad[1:] != 0).all()
    assert presence_loss(logits, [unsure] * 3) == 0


def test_starts_as_a_rising_function_of_the_detectors_logits():
    head, levels = PresenceHead(WIDTH), features(1)
    logits = [head(levels, torch.full((1, EVIDENCE), value)).item() for value in (-5.0, 0.0, 5.0)]
    assert logits[0] < logits[1] < logits[2]


def test_learns_to_see_one_bright_cell_on_a_large_map():
    torch.manual_seed(0)
    head = PresenceHead(WIDTH)
    maps = torch.randn(16, WIDTH, 32, 32) * 0.3
    maps[::2, :, 7, 21] += 2.0
    levels = [maps, maps[..., ::2, ::2], maps[..., ::8, ::8]]
    targets = [{"boxes": torch.zeros(1 - index % 2, 4)} for index in range(16)]
    silent = torch.full((16, EVIDENCE), -2.0)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)
    for _ in range(60):
        loss = presence_loss(head(levels, silent), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_top_logits_repeat_where_there_are_few():
    assert top_logits(torch.tensor([[[1.0], [3.0]]])).tolist() == [[3.0, 1.0, 1.0]]
