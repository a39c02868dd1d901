"""Stain variation: batch, pH and age of a Giemsa stain, as more or less of each of its dyes."""

import cv2
import numpy as np

DYES = np.array([[0.834750, 0.513556, 0.196330], [0.092789, 0.954111, 0.283111]])
"""Optical density for red, green and blue of methylene blue and of eosin, as unit vectors (the Giemsa set that
ImageJ's Colour Deconvolution ships)."""

_REST = np.cross(*DYES) / np.linalg.norm(np.cross(*DYES))
_MIXING = np.vstack([DYES, _REST])
_UNMIXING = np.linalg.inv(_MIXING)

# Half a grey level keeps black finite and makes the way back exact.
_DENSITY = -np.log((np.arange(256) + 0.5) / 255.5).astype(np.float32)


def vary_stain(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change how much of each dye a picture holds.

    By Beer and Lambert, light falls off exponentially with the amount of dye, so amounts are found in optical
    density, by colour deconvolution (Ruifrok and Johnston, 2001): methylene blue, eosin, and what is neither,
    such as the brown of lysed blood. Each is multiplied by a factor of its own (Tellez et al., 2018).

    Args:
        image: (h, w, 3) uint8 RGB.
        strength: factors are drawn from 1 - strength to 1 + strength.
        rng: draws them.
    """
    factors = 1 + strength * rng.uniform(-1, 1, 3)
    # Separate, scale and mix again are one matrix for all pixels.
    change = _UNMIXING @ np.diag(factors) @ _MIXING
    density = cv2.transform(cv2.LUT(image, _DENSITY), -change.T)
    return cv2.convertScaleAbs(cv2.exp(density), alpha=255.5, beta=-0.5)
