"""Submission files: layouts, checks, the log of submissions, and their gap to cross-validation."""
