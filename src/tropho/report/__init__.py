"""Figures of predictions and training, and the report page."""
