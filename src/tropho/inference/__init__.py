"""Predict with trained models: one model, the folds of a member, the ensemble, the MLflow model."""
