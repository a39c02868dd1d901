"""Choose the settings of a new task: what measured best on similar data, at a size that a laptop trains."""

import math
from typing import Any, NamedTuple

from tropho.new_task.image_sample import ImageSample
from tropho.new_task.label_guess import LabelGuess

DETECTION_SIZES = (320, 416, 512, 640, 768, 1024)
CLASSIFICATION_SIZES = (64, 96, 128)
MIN_SIZE = 128
"""Pixels, for detection; smaller images are enlarged."""
SMALL_BOX_PIXELS = 14
"""Pixels that a tenth of the boxes may fall short of: the finest level, P2, suits boxes of 12 and more."""
CROP_FROM = 768
"""From this image size on, training sees crops, which cost a quarter of the whole."""
SEEN_IMAGES = {"detection": 6_000, "classification": 25_000}
"""Images that a training sees, over all epochs: 20 epochs of 300 photos, 15 of 1,640 slices."""
EPOCHS = {"detection": (6, 40), "classification": (3, 40)}
IMBALANCE = 1.5
"""Images of the largest class over those of the smallest; from here on the loss is weighted."""
MICROSCOPY = (
    "cell",
    "wbc",
    "rbc",
    "blood",
    "platelet",
    "parasit",
    "trophozoite",
    "smear",
    "stain",
    "malaria",
    "infected",
)


class Reason(NamedTuple):
    """A setting that was guessed: what it is about, the guess, and why."""

    what: str
    guess: str
    why: str


class Recipe(NamedTuple):
    """Sections of an entry in params.yaml, its presets, and the reasons."""

    sections: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]
    reasons: list[Reason]


def usual_epochs(kind: str, n_images: int) -> int:
    """Return how many epochs a training of so many images usually needs."""
    least, most = EPOCHS[kind]
    return min(most, max(least, round(SEEN_IMAGES[kind] / max(1, n_images))))


def val_interval(epochs: int) -> int:
    """Return the epochs between validations that give about five points of a curve."""
    return max(1, epochs // 5)


def choose_recipe(guess: LabelGuess, sample: ImageSample, words: str) -> Recipe:
    """Choose image size, augmentation, network and epochs.

    Args:
        guess: kind, classes and number of images.
        sample: what the images look like.
        words: text that may name the field, such as the folder and the classes.
    """
    policy, grayscale, about_colour = _policy(guess.kind, sample, words.lower())
    augment: dict[str, Any] = {"policy": policy, **({"grayscale": True} if grayscale else {})}
    n_images = len(guess.train)
    epochs = usual_epochs(guess.kind, n_images)
    how_long = Reason("train.epochs", str(epochs), f"{n_images:,} training images; fewer images need more epochs")
    if guess.kind == "detection":
        size, gpu_size, why = _detection_sizes(sample)
        laptop: dict[str, Any] = {"augment.image_size": size, "model.fpn_channels": 96, "model.num_head_convs": 1}
        gpu: dict[str, Any] = {"augment.image_size": gpu_size, "train.epochs": min(2 * epochs, 60)}
        if size >= CROP_FROM:
            laptop["augment.crop_size"] = 512
            augment["cache_format"] = "jpeg"
        if gpu_size > 1024:
            gpu["augment.crop_size"] = 1024
        laptop |= {"train.batch_size": 8, "train.epochs": epochs, "train.val_interval": val_interval(epochs)}
        model = {"name": "fcos", "fpn_levels": None, "fit_levels": True}
        sections = {"augment": augment, "model": model}
        levels = "of what was measured, fitted levels gained most on data with small and large objects"
        reasons = [Reason("model.fit_levels", "true", levels)]
    else:
        size = next((each for each in CLASSIFICATION_SIZES if each >= sample.long_side), CLASSIFICATION_SIZES[-1])
        why = f"images are {sample.long_side} pixels; a laptop trains up to {CLASSIFICATION_SIZES[-1]}"
        laptop = {"augment.image_size": size, "train.epochs": epochs}
        gpu = {"train.epochs": epochs}
        train, reasons = _balance(guess)
        sections = {"augment": augment, "model": {}, "train": train}
    size_reason = Reason("augment.image_size", str(size), why)
    return Recipe(sections, {"laptop": laptop, "gpu": gpu}, [size_reason, about_colour, how_long, *reasons])


def _policy(kind: str, sample: ImageSample, words: str) -> tuple[str, bool, Reason]:
    """Choose the augmentation policy, and whether colours are dropped."""
    named = next((word for word in MICROSCOPY if word in words), None)
    is_grey = sample.grey_share > 0.5
    if named:
        policy, why = "microscopy", f"'{named}' is in the names"
    elif is_grey:
        policy, why = "radiology", "it keeps images grey"
    else:
        policy, why = "light", "colour images of no known field"
    if is_grey:
        why += f"; {sample.grey_share:.0%} of the images have no colour"
    dropped = is_grey and kind == "classification"
    why += ", and the tint of others must not tell the class (augment.grayscale)" if dropped else ""
    return policy, dropped, Reason("augment.policy", policy, why)


def _detection_sizes(sample: ImageSample) -> tuple[int, int, str]:
    """Return the size on a laptop, on a GPU (twice that, as far as the images have it), and why."""
    wanted = SMALL_BOX_PIXELS / sample.small_box if sample.small_box > 0 else DETECTION_SIZES[-1]
    size = next((each for each in DETECTION_SIZES if each >= wanted), DETECTION_SIZES[-1])
    own = 32 * math.ceil(sample.long_side / 32)
    size = min(size, max(MIN_SIZE, own))
    pixels = sample.small_box * size
    why = f"images are {sample.long_side} pixels; nine of ten boxes are then at least {pixels:.0f} pixels wide and high"
    return size, max(size, min(2 * size, own, 1536)), why


def _balance(guess: LabelGuess) -> tuple[dict[str, Any], list[Reason]]:
    counts = guess.counts
    ratio = max(counts.values()) / min(counts.values())
    if ratio < IMBALANCE:
        return {}, []
    why = f"the largest class has {ratio:.1f} times the images of the smallest"
    return {"class_weights": "balanced"}, [Reason("train.class_weights", "balanced", why)]
