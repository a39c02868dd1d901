"""A sheet of training images before and after augmentation, to be judged by eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tropho.images.annotated import REGION, AnnotatedImage
from tropho.images.augment.train_transform import TrainTransform
from tropho.images.draw import Colour, class_colours, contact_sheet, draw_boxes, enlarged, write_png
from tropho.images.fonts import naming
from tropho.seeds import sample_seed

_NARROWEST, _WIDEST = 240, 480  # pixels of a tile
_COLUMNS = 4  # two pairs

REGION_COLOUR: Colour = (128, 128, 128)

Captioned = tuple[AnnotatedImage, str]


def preview_sheet(
    augmenter: TrainTransform, numbers: Sequence[int], names: Sequence[str], classes: Sequence[str], to: Path
) -> None:
    """Write a PNG of pairs: a training image and an augmentation of it.

    Args:
        augmenter: makes one draw for each image.
        numbers: of its scenes, one a pair, in this order.
        names: captions of the pairs' first halves.
        classes: in the order that colours go by.
        to: the file.
    """
    colours = class_colours(classes)
    shown = [
        each
        for seed, (number, name) in enumerate(zip(numbers, names, strict=True))
        for each in _pair(augmenter, number, seed, name)
    ]
    width = min(max(augmenter.settings.image_size, _NARROWEST), _WIDEST)
    tiles = [_tile(scene, list(colours.values()), width) for scene, _ in shown]
    used = {int(label) for scene, _ in shown for label in scene.labels}
    legend = [pair for number, pair in enumerate(colours.items()) if number in used]
    legend += [("ignored region", REGION_COLOUR)] if REGION in used else []
    title = f"Policy '{augmenter.settings.policy}': each pair is the image at training size and one augmentation of it"
    with naming(classes):
        write_png(to, contact_sheet(tiles, [caption for _, caption in shown], _COLUMNS, width, title, legend))


def _pair(augmenter: TrainTransform, number: int, seed: int, name: str) -> list[Captioned]:
    before, after = augmenter.scenes[number], augmenter(number, sample_seed(0, 0, seed))
    return [(before, name), (after, f"augmented{_counted(len(before.boxes), len(after.boxes))}")]


def _tile(scene: AnnotatedImage, palette: Sequence[Colour], width: int) -> np.ndarray:
    large, factor = enlarged(scene.image, width)
    colours = [REGION_COLOUR if number == REGION else palette[number] for number in scene.labels]
    return draw_boxes(large, scene.boxes * factor, colours)


def _counted(before: int, after: int) -> str:
    if not before:
        return ""
    return f", {after} of {before} boxes" if after < before else f", {after} box{'' if after == 1 else 'es'}"
