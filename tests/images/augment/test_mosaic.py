import numpy as np

from tropho.images.annotated import AnnotatedImage
from tropho.images.augment.mix import mosaic


def coloured(number: int, width: int, height: int) -> AnnotatedImage:
    """A scene of one colour with two objects of another, 6 x 8 pixels, whose colour says which image they are of."""
    image = np.full((height, width, 3), (number, 100, 0), np.uint8)
    boxes = np.array([[4, 4, 10, 12], [width - 20, height - 20, width - 14, height - 12]], np.float32)
    for xmin, ymin, xmax, ymax in boxes.astype(int):
        image[ymin:ymax, xmin:xmax] = (number, 200, 0)
    return AnnotatedImage(image, boxes, np.array([number, number]))


def test_four_pieces_fill_the_picture_at_their_own_scale_with_their_boxes() -> None:
    shown = 0
    for seed in range(40):
        others = iter([coloured(1, 90, 70), coloured(2, 200, 120), coloured(3, 120, 90)])
        made = mosaic(coloured(0, 120, 90), lambda others=others: next(others), 0.7, np.random.default_rng(seed))
        assert made.size == (120, 90)
        assert set(np.unique(made.image[..., 0])) == {0, 1, 2, 3}
        assert (made.image[..., 1] >= 100).all()  # nothing is left black: every source is large enough
        for box, label in zip(made.boxes, made.labels, strict=True):
            xmin, ymin, xmax, ymax = box.astype(int)
            assert (made.image[ymin:ymax, xmin:xmax] == (label, 200, 0)).all()
        assert len(made.boxes) == 0 or (made.boxes[:, 2:] - made.boxes[:, :2]).max() <= 8
        whole = (made.image[..., 1] == 200).sum()
        boxed = (made.boxes[:, 2:] - made.boxes[:, :2]).prod(axis=1).sum()
        assert whole - boxed < 8 * 0.3 * 48  # unboxed are only pieces below the visible share
        shown += len(made.boxes)
    assert shown > 60


def test_a_piece_that_its_image_can_not_fill_is_black_beyond() -> None:
    small = coloured(1, 30, 24)
    made = mosaic(coloured(0, 120, 90), lambda: small, 0.5, np.random.default_rng(0))
    assert (made.image.max(axis=2) == 0).mean() > 0.3
    assert (made.boxes[:, 2:] > made.boxes[:, :2]).all()
