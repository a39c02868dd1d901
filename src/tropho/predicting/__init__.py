"""From trained models to predictions: test-time views, tiles, box fusion, and models as they lie on disk."""
