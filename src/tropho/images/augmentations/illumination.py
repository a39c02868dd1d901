"""Uneven light: a lamp out of centre, and the fall-off towards the edge of an eyepiece."""

import cv2
import numpy as np

_GRID = 16  # points a side: the field is smooth, so few are drawn and the rest interpolated


def vary_illumination(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply a picture by a smooth field of light: a slope in some direction, and a vignette.

    Args:
        image: (h, w, 3) uint8. Black stays black.
        strength: up to this share of the light is added and taken at the ends of the slope, and up to this
            share taken in the corners by the vignette, which is near the middle.
        rng: draws both shares, the direction and the middle.

    Returns:
        The picture in the new light, whose mean over the picture is 1, as a phone's exposure would see to.
    """
    height, width = image.shape[:2]
    half = np.hypot(width, height) / 2
    x = np.linspace(-1, 1, _GRID, dtype=np.float32)[None, :] * (width / 2 / half)
    y = np.linspace(-1, 1, _GRID, dtype=np.float32)[:, None] * (height / 2 / half)
    slope, fall = strength * rng.random(2)
    direction = rng.uniform(0, 2 * np.pi)
    middle = rng.uniform(-0.2, 0.2, 2)
    light = 1 + slope * (np.cos(direction) * x + np.sin(direction) * y)
    light = light * (1 - fall * np.minimum(np.square(x - middle[0]) + np.square(y - middle[1]), 1))
    light = (light / light.mean()).astype(np.float32)
    plane = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, cv2.merge([plane] * 3), dtype=cv2.CV_8U)
