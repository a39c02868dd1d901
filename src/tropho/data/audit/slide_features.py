"""What the photos of one slide share: colour of ground and stain, texture, light, and the eyepiece's field.

Colours are optical densities (-log10 of the light let through), in which light dims all channels alike and stains
add up. So the differences of channels tell the stain whatever the light, and only `level` and `slope_...` the light.
"""

import cv2
import numpy as np

SIDE = 192
"""Pixels of the longer side that signatures are computed at; smaller images are not enlarged."""
NAMES = {
    "ground": ("red_low", "red_median", "red_high", "blue_low", "blue_median", "blue_high", "level", "level_low"),
    "spread": ("red_spread", "blue_spread", "level_spread", "red_blue", "red_level", "blue_level"),
    "stain": ("stain_red", "stain_blue"),
    "texture": ("grain", "detail"),
    "light": ("slope_x", "slope_y", "vignette"),
    "field": ("field_x", "field_y", "field_area"),
}
"""Features of a signature by part, in order."""
PARTS = tuple(part for part, names in NAMES.items() for _ in names)
"""The part that each feature is of."""
COLOURED = tuple(name.startswith(("red", "blue", "stain")) for names in NAMES.values() for name in names)
"""Whether each feature tells of colour; those of grey images do not vary."""
_SMALL = 1e-3  # density; spreads below it are noise of 8 bits
_STAINED = 99  # percentile of local density above which pixels are stain


def signature(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> (len(PARTS),) float32, in the order of NAMES.

    - red_, blue_: density of red, of blue, less that of green, over the ground: percentiles 10, 50, 90, and the
      logarithm of their spread; level: mean density, its percentile 10, and its spread once the light is divided out;
      then the correlations of these three.
    - stain_: direction of the density of the darkest 1 % over its surroundings (a unit vector; green follows).
    - grain, detail: logarithms of the contrast at about 1 and 2 pixels of the small picture.
    - slope_, vignette: fit 1, x, y, x² + y² of the ground's brightness, x and y from -1 to 1 along the longer side.
    - field_: middle (as x and y above) and share of the lit part; 0, 0, 1 where no dark surround is seen.
    """
    small = _shrunk(pixels)
    density = -np.log10((small.astype(np.float32) + 1) / 256)
    field = _field(small)
    scale = max(small.shape[:2]) / SIDE
    level = density.mean(axis=2)
    terms = _terms(*small.shape[:2])
    light = _light(level, terms, field)
    flat = level - terms @ light
    ground = field & (flat <= np.median(flat[field]) + 3 * _spread(flat[field]))
    red, blue = density[..., 0] - density[..., 1], density[..., 2] - density[..., 1]
    parts = np.stack([red[ground], blue[ground], flat[ground]])
    spread = np.sqrt(np.var(parts, axis=1)) + _SMALL
    joint = np.cov(parts, bias=True) / np.outer(spread, spread)
    tops = [np.percentile(each, (10, 50, 90)) for each in parts[:2]]
    fine = [cv2.GaussianBlur(level, (0, 0), sigma * scale) for sigma in (0.5, 1.0, 3.0)]
    contrasts = [np.std((a - b)[ground]) + _SMALL / 10 for a, b in ((fine[0], fine[1]), (fine[1], fine[2]))]
    middle = terms[field][:, 1:3].mean(axis=0) if not field.all() else (0.0, 0.0)
    values = (
        *tops[0],
        *tops[1],
        np.median(level[ground]),
        np.percentile(level[ground], 10),
        *np.log(spread),
        joint[0, 1],
        joint[0, 2],
        joint[1, 2],
        *_stain(density, field, 12 * scale),
        *np.log(contrasts),
        *light[1:],
        *middle,
        field.mean(),
    )
    return np.array(values, dtype=np.float32)


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _field(small: np.ndarray) -> np.ndarray:
    """(h, w) bool: the lit part, less a rim; everything where hardly any part is lit."""
    reach = max(small.shape[:2]) / SIDE
    bright = cv2.GaussianBlur(small.max(axis=2), (0, 0), 2 * reach)
    lit = (bright > 0.35 * np.percentile(bright, 95)).astype(np.uint8)
    rim = np.ones((1 + 2 * round(7 * reach),) * 2, np.uint8)
    inner = cv2.erode(lit, rim, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    return inner if inner.mean() > 0.02 else np.ones_like(inner)


def _terms(height: int, width: int) -> np.ndarray:
    """(h, w, 4) float32: 1, x, y, x² + y² of each pixel."""
    half = max(height, width) / 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half
    return np.stack([np.ones_like(x), x, y, x * x + y * y], axis=-1)


def _light(level: np.ndarray, terms: np.ndarray, field: np.ndarray) -> np.ndarray:
    """(4,) factors of the terms that fit the ground's density, things that are darker or brighter left out."""
    rows, values = terms[field].astype(np.float64), level[field].astype(np.float64)
    kept = np.ones(len(values), dtype=bool)
    factors = np.zeros(rows.shape[1])
    for _ in range(4):
        own = rows[kept]
        factors = np.linalg.lstsq(own.T @ own, own.T @ values[kept], rcond=None)[0]
        rest = values - rows @ factors
        noise = _spread(rest) + _SMALL
        kept = (rest < 1.5 * noise) & (rest > -3 * noise)
    return factors.astype(np.float32)


def _stain(density: np.ndarray, field: np.ndarray, reach: float) -> np.ndarray:
    """(2,) red and blue of the unit vector of what is darkest against its surroundings within `reach` pixels."""
    local = density - cv2.GaussianBlur(density, (0, 0), reach)
    dark = local.mean(axis=2)
    mean = local[field & (dark >= np.percentile(dark[field], _STAINED))].mean(axis=0)
    return (mean / max(float(np.linalg.norm(mean)), _SMALL))[[0, 2]]


def _spread(values: np.ndarray) -> float:
    """Median absolute deviation, as the standard deviation of a normal distribution."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
