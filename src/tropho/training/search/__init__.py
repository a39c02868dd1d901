"""The search over settings: what may vary, how it is tried, what came of it."""

from tropho.training.search.search import Choice, Objective, Report, Search
from tropho.training.search.space import Knob, parse_space

__all__ = ["Choice", "Knob", "Objective", "Report", "Search", "parse_space"]
