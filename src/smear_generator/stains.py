"""Colours of a slide: what its stains absorb and what light shines through.

A Romanowsky stain (Giemsa, Field) colours by azure and eosin; batch, pH and age shift every slide's colours.
"""

from dataclasses import dataclass, replace

import numpy as np

from smear_generator.shapes import Array

# Optical density for red, green and blue of one unit of each stain.
AZURE = (0.86, 0.68, 0.08)  # parasite cytoplasm, stain blots: blue
CHROMATIN = (0.80, 1.00, 0.24)  # parasite chromatin: dark red-violet
NUCLEUS = (1.00, 0.98, 0.10)  # white cell nuclei: deep blue-violet
GRANULE = (0.46, 0.88, 0.24)  # platelets, white cell granules: magenta
BLOOD = (0.08, 0.30, 0.62)  # what is left of lysed red cells: yellow to brown
LILAC = (0.34, 0.46, 0.10)  # stained plasma proteins: lilac
EOSIN = (0.06, 0.42, 0.30)  # whole red cells of a thin film: salmon


@dataclass(frozen=True)
class Stains:
    """The stains of one slide, each (3,) float32."""

    azure: Array
    chromatin: Array
    nucleus: Array
    granule: Array
    blood: Array
    lilac: Array
    eosin: Array

    def scaled(self, strength: float) -> "Stains":
        """The same slide with the stains of parasites and look-alikes stronger or weaker."""
        factor = np.float32(strength)
        return replace(
            self,
            azure=self.azure * factor,
            chromatin=self.chromatin * factor,
            nucleus=self.nucleus * factor,
            granule=self.granule * factor,
        )


def mix_stains(rng: np.random.Generator, variation: float) -> Stains:
    """Stains of a new slide; `variation` (0 to 1) sets how far its strength and hues stray from the usual."""
    strength = 1 + 0.45 * variation * rng.uniform(-1, 1)
    warmth = 0.30 * variation * rng.uniform(-1, 1)  # acid stain turns red, alkaline blue
    shift = np.array([1 - warmth, 1 + 0.2 * warmth, 1 + warmth])

    def one(usual: tuple[float, float, float]) -> Array:
        own = 1 + 0.16 * variation * rng.uniform(-1, 1, 3)
        return (np.array(usual) * shift * own).astype(np.float32)

    return Stains(one(AZURE), one(CHROMATIN), one(NUCLEUS), one(GRANULE), one(BLOOD), one(LILAC), one(EOSIN)).scaled(
        strength
    )


def paint(amount: Array, stain: Array) -> Array:
    """Density (3, height, width) of `amount` (height, width) units of a stain."""
    return stain[:, None, None] * amount
