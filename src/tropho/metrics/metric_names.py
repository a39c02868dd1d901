"""Names of metrics as people read them, and ASCII names of classes for MLflow."""

import re
from collections.abc import Sequence

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


def ascii_names(classes: Sequence[str]) -> dict[str, str]:
    """Map each class to a unique name of the characters that MLflow takes, with `_` for all others.

    Classes that would share a name get -2, -3, ... in their order; names that need no change stay.
    """
    bases = {name: _to_ascii(name) for name in classes}
    taken = {name.lower() for name in classes if bases[name] == name}
    keys = {}
    for name, base in bases.items():
        key, number = base, 1
        while key != name and key.lower() in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key.lower())
        keys[name] = key
    return keys


def _to_ascii(name: str) -> str:
    text = re.sub(r"[^\w\-.: ]", "_", name, flags=re.ASCII)[:100]
    text = re.sub(r"^ | $", "_", text)
    return text if set(text) - {"."} else "_" * max(1, len(text))
