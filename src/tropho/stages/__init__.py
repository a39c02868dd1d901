"""The nine stages of the pipeline and `fingerprint`, one module each, named as in dvc.yaml."""
