"""The settings of params.yaml: read, checked, frozen."""
