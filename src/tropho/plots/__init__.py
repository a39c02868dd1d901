"""Every figure: curves, galleries, heat maps."""
