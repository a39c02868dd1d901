"""Fixtures of trained folds that other folders use, too."""

from member_predictions import fold  # noqa: F401 - a fixture
