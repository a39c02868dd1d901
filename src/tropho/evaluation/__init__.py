"""What a result is made of: metrics, intervals, decision thresholds, plots, label issues, fitted post-processing."""
