"""Tropho: from raw images to a leaderboard submission, and from a public data set to a report."""

__version__ = "0.1.0"
