"""Augmentation of training images: crops, mosaic, copy-paste, zoom and the named policies."""
