"""Dealing images into parts that are alike, groups whole."""
