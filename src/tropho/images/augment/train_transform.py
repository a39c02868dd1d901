"""Everything that happens to a training image, in the order in which a microscope would do it."""

from typing import Any

import numpy as np

from tropho.config.task_config import AugmentConfig
from tropho.images.annotated import AnnotatedImage, AnnotatedImages
from tropho.images.augment.copy_paste import paste
from tropho.images.augment.crop import choose_window, cut, zoomed
from tropho.images.augment.donors import DonorSampler
from tropho.images.augment.mosaic import mosaic
from tropho.images.augment.policies import build_policy

DISABLED: dict[str, Any] = {
    "policy": "none",
    "copy_paste_prob": 0.0,
    "mosaic_prob": 0.0,
    "crop_size": None,
    "zoom_range": [1.0, 1.0],
}
"""Fields of the settings that each switch a step on, and their values when it is off."""
CROP_OBJECT_PROB = 0.5
"""Share of windows (crops, mosaic pieces) around an object; the others are away from them."""


class TrainTransform:
    """Makes the training sample of an image: equal numbers and seeds give equal samples, whoever asks.

    Every step draws from a stream of its own, so that switching one on leaves the others' draws as they were.

    Args:
        settings: the strength of each step.
        boxed: True for detection. False for classification: the image is centred on a black square in the end.
        scenes: the training images.
    """

    def __init__(self, settings: AugmentConfig, boxed: bool, scenes: AnnotatedImages) -> None:
        self.settings, self.boxed, self.scenes = settings, boxed, scenes
        self._partners = DonorSampler(scenes)
        self._bundle = build_policy(settings.policy, settings.image_size, boxed)

    def __call__(self, number: int, seed: int) -> AnnotatedImage:
        """The scene of that number, augmented: a fresh contiguous image, and the boxes still visible."""
        scene = self._arrange(number, seed)
        return AnnotatedImage(*self._bundle(scene.image, scene.boxes, scene.labels, seed))

    @property
    def sides(self) -> tuple[int, int]:
        """Least and most pixels of a sample's longer side."""
        chosen = self.settings
        if chosen.crop_size is not None:
            return 1, chosen.crop_size
        return int(chosen.image_size * chosen.zoom_range[0]), int(np.ceil(chosen.image_size * chosen.zoom_range[1]))

    @property
    def adds(self) -> bool:
        """Whether a sample may have more boxes than its image."""
        return bool(self.settings.copy_paste_prob or self.settings.mosaic_prob)

    def to_dict(self) -> dict[str, Any]:
        """All that decides what samples look like, as JSON can hold it."""
        own = self.settings.model_dump(mode="json", include={*DISABLED} - {"policy"})
        return {**self._bundle.to_dict(), "augmentations": own}

    def _arrange(self, number: int, seed: int) -> AnnotatedImage:
        """Move objects: crop, mosaic, copy-paste, zoom."""
        chosen, scene = self.settings, self.scenes[number]
        zoom = float(np.exp(_stream(seed, "zoom").uniform(*np.log(chosen.zoom_range))))
        pasting = chosen.copy_paste_prob if len(scene.boxes) else 0.0
        if chosen.crop_size is not None:
            side = int(chosen.crop_size / zoom)
            scene = cut(scene, *choose_window(scene, side, side, CROP_OBJECT_PROB, _stream(seed, "crop")))
        rng = _stream(seed, "mosaic")
        if rng.random() < chosen.mosaic_prob:
            scene = mosaic(scene, lambda: self._partners.draw(number, rng), CROP_OBJECT_PROB, rng)
        rng = _stream(seed, "copy_paste")
        if rng.random() < pasting and (donor := self._partners.draw_donor(number, rng)):
            scene = paste(scene, *donor, rng)
        return zoomed(scene, zoom)


_STEPS = ("zoom", "crop", "mosaic", "copy_paste")


def _stream(seed: int, step: str) -> np.random.Generator:
    return np.random.default_rng([seed, _STEPS.index(step)])
