"""From trained models to predictions: test-time views, box fusion, and models as they lie on disk."""
