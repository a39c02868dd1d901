"""Decoding, caching, augmenting and drawing images."""
