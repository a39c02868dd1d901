"""Evaluate predictions: metrics, thresholds, label issues, plots, fitted fusion and post-processing."""
