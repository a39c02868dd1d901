"""Training: the loop, optimizers, data loading, checkpoints and the fingerprint of a fold."""
