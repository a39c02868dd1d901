"""Describe what photos of one slide share: colour of ground and stain, texture, light, and the eyepiece's field.

Colours are optical densities (-log10 of transmitted light): light shifts all channels alike, and stains add up.
"""

from itertools import pairwise

import cv2
import numpy as np

SIDE = 192  # pixels of the longer side that features are computed at; smaller images are not enlarged
NAMES = {
    "ground": ("red_low", "red_median", "red_high", "blue_low", "blue_median", "blue_high", "level", "level_low"),
    "spread": ("red_spread", "blue_spread", "level_spread", "red_blue", "red_level", "blue_level"),
    "stain": ("stain_red", "stain_blue"),
    "texture": ("grain", "detail"),
    "light": ("slope_x", "slope_y", "vignette"),
    "field": ("field_x", "field_y", "field_area"),
}
"""Features by part, in order."""
PARTS = tuple(part for part, names in NAMES.items() for _ in names)  # part of each feature, (D,)
COLOURED = tuple(name.startswith(("red", "blue", "stain")) for names in NAMES.values() for name in names)
"""Whether each feature is of colour, (D,); those of grey images do not vary."""
_MIN_SPREAD = 1e-3  # density; smaller spreads are noise of 8 bits
_STAIN_PERCENTILE = 99  # of local density, above which pixels are stain


def signature(pixels: np.ndarray) -> np.ndarray:
    """Compute the slide features of (h, w, 3) uint8 RGB pixels: (D,) float32 in the order of NAMES.

    - red_, blue_: density less that of green over the ground: percentiles 10, 50, 90, logarithm of the spread
    - level: mean density, its percentile 10, its spread once the light is divided out; correlations of the three
    - stain_: direction of the density of the darkest 1 % over its surroundings (unit vector; green follows)
    - grain, detail: logarithms of the contrast at about 1 and 2 pixels of the small image
    - slope_, vignette: fit of x, y, x² + y² to the ground's density; x and y from -1 to 1 along the longer side
    - field_: centre and share of the lit part; 0, 0, 1 without a dark surround
    """
    small = _shrink(pixels)
    scale = max(small.shape[:2]) / SIDE
    density = -np.log10((small.astype(np.float32) + 1) / 256)
    field = _lit_field(small)
    level = density.mean(axis=2)  # (h, w, 3) -> (h, w)
    terms = _light_terms(*small.shape[:2])
    light = _fit_light(level, terms, field)
    flat = level - terms @ light
    ground = field & (flat <= np.median(flat[field]) + 3 * _robust_std(flat[field]))
    red, blue = density[..., 0] - density[..., 1], density[..., 2] - density[..., 1]
    parts = np.stack([red[ground], blue[ground], flat[ground]])  # (3, pixels)
    spread = np.sqrt(np.var(parts, axis=1)) + _MIN_SPREAD
    correlation = np.cov(parts, bias=True) / np.outer(spread, spread)
    blurred = [cv2.GaussianBlur(level, (0, 0), sigma * scale) for sigma in (0.5, 1.0, 3.0)]
    contrasts = [np.std((fine - coarse)[ground]) + _MIN_SPREAD / 10 for fine, coarse in pairwise(blurred)]
    values = (
        *np.percentile(parts[0], (10, 50, 90)),
        *np.percentile(parts[1], (10, 50, 90)),
        np.median(level[ground]),
        np.percentile(level[ground], 10),
        *np.log(spread),
        *correlation[np.triu_indices(3, 1)],
        *_stain(density, field, 12 * scale),
        *np.log(contrasts),
        *light[1:],
        *((0.0, 0.0) if field.all() else terms[field][:, 1:3].mean(axis=0)),
        field.mean(),
    )
    return np.array(values, dtype=np.float32)


def _shrink(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _lit_field(small: np.ndarray) -> np.ndarray:
    """Find the lit part less a rim, (h, w) bool; everything where hardly any part is lit."""
    scale = max(small.shape[:2]) / SIDE
    bright = cv2.GaussianBlur(small.max(axis=2), (0, 0), 2 * scale)
    lit = (bright > 0.35 * np.percentile(bright, 95)).astype(np.uint8)
    kernel = np.ones((1 + 2 * round(7 * scale),) * 2, np.uint8)
    inner = cv2.erode(lit, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    return inner if inner.mean() > 0.02 else np.ones_like(inner)


def _light_terms(height: int, width: int) -> np.ndarray:
    """Compute 1, x, y, x² + y² of each pixel, (h, w, 4) float32."""
    half = max(height, width) / 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half
    return np.stack([np.ones_like(x), x, y, x * x + y * y], axis=-1)


def _fit_light(level: np.ndarray, terms: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Fit the ground's density by the terms without darker or brighter objects, (4,) float32."""
    rows, values = terms[field].astype(np.float64), level[field].astype(np.float64)
    inlier = np.ones(len(values), dtype=bool)
    factors = np.zeros(rows.shape[1])
    for _ in range(4):
        own = rows[inlier]
        factors = np.linalg.lstsq(own.T @ own, own.T @ values[inlier], rcond=None)[0]
        rest = values - rows @ factors
        noise = _robust_std(rest) + _MIN_SPREAD
        inlier = (rest < 1.5 * noise) & (rest > -3 * noise)
    return factors.astype(np.float32)


def _stain(density: np.ndarray, field: np.ndarray, sigma: float) -> np.ndarray:
    """Return red and blue of the unit vector of what is darkest against its surroundings, (2,)."""
    local = density - cv2.GaussianBlur(density, (0, 0), sigma)
    dark = local.mean(axis=2)
    mean: np.ndarray = local[field & (dark >= np.percentile(dark[field], _STAIN_PERCENTILE))].mean(axis=0)
    return (mean / max(float(np.linalg.norm(mean)), _MIN_SPREAD))[[0, 2]]


def _robust_std(values: np.ndarray) -> float:
    """Median absolute deviation, scaled to the standard deviation of a normal distribution."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
