"""The field of view: camera, mottled ground, uneven light, the canvas that objects are placed on, and the photo."""

from dataclasses import dataclass

import cv2
import numpy as np

from smear_generator.strokes import Array, Stains, mix_stains, mottle


@dataclass(frozen=True)
class Camera:
    """A phone at an eyepiece; picture sizes have the competition's proportions."""

    width: int  # pixels
    height: int
    reach: tuple[float, float]  # least and greatest radius of the round field, share of half the diagonal
    offset: float  # deviation of the field's centre from the picture's, share of the width
    tint: tuple[float, float, float]  # white balance: red, green, blue
    blur: float  # Gaussian sigma of the lens, pixels of a picture 640 wide
    noise: float  # grey levels
    quality: tuple[int, int]  # least and greatest JPEG quality
    labels_white_cells: bool


# The competition's 1920x1080, 4032x3016, and 4160x3120, whose white cells were never labelled.
VIDEO = Camera(640, 360, (0.62, 0.82), 0.05, (1.0, 0.99, 0.97), 0.45, 3.0, (84, 92), True)
PHONE = Camera(806, 603, (0.80, 1.05), 0.07, (1.02, 0.98, 0.90), 0.6, 2.2, (86, 93), True)
OTHER = Camera(832, 624, (0.60, 0.68), 0.02, (0.94, 1.0, 1.05), 0.8, 3.6, (80, 86), False)

CAMERAS = (VIDEO, PHONE, VIDEO, OTHER, VIDEO, PHONE, VIDEO, PHONE, VIDEO, PHONE)
"""Camera of slide 0, 1, 2, ...: half are video, as in the competition, and a tenth have no white cell labels."""


@dataclass(frozen=True)
class Look:
    """Appearance shared by all photos of a slide: stain, thickness, light."""

    stains: Stains
    blood: float  # mean density units of brown ground
    lilac: float  # and of lilac ground
    patchy: float  # contrast of the mottle
    strands: float  # amount of stained protein strands
    light: Array  # (3,) colour of the lamp, 0 to 1
    focus: float  # pixels of blur, in a picture 640 wide


@dataclass(frozen=True)
class Disc:
    """The round field of view: centre and radius, pixels."""

    x: float
    y: float
    radius: float


def new_look(rng: np.random.Generator, difficulty: float) -> Look:
    """Draw the appearance of a slide; slides differ more and are less sharp as `difficulty` goes from 0 to 1."""
    variation = 0.35 + 0.65 * difficulty
    warm = rng.uniform(-1, 1)
    brown = rng.beta(1.2, 1.2)  # 1: brown ground, 0: lilac ground
    light = np.array([0.95 + 0.03 * warm, 0.93, 0.90 - 0.07 * warm]) * rng.uniform(0.82, 1.0)
    return Look(
        stains=mix_stains(rng, variation),
        blood=0.10 + 0.42 * brown * rng.uniform(0.7, 1.2),
        lilac=0.05 + 0.32 * (1 - brown) * rng.uniform(0.6, 1.2),
        patchy=rng.uniform(0.12, 0.30),
        strands=rng.uniform(0.0, 0.22),
        light=light.astype(np.float32),
        focus=rng.uniform(0.15, 0.45) + 0.7 * difficulty * rng.beta(1.5, 4),
    )


def place_disc(rng: np.random.Generator, camera: Camera) -> Disc:
    """Draw the position of the round field in a photo."""
    half = np.hypot(camera.width, camera.height) / 2
    x, y = rng.normal(0, camera.offset * camera.width, 2)
    return Disc(camera.width / 2 + x, camera.height / 2 + 0.5 * y, half * rng.uniform(*camera.reach))


