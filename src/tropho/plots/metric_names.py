"""Names of metrics as people read them, and which of them a table leads with."""

from collections.abc import Sequence

from tropho.plots.format_numbers import humanize

NAMES = {
    "leaderboard_map": "leaderboard mAP",
    "score": "score",
    "ap": "AP (leaderboard)",
    "map50": "mAP50",
    "map50_95": "mAP50–95",
    "ap50": "AP50",
    "ap50_95": "AP50–95",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "mcc": "MCC",
    "fowlkes_mallows": "Fowlkes–Mallows",
    "f_beta": "F-beta",
    "ece": "calibration error (ECE)",
    "log_loss": "log loss",
    "tpr": "TPR (recall)",
    "fnr": "FNR",
    "fpr": "FPR",
    "tnr": "TNR",
    "ppv": "PPV (precision)",
    "fdr": "FDR",
    "npv": "NPV",
    "for": "FOR",
    "lr_plus": "LR+",
    "lr_minus": "LR−",
    "dor": "DOR",
    "tp": "TP",
    "fn": "FN",
    "fp": "FP",
    "tn": "TN",
}
LEADING = (
    "ap",
    "map50",
    "map50_95",
    "precision",
    "recall",
    "ppv",
    "tpr",
    "f1",
    "roc_auc",
    "pr_auc",
    "support",
)
COUNTS = ("tp", "fn", "fp", "tn", "support", "images", "boxes", "truths", "predictions")


def metric_name(name: str) -> str:
    """The name that tables show."""
    return NAMES.get(name, humanize(name))


def class_metric_name(name: str) -> str:
    """The name in tables by class, where a mean average precision is just an average precision."""
    return metric_name(name).replace("mAP", "AP")


def is_count(name: str) -> bool:
    """Whether the metric is a whole number of things."""
    return name in COUNTS


def leading(names: Sequence[str]) -> list[str]:
    """The metrics by class that matter most, in order; the first six where none is known. Synonyms go."""
    found = [name for name in LEADING if name in names]
    if "precision" in found and "recall" in found:
        found = [name for name in found if name not in {"ppv", "tpr"}]
    return found or list(names[:6])
