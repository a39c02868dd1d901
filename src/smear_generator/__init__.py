"""Thick-smear photos and single-cell crops, drawn from a seed as a microscopist would describe them.

Everything is drawn as optical density: stains add up, and light is multiplied by `10 ** -density` (Beer-Lambert law).
"""
