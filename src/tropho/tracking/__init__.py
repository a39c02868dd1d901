"""What is recorded of a run, and where: MLflow, or nothing at all behind the same face."""

from tropho.tracking.base import NullRun, NullTracker, Run, Tracker
from tropho.tracking.leaderboard import best_runs
from tropho.tracking.names import flatten
from tropho.tracking.store import open_tracker, tracking_uri

__all__ = [
    "NullRun",
    "NullTracker",
    "Run",
    "Tracker",
    "best_runs",
    "flatten",
    "open_tracker",
    "tracking_uri",
]
