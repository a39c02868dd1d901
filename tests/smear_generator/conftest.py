"""Fixtures of drawn photos, which the tests of sources share."""

from data.sources.conftest import *  # noqa: F403
