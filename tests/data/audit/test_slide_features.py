"""Slide features of images whose light, colours and grain are known."""

import cv2
import numpy as np
import pytest

from tropho.data.audit.slide_features import NAMES, signature

FEATURES = [name for names in NAMES.values() for name in names]


def smear(rng: np.random.Generator, width: int = 400, height: int = 300, tint: float = 0.0) -> np.ndarray:
    """A lilac ground, lit evenly, with dark blue blobs."""
    coarse = rng.normal(0, 0.03, (8, 10)).astype(np.float32)
    mottle = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.stack([170 * (1 + mottle), 140 * (1 + 2 * mottle), (190 - 60 * tint) * (1 + mottle)], axis=-1)
    for _ in range(20):
        place = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
        cv2.circle(picture, place, 4, (50, 40, 120), -1)
    return picture.clip(0, 255).astype(np.uint8)


def features_of(picture: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, signature(picture).tolist(), strict=True))


def test_signature_colours_do_not_depend_on_light(rng):
    picture = smear(rng)
    bright, dim = features_of(picture), features_of((picture * 0.7).astype(np.uint8))
    for name in ("red_low", "red_median", "red_high", "blue_median", "stain_red", "stain_blue", "red_blue"):
        assert dim[name] == pytest.approx(bright[name], abs=0.03), name
    assert dim["level"] - bright["level"] == pytest.approx(-np.log10(0.7), abs=0.01)


def test_signature_colours_depend_on_stain(rng):
    lilac, brown = features_of(smear(rng)), features_of(smear(rng, tint=1.0))
    assert brown["blue_median"] - lilac["blue_median"] == pytest.approx(np.log10(190 / 130), abs=0.02)


def test_signature_hardly_depends_on_size(rng):
    picture = smear(rng, 800, 600)
    half = cv2.resize(picture, (400, 300), interpolation=cv2.INTER_AREA)
    assert np.abs(signature(picture) - signature(half)).max() < 0.1


def test_signature_divides_out_a_slope_of_light(rng):
    picture = smear(rng)
    ramp = 10 ** (-0.15 * np.linspace(-1, 1, 400))[None, :, None]
    even, sloped = features_of(picture), features_of((picture * ramp).clip(0, 255).astype(np.uint8))
    assert sloped["slope_x"] - even["slope_x"] == pytest.approx(0.15, abs=0.02)  # density rises to the right
    assert sloped["level_spread"] == pytest.approx(even["level_spread"], abs=0.2)


def test_signature_finds_the_round_field(rng):
    picture = smear(rng)
    y, x = np.mgrid[:300, :400]
    inside = np.hypot(x - 150, y - 150) < 120
    full, round_field = features_of(picture), features_of(np.where(inside[..., None], picture, 4).astype(np.uint8))
    assert (full["field_x"], full["field_y"], full["field_area"]) == (0, 0, 1)
    assert round_field["field_x"] == pytest.approx((150 - 200) / 200, abs=0.02)
    assert round_field["field_y"] == pytest.approx(0, abs=0.02)
    assert 0.6 * inside.mean() < round_field["field_area"] < inside.mean()  # a rim is left out
    assert round_field["blue_median"] == pytest.approx(full["blue_median"], abs=0.03)


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (50, 50), (40, 900)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_signature_of_plain_and_tiny_images_is_finite(shape, value):
    assert np.isfinite(signature(np.full((*shape, 3), value, np.uint8))).all()


def picture(
    width: int, height: int, green: np.ndarray, red: np.ndarray | float, blue: np.ndarray | float
) -> np.ndarray:
    """Pixels whose densities are `green`, and `red` and `blue` more than that, each (height, width)."""
    density = np.stack(np.broadcast_arrays(green + red, green, green + blue, np.zeros((height, width)))[:3], axis=-1)
    return np.round(256 * 10.0**-density - 1).clip(0, 255).astype(np.uint8)


