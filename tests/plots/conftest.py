"""Fixtures of figures, which the report's tests share."""

from report.conftest import *  # noqa: F403
