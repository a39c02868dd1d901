"""What signatures tell, and what they don't hang on."""

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


def told(picture: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, signature(picture).tolist(), strict=True))


def test_light_does_not_change_colours(rng):
    picture = smear(rng)
    bright, dim = told(picture), told((picture * 0.7).astype(np.uint8))
    for name in ("red_low", "red_median", "red_high", "blue_median", "stain_red", "stain_blue", "red_blue"):
        assert dim[name] == pytest.approx(bright[name], abs=0.03), name
    assert dim["level"] - bright["level"] == pytest.approx(-np.log10(0.7), abs=0.01)


def test_stain_and_ground_change_them(rng):
    lilac, brown = told(smear(rng)), told(smear(rng, tint=1.0))
    assert brown["blue_median"] - lilac["blue_median"] == pytest.approx(np.log10(190 / 130), abs=0.02)


def test_size_hardly_matters(rng):
    picture = smear(rng, 800, 600)
    half = cv2.resize(picture, (400, 300), interpolation=cv2.INTER_AREA)
    assert np.abs(signature(picture) - signature(half)).max() < 0.1


def test_a_slope_of_light_is_seen_and_divided_out(rng):
    picture = smear(rng)
    ramp = 10 ** (-0.15 * np.linspace(-1, 1, 400))[None, :, None]
    even, sloped = told(picture), told((picture * ramp).clip(0, 255).astype(np.uint8))
    assert sloped["slope_x"] - even["slope_x"] == pytest.approx(0.15, abs=0.02)  # density rises to the right
    assert sloped["level_spread"] == pytest.approx(even["level_spread"], abs=0.2)


def test_the_round_field_is_found(rng):
    picture = smear(rng)
    y, x = np.mgrid[:300, :400]
    inside = np.hypot(x - 150, y - 150) < 120
    whole, round_field = told(picture), told(np.where(inside[..., None], picture, 4).astype(np.uint8))
    assert (whole["field_x"], whole["field_y"], whole["field_area"]) == (0, 0, 1)
    assert round_field["field_x"] == pytest.approx((150 - 200) / 200, abs=0.02)
    assert round_field["field_y"] == pytest.approx(0, abs=0.02)
    assert 0.6 * inside.mean() < round_field["field_area"] < inside.mean()  # a rim is left out
    assert round_field["blue_median"] == pytest.approx(whole["blue_median"], abs=0.03)


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (50, 50), (40, 900)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_and_tiny_pictures_have_finite_signatures(shape, value):
    assert np.isfinite(signature(np.full((*shape, 3), value, np.uint8))).all()
