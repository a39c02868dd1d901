"""The search over settings: what may vary, how it is tried, what came of it."""

from tropho.training.search.search import Choice, Objective, Report, Search
from tropho.training.search.space import SearchParam, parse_space

__all__ = ["Choice", "Objective", "Report", "Search", "SearchParam", "parse_space"]
