"""The search over settings: what may vary, how it is tried, what came of it."""

from tropho.tuning.search import Choice, Objective, Search, TrialReporter
from tropho.tuning.search_space import SearchParam, parse_space

__all__ = ["Choice", "Objective", "Search", "SearchParam", "TrialReporter", "parse_space"]