def axes(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """X and y of each pixel, from -1 to 1 along the longer side."""
    half = max(width, height) / 2
    y, x = np.mgrid[:height, :width]
    return (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half


@pytest.mark.parametrize(("width", "height"), [(96, 48), (192, 96), (384, 192), (48, 96)])
def test_signature_light_and_colour_by_hand(width, height):
    x, y = axes(width, height)
    level = 0.3 + 0.05 * x + 0.1 * y + 0.08 * (x * x + y * y)
    features = features_of(picture(width, height, level - 0.02, 0.1, -0.04))
    for name, value in (("slope_x", 0.05), ("slope_y", 0.1), ("vignette", 0.08)):
        assert features[name] == pytest.approx(value, abs=0.004), name
    for name in ("low", "median", "high"):
        assert features[f"red_{name}"] == pytest.approx(0.1, abs=0.01)
        assert features[f"blue_{name}"] == pytest.approx(-0.04, abs=0.01)
    assert features["level"] == pytest.approx(np.median(level), abs=0.005)
    assert features["level_low"] == pytest.approx(np.percentile(level, 10), abs=0.005)
    assert (features["field_x"], features["field_y"], features["field_area"]) == (0, 0, 1)


def test_signature_correlations_by_hand(rng):
    sign = np.where(rng.random((96, 192)) < 0.5, 1.0, -1.0)
    red, blue = 0.1 + 0.05 * sign, -0.05 - 0.04 * sign
    level = 0.3 + rng.normal(0, 0.01, (96, 192))
    features = features_of(picture(192, 96, level - (red + blue) / 3, red, blue))
    assert features["red_spread"] == pytest.approx(np.log(0.051), abs=0.03)
    assert features["blue_spread"] == pytest.approx(np.log(0.041), abs=0.03)
    assert features["red_blue"] == pytest.approx(-0.05 * 0.04 / (0.051 * 0.041), abs=0.02)
    assert (features["red_low"], features["red_high"]) == (pytest.approx(0.05, abs=0.01), pytest.approx(0.15, abs=0.01))


def test_signature_grain_by_hand(rng):
    """A wave of 8 pixels and 0.1 of density: blurred by 0.5, 1 and 3 it keeps 0.926, 0.735 and 0.062 of that."""
    x = np.broadcast_to(np.arange(192), (96, 192))
    features = features_of(picture(192, 96, 0.4 + 0.1 * np.cos(np.pi * x / 4), 0.0, 0.0))
    assert features["grain"] == pytest.approx(np.log(0.1 / np.sqrt(2) * 0.1912), abs=0.1)
    assert features["detail"] == pytest.approx(np.log(0.1 / np.sqrt(2) * 0.6723), abs=0.1)
    assert features["level_spread"] == pytest.approx(np.log(0.1 / np.sqrt(2)), abs=0.05)
    half = features_of(picture(96, 48, 0.4 + 0.1 * np.cos(np.pi * x[:48, :96] / 4), 0.0, 0.0))
    assert half["grain"] == pytest.approx(-5.4, abs=0.2)  # a blur of 0.25 leaves a wave as it is, 0.5 takes a 16th


def test_signature_stain_by_hand():
    level = np.full((96, 192), 0.2)
    dots = np.zeros((96, 192))
    dots[20:80:20, 20:180:20] = dots[21:81:20, 20:180:20] = dots[20:80:20, 21:181:20] = dots[22:82:20, 20:180:20] = 1.0
    dots += np.roll(dots, 5, axis=1) + np.roll(dots, 9, axis=0)
    features = features_of(picture(192, 96, level + 0.3 * dots, 0.3 * dots, -0.3 * dots))
    assert features["stain_red"] == pytest.approx(0.6 / np.hypot(0.6, 0.3), abs=0.03)
    assert features["stain_blue"] == pytest.approx(0, abs=0.05)


def test_signature_field_by_hand():
    """Half of 96 columns are lit; the rim takes 4 of them, for the picture is half as large as the usual 192."""
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[:, :48] = 200
    features = features_of(pixels)
    assert features["field_area"] == pytest.approx(44 / 96, abs=0.012)
    assert features["field_x"] == pytest.approx(-26 / 48, abs=0.02)
    assert features["field_y"] == pytest.approx(0, abs=1e-6)
