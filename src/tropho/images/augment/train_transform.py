"""The transform of training images: crop, mosaic, copy-paste and zoom, then the policy."""

from typing import Any

import numpy as np

from tropho.config.augment_config import DISABLED, AugmentConfig
from tropho.images.annotated import AnnotatedImage, AnnotatedImages
from tropho.images.augment.crop import choose_window, crop, zoom
from tropho.images.augment.mix import DonorSampler, mosaic, paste
from tropho.images.augment.policies import build_policy

CROP_OBJECT_PROB = 0.5  # share of crops and mosaic pieces around an object; the others are away from them

_STEPS = ("zoom", "crop", "mosaic", "copy_paste")


class TrainTransform:
    """Makes the training sample of an image by its number and a seed.

    Every step has its own random stream, so that switching one on leaves the others' draws as they were. Without
    `boxed`, in classification, the image is centred on a black square in the end.
    """

    def __init__(self, settings: AugmentConfig, boxed: bool, scenes: AnnotatedImages) -> None:
        self.settings, self.boxed, self.scenes = settings, boxed, scenes
        self._donors = DonorSampler(scenes)
        self._policy = build_policy(settings.policy, settings.image_size, boxed)

    def __call__(self, number: int, seed: int) -> AnnotatedImage:
        """Return the augmented image of that number, a new contiguous array, with the boxes still visible."""
        scene = self._geometric(number, seed)
        return AnnotatedImage(*self._policy(scene.image, scene.boxes, scene.labels, seed))

    @property
    def sides(self) -> tuple[int, int]:
        """Least and most pixels of a sample's longer side."""
        settings = self.settings
        if settings.crop_size is not None:
            return 1, settings.crop_size
        low, high = settings.zoom_range
        return int(settings.image_size * low), int(np.ceil(settings.image_size * high))

    def to_dict(self) -> dict[str, Any]:
        """Return all that decides what samples look like, for JSON."""
        own = self.settings.model_dump(mode="json", include={*DISABLED} - {"policy"})
        return {**self._policy.to_dict(), "augmentations": own}

    def _geometric(self, number: int, seed: int) -> AnnotatedImage:
        """Apply crop, mosaic, copy-paste and zoom."""
        settings, scene = self.settings, self.scenes[number]
        factor = float(np.exp(_stream(seed, "zoom").uniform(*np.log(settings.zoom_range))))
        paste_prob = settings.copy_paste_prob if len(scene.boxes) else 0.0
        if settings.crop_size is not None:
            side = int(settings.crop_size / factor)
            scene = crop(scene, *choose_window(scene, side, side, CROP_OBJECT_PROB, _stream(seed, "crop")))
        rng = _stream(seed, "mosaic")
        if rng.random() < settings.mosaic_prob:
            scene = mosaic(scene, lambda: self._donors.draw(number, rng), CROP_OBJECT_PROB, rng)
        rng = _stream(seed, "copy_paste")
        if rng.random() < paste_prob and (donor := self._donors.draw_donor(number, rng)):
            scene = paste(scene, *donor, rng)
        return zoom(scene, factor)


def _stream(seed: int, step: str) -> np.random.Generator:
    return np.random.default_rng([seed, _STEPS.index(step)])
