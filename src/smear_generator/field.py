"""The field of view: mottled ground, uneven light, a round edge, and the phone that pictures it."""

from dataclasses import dataclass

import cv2
import numpy as np

from smear_generator.cameras import Camera
from smear_generator.shapes import Array, mottle
from smear_generator.stains import Stains, mix_stains


@dataclass(frozen=True)
class Look:
    """What all photos of a slide share: stain, thickness, light."""

    stains: Stains
    blood: float  # mean density units of brown ground
    lilac: float  # and of lilac ground
    patchy: float  # contrast of the mottle
    strands: float  # amount of stained protein strands
    light: Array  # (3,) colour of the lamp, 0 to 1
    focus: float  # pixels of blur, in a picture 640 wide


@dataclass(frozen=True)
class Disc:
    """The round field on the picture: middle and radius, pixels."""

    x: float
    y: float
    radius: float


def new_look(rng: np.random.Generator, difficulty: float) -> Look:
    """The look of a new slide; slides differ more, and are less sharp, as `difficulty` goes from 0 to 1."""
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
    """Where the round field lies on this photo."""
    half = np.hypot(camera.width, camera.height) / 2
    x, y = rng.normal(0, camera.offset * camera.width, 2)
    return Disc(camera.width / 2 + x, camera.height / 2 + 0.5 * y, half * rng.uniform(*camera.reach))


def ground(rng: np.random.Generator, camera: Camera, look: Look) -> Array:
    """Density (3, height, width) of the film itself, without cells."""
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
    """Light (3, height, width), 0 to 1, that reaches the phone through an empty slide; 0 around the field."""
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


def photograph(rng: np.random.Generator, density: Array, camera: Camera, look: Look, disc: Disc) -> Array:
    """The photo of a density (3, height, width): uint8 (height, width, 3), RGB."""
    sigma = np.hypot(camera.blur, look.focus * rng.uniform(0.8, 1.25)) * camera.width / 640
    light = _light(rng, camera, look, disc)
    dark = 255 * np.array([0.020, 0.014, 0.018]) * rng.uniform(0.5, 2.0)
    raw = np.frombuffer(rng.bytes(2 * light[0].size), np.uint8).reshape(2, camera.height, camera.width)
    noise = np.add(raw[0], raw[1], dtype=np.float32)  # triangular, mean 255, spread 104
    noise -= np.float32(255)
    noise *= np.float32(camera.noise / 104)
    planes = []
    for absorbed, lit, glow in zip(density, light, dark, strict=True):
        plane = cv2.exp(absorbed * np.float32(-np.log(10)))
        plane = cv2.GaussianBlur(plane, (0, 0), float(sigma))
        plane *= lit
        plane *= np.float32(255)
        plane += noise
        plane += np.float32(glow)
        planes.append(np.clip(plane, 0, 255, out=plane).astype(np.uint8))
    return cv2.merge(planes)
