"""The nine stages in their order, one module each, named as in dvc.yaml."""

STAGES = {
    "download": "Fetch the task's files, or check those that you placed.",
    "audit": "List what is wrong with the data and write one clean table.",
    "split": "Assign the training images to folds, keeping groups together.",
    "augment": "Cache the images at training size; test and picture the augmentation policy.",
    "tune": "Search settings with Optuna.",
    "train": "Train one model per fold.",
    "evaluate": "Score out-of-fold and test predictions and draw every figure.",
    "submit": "Write the submission, check it, and record where it came from.",
    "report": "Write the report page.",
}
"""By name: what the stage does, as the command line says it."""
