"""Tracking of runs with MLflow, or of none at all."""

from tropho.tracking.provenance import code_version, flatten, tracked_parameters
from tropho.tracking.runs import best_runs
from tropho.tracking.store import tracking_uri
from tropho.tracking.tracker import PrunedRunError, Run, Tracker, open_tracker

__all__ = [
    "PrunedRunError",
    "Run",
    "Tracker",
    "best_runs",
    "code_version",
    "flatten",
    "open_tracker",
    "tracked_parameters",
    "tracking_uri",
]
