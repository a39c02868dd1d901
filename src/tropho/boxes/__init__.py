"""Boxes as arrays: pairs that overlap, suppression, fusion, tiles, test-time views."""
