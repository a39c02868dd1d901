"""Metrics of detections and classifications, their curves, thresholds and bootstrap intervals."""
