"""Fixtures of tasks that other folders use, too."""

from member_predictions import cells  # noqa: F401 - a fixture
