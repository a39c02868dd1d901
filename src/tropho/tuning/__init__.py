"""Search over settings: space, study, trials and their results."""

from tropho.tuning.study import Search, TrialReporter

__all__ = ["Search", "TrialReporter"]
