"""Guess the settings of a task from a folder of images, and write its entry into params.yaml."""
