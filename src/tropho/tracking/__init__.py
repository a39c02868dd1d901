"""What is recorded of a run, and where: MLflow, or nothing at all behind the same face."""

from tropho.tracking.base import EndedEarlyError, NullRun, NullTracker, Run, Tracker
from tropho.tracking.leaderboard import best_runs
from tropho.tracking.names import flatten, tracked_parameters
from tropho.tracking.provenance import code_version
from tropho.tracking.store import open_tracker, tracking_uri

__all__ = [
    "EndedEarlyError",
    "NullRun",
    "NullTracker",
    "Run",
    "Tracker",
    "best_runs",
    "code_version",
    "flatten",
    "open_tracker",
    "tracked_parameters",
    "tracking_uri",
]
