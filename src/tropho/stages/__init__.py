"""The nine stages, one module each, named as in dvc.yaml; the only code that knows pipeline paths."""
