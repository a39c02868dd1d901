"""Fixtures of members that other folders use, too."""

from member_predictions import detecting, fold, without_negative  # noqa: F401 - fixtures
