"""What is recorded of a run, and where: MLflow, or nothing at all behind the same face."""

from tropho.tracking.best_runs import best_runs
from tropho.tracking.mlflow_names import flatten, tracked_parameters
from tropho.tracking.provenance import code_version
from tropho.tracking.store import open_tracker, tracking_uri
from tropho.tracking.tracker import DummyRun, DummyTracker, PrunedRunError, Run, Tracker

__all__ = [
    "DummyRun",
    "DummyTracker",
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
