"""What may happen to a training image, one idea a file, each with its strength in params.yaml (section augment)."""
