"""Blur by the microscope: out of focus, or moved while the shutter was open."""

import cv2
import numpy as np


def blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blur a picture by a disk (defocus) or along a line (motion), each as likely.

    Args:
        image: (h, w, 3) uint8.
        strength: up to so many pixels: the disk's radius, or half the line's length.
        rng: draws which, how much, and the line's direction.
    """
    radius = strength * rng.random()
    kernel = disk(radius) if rng.random() < 0.5 else line(2 * radius, rng.uniform(0, np.pi))
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def disk(radius: float) -> np.ndarray:
    """A kernel of that radius in pixels, its rim weighted by the share of the pixel inside; the sum is 1."""
    reach = int(np.ceil(radius))
    offset = np.arange(-reach, reach + 1)
    kernel = np.clip(radius + 0.5 - np.hypot(offset[None, :], offset[:, None]), 0, 1)
    return kernel / kernel.sum()


def line(length: float, direction: float) -> np.ndarray:
    """A kernel of one pixel's width and that length in pixels, at that angle in radians; the sum is 1."""
    reach = int(np.ceil(length / 2))
    offset = np.arange(-reach, reach + 1)
    along = offset[None, :] * np.cos(direction) + offset[:, None] * np.sin(direction)
    across = offset[:, None] * np.cos(direction) - offset[None, :] * np.sin(direction)
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return kernel / kernel.sum()
