"""The training loop and its parts: optimizers, schedules, weight averages, checkpoints, the search."""
