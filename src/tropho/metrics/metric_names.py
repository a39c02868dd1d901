"""Names of metrics as people read them."""

NAMES = {
    "leaderboard_map": "mean AP",
    "ap": "AP",
    "map50": "COCO mAP50",
    "map50_95": "COCO mAP50–95",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "fowlkes_mallows": "Fowlkes–Mallows",
    "f_beta": "F-beta",
    "ece": "calibration error (ECE)",
    "tpr": "TPR (recall)",
    "ppv": "PPV (precision)",
    "lr_plus": "LR+",
    "lr_minus": "LR−",
    **{name: name.upper() for name in ("mcc", "fnr", "fpr", "tnr", "fdr", "npv", "for", "dor", "tp", "fn", "fp", "tn")},
}


def metric_name(name: str) -> str:
    """Name a metric as tables show it."""
    return NAMES.get(name, name.replace("_", " "))