def ground(rng: np.random.Generator, camera: Camera, look: Look) -> Array:
    """Draw the density (3, height, width) of the film without cells."""
    shape = (camera.height // 2, camera.width // 2)  # soft, so half the pixels do
    patchy = np.float32(look.patchy)
    thick = np.clip(1 + patchy * mottle(rng, shape, 4, 6), 0.25, 2.2)
    stained = np.clip(1 + np.float32(1.5) * patchy * mottle(rng, shape, 8, 5), 0.1, 2.6)
    net = 1 - np.float32(1.7) * np.abs(mottle(rng, shape, 7, 5))  # crests of the noise: protein strands
    net = np.clip(net, 0, 1) * np.clip(mottle(rng, shape, 4, 4) - np.float32(0.1), 0, 1.2)
    stains = look.stains
    colours = (
        look.blood * stains.blood,
        look.lilac * stains.lilac,
        look.strands * (0.6 * stains.azure + 0.5 * stains.lilac),
    )
    amounts = (thick, thick * stained, net)
    density = np.empty((3, camera.height, camera.width), np.float32)
    for channel in range(3):
        plane = sum(np.float32(colour[channel]) * amount for colour, amount in zip(colours, amounts, strict=True))
        cv2.resize(plane, (camera.width, camera.height), dst=density[channel], interpolation=cv2.INTER_LINEAR)
    return density


def _light(rng: np.random.Generator, camera: Camera, look: Look, disc: Disc) -> Array:
    """Draw the light (3, height, width), 0..1, through an empty slide; 0 outside the field."""
    x = (np.arange(camera.width, dtype=np.float32) - np.float32(disc.x)) / np.float32(disc.radius)
    y = (np.arange(camera.height, dtype=np.float32) - np.float32(disc.y)) / np.float32(disc.radius)
    turn, slope, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.2), rng.uniform(0.12, 0.38)
    edge = rng.uniform(0.024, 0.06)
    far = np.square(x)[None, :] + np.square(y)[:, None]
    tilt = np.float32(slope * np.cos(turn)) * x[None, :] + np.float32(slope * np.sin(turn)) * y[:, None]
    even = np.float32(-fall) * far
    even += tilt
    even += 1
    np.minimum(even, np.float32(1.15), out=even)
    dim_side = np.minimum(tilt, 0, out=tilt)
    ramp = np.subtract(1, far, out=far)
    ramp *= np.float32(1 / edge)
    light = np.empty((3, *far.shape), np.float32)
    # Towards blue the dim side loses more, and the field is a little wider: brown shade, blue fringe.
    for channel, (loss, fringe) in enumerate(((0.0, -0.005), (0.7, 0.0), (1.8, 0.006))):
        colour = look.light[channel] * camera.tint[channel]
        plane = np.add(ramp, np.float32(0.5 + fringe / edge), out=light[channel])
        np.clip(plane, 0, 1, out=plane)
        plane *= even
        shade = dim_side * np.float32(loss * colour)
        shade += np.float32(colour)
        plane *= shade
    return light


def photograph(rng: np.random.Generator, density: Array, camera: Camera, look: Look, disc: Disc) -> np.ndarray:
    """Take the photo of a density (3, height, width); returns (height, width, 3) uint8 RGB."""
    sigma = np.hypot(camera.blur, look.focus * rng.uniform(0.8, 1.25)) * camera.width / 640
    light = _light(rng, camera, look, disc)
    dark = 255 * np.array([0.020, 0.014, 0.018]) * rng.uniform(0.5, 2.0)
    raw = np.frombuffer(rng.bytes(2 * light[0].size), np.uint8).reshape(2, camera.height, camera.width)
    noise = np.add(raw[0], raw[1], dtype=np.float32)  # triangular, mean 255, spread 104
    noise -= np.float32(255)
    noise *= np.float32(camera.noise / 104)
    planes: list[np.ndarray] = []
    for absorbed, lit, glow in zip(density, light, dark, strict=True):
        plane = cv2.exp(absorbed * np.float32(-np.log(10)))
        plane = cv2.GaussianBlur(plane, (0, 0), float(sigma))
        plane *= lit
        plane *= np.float32(255)
        plane += noise
        plane += np.float32(glow)
        planes.append(np.clip(plane, 0, 255, out=plane).astype(np.uint8))
    return cv2.merge(planes)


VISIBLE = 0.1  # optical density from which a stroke counts as part of its object


@dataclass(frozen=True)
class Box:
    """Class and place of an object: integer pixels, half-open."""

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


def stamp(density: Array, patch: Array, x: int, y: int) -> None:
    """Add a patch (3, side, side) to a density (3, height, width), centred on (x, y) and clipped."""
    height, width = density.shape[1:]
    top, left = y - patch.shape[1] // 2, x - patch.shape[2] // 2
    rows = slice(max(0, top), min(height, top + patch.shape[1]))
    columns = slice(max(0, left), min(width, left + patch.shape[2]))
    if rows.start < rows.stop and columns.start < columns.stop:
        density[:, rows, columns] += patch[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


def tight_box(label: str, density: Array, patch: Array, x: int, y: int) -> Box:
    """Return the box of the patch's visible part where `stamp` puts it, clipped to the picture."""
    height, width = density.shape[1:]
    top, left = y - patch.shape[1] // 2, x - patch.shape[2] // 2
    rows, columns = np.nonzero(patch.max(axis=0) > VISIBLE)
    return Box(
        label,
        max(0, left + int(columns.min())),
        max(0, top + int(rows.min())),
        min(width, left + int(columns.max()) + 1),
        min(height, top + int(rows.max()) + 1),
    )


class Canvas:
    """Density of a field of view, and the places on it that are occupied."""

    def __init__(self, rng: np.random.Generator, disc: Disc, density: Array) -> None:
        self.rng, self.disc, self.density = rng, disc, density
        self._taken: list[tuple[float, float, float]] = []

    def place(self, radius: float, tries: int) -> tuple[int, int] | None:
        """Occupy a free place (x, y) of this radius; None if no try finds one."""
        height, width = self.density.shape[1:]
        for x, y in self.rng.uniform((radius, radius), (width - radius, height - radius), (tries, 2)):
            inside = np.hypot(x - self.disc.x, y - self.disc.y) < 0.93 * self.disc.radius - radius
            if inside and all(np.hypot(x - a, y - b) > radius + r for a, b, r in self._taken):
                self._taken.append((x, y, radius))
                return int(x), int(y)
        return None
