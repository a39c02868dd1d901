"""A picture of training images before and after augmentation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.draw import Colour, class_colours, contact_sheet, draw_boxes, enlarged, write_png
from tropho.images.fonts import naming
from tropho.seeds import sample_seed

_MIN_TILE, _MAX_TILE = 240, 480  # pixels
_COLUMNS = 4  # two pairs

REGION_COLOUR: Colour = (128, 128, 128)


def preview_sheet(
    transform: TrainTransform, numbers: Sequence[int], names: Sequence[str], classes: Sequence[str], to: Path
) -> None:
    """Write a PNG of pairs: a training image, captioned by its name, and an augmentation of it.

    `numbers` are those of the transform's images; classes are in the order of their colours.
    """
    shown: list[tuple[AnnotatedImage, str]] = []
    for seed, (number, name) in enumerate(zip(numbers, names, strict=True)):
        before, after = transform.scenes[number], transform(number, sample_seed(0, 0, seed))
        shown += [(before, name), (after, f"augmented{_count(len(before.boxes), len(after.boxes))}")]
    colours = {**dict(enumerate(class_colours(classes).values())), REGION: REGION_COLOUR}
    titles = {**dict(enumerate(classes)), REGION: "ignored region"}
    width = min(max(transform.settings.image_size, _MIN_TILE), _MAX_TILE)
    tiles = [_tile(scene, colours, width) for scene, _ in shown]
    used = {int(label) for scene, _ in shown for label in scene.labels}
    legend = [(titles[label], colour) for label, colour in colours.items() if label in used]
    title = f"Policy '{transform.settings.policy}': each pair is the image at training size and one augmentation of it"
    with naming(classes):
        write_png(to, contact_sheet(tiles, [caption for _, caption in shown], _COLUMNS, width, title, legend))


def _tile(scene: AnnotatedImage, colours: dict[int, Colour], width: int) -> np.ndarray:
    image, factor = enlarged(scene.image, width)
    return draw_boxes(image, scene.boxes * factor, [colours[int(label)] for label in scene.labels])


def _count(before: int, after: int) -> str:
    if not before:
        return ""
    return f", {after} of {before} boxes" if after < before else f", {after} box{'' if after == 1 else 'es'}"
