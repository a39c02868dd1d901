"""Thick-smear photos and single-cell crops, drawn from a seed as a microscopist would describe them.

Everything is drawn as optical density: stains add up, and light is dimmed by `10 ** -density` (the law of
Beer and Lambert). A density array is (3, height, width), float32: one plane each for red, green and blue.
"""
