import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torchvision.models.detection import FCOS

from tropho.models.fcos import Grid, assign_points, centerness, decode_sides

SIZE = 128


def grid(levels=(3, 4, 5)) -> Grid:
    maps = [torch.zeros(1, 1, -(-SIZE // 2**level), -(-SIZE // 2**level)) for level in levels]
    return Grid.of(maps, list(levels))


def torchvision_match(positions: Grid, boxes: torch.Tensor) -> torch.Tensor:
    """(N,) the box of each position, -1 for none, as torchvision's FCOS has it."""
    seen = {}

    class Head:
        def compute_loss(self, targets, head_outputs, all_anchors, matched):
            seen["matched"] = matched[0]

    class Detector:
        center_sampling_radius = 1.5
        head = Head()

    half = positions.stride_of[:, None] / 2
    places = torch.cat([positions.points - half, positions.points + half], dim=1)
    FCOS.compute_loss(
        Detector(), [{"boxes": boxes}], {}, [places], [height * width for height, width in positions.shapes]
    )
    return seen["matched"]


coordinate = st.floats(0, SIZE - 24, width=32)
side = st.floats(20, 100, width=32)  # at least 2.5 strides of P3, where Tropho's rule for small boxes is silent
wide_boxes = st.lists(st.tuples(coordinate, coordinate, side, side), min_size=1, max_size=8)
any_boxes = st.lists(
    st.tuples(st.floats(0, SIZE - 2), st.floats(0, SIZE - 2), st.floats(1, 60), st.floats(1, 60)),
    min_size=1,
    max_size=6,
)


def to_boxes(rows) -> torch.Tensor:
    table = torch.tensor(rows, dtype=torch.float32)
    return torch.cat([table[:, :2], (table[:, :2] + table[:, 2:]).clamp(max=SIZE)], dim=1)


@given(wide_boxes)
@hypothesis_settings(max_examples=60, deadline=None)
def test_equals_torchvision_on_boxes_of_some_strides(rows):
    boxes, positions = to_boxes(rows), grid()
    expected = torchvision_match(positions, boxes)
    row, chosen = assign_points(positions, [boxes])
    matched = torch.full((len(positions.points),), -1)
    matched[row] = chosen
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert torch.equal(matched >= 0, expected >= 0)
    # torchvision subtracts areas from 1e8 in float32 (steps of 8), so near-equal ones may fall to either box.
    assert ((areas[matched[row]] - areas[expected[row]]).abs() <= 8).all()


@given(any_boxes)
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_lone_box_always_has_a_position(rows):
    positions = grid()
    for box in to_boxes(rows):
        row, _ = assign_points(positions, [box[None]])
        assert len(row) >= 1


@given(any_boxes, any_boxes)
@hypothesis_settings(max_examples=30, deadline=None)
def test_images_of_a_batch_do_not_mix(first, second):
    one, two, positions = to_boxes(first), to_boxes(second), grid()
    row, chosen = assign_points(positions, [one, torch.zeros(0, 4), two])
    alone_row, alone = assign_points(positions, [two])
    late = row >= 2 * len(positions.points)
    assert torch.equal(row[late] - 2 * len(positions.points), alone_row)
    assert torch.equal(chosen[late] - len(one), alone)
    assert not ((row >= len(positions.points)) & ~late).any()


def test_no_boxes_at_all():
    row, chosen = assign_points(grid(), [torch.zeros(0, 4)] * 2)
    assert len(row) == len(chosen) == 0


def test_the_smaller_of_two_boxes_has_the_position():
    boxes = torch.tensor([[32.0, 32, 72, 72], [42, 42, 62, 62]])
    _, chosen = assign_points(grid(), [boxes])
    middle = grid().points[assign_points(grid(), [boxes])[0]]
    in_small = ((middle > 42) & (middle < 62)).all(dim=1)
    assert (chosen[in_small] == 1).all()
    assert in_small.any()


def test_size_decides_the_level():
    positions = Grid.of([torch.zeros(1, 1, 256 // 2**level, 256 // 2**level) for level in (3, 4, 5)], [3, 4, 5])
    sizes = {20.0: 8, 100.0: 8, 150.0: 16}  # farthest side of at most 8 strides
    for size, stride in sizes.items():
        box = torch.tensor([[128 - size / 2, 128 - size / 2, 128 + size / 2, 128 + size / 2]])
        row, _ = assign_points(positions, [box])
        assert set(positions.stride_of[row].tolist()) == {float(stride)}


def test_centerness_is_one_in_the_middle_and_falls():
    box = torch.tensor([[0.0, 0, 80, 80]])
    stride = torch.tensor([8.0])
    values = [centerness(torch.tensor([[x, 40.0]]), box, stride).item() for x in (40.0, 20.0, 4.0)]
    assert values[0] == 1
    assert values[0] > values[1] > values[2] > 0


def test_centerness_of_a_speck_does_not_hang_on_the_grid():
    box = torch.tensor([[6.0, 6, 10, 10]])  # 4 pixels wide on stride 8: its position is up to half a stride away
    assert centerness(torch.tensor([[4.0, 4.0]]), box, torch.tensor([8.0])).item() >= 1 / 3


@given(any_boxes, st.floats(4, 60, width=32))
@hypothesis_settings(max_examples=60, deadline=None)
def test_ranges_give_each_box_to_one_level(rows, border):
    boxes, positions = to_boxes(rows), grid()
    ranges = [border, 2 * border]
    for box in boxes:
        row, _ = assign_points(positions, [box[None]], ranges)
        longest = (box[2:] - box[:2]).max().item()
        stride = positions.strides[sum(longest > each for each in ranges)]
        assert set(positions.stride_of[row].tolist()) <= {float(stride)}


def test_coordinates_come_back_unchanged():
    """Sides encoded from a box at its positions decode to that very box, on every level."""
    grid = Grid.of([torch.zeros(1, 1, 12, 20), torch.zeros(1, 1, 6, 10)], [3, 4])
    boxes = torch.tensor([[10.25, 20.5, 43.75, 60.125], [90.0, 8.0, 158.0, 92.0]])
    row, chosen = assign_points(grid, [boxes])
    point, stride, box = grid.points[row], grid.stride_of[row], boxes[chosen]
    sides = torch.cat([point - box[:, :2], box[:, 2:] - point], dim=1) / stride[:, None]
    torch.testing.assert_close(decode_sides(sides, point, stride), box, rtol=0, atol=1e-4)
    assert set(chosen.tolist()) == {0, 1}
