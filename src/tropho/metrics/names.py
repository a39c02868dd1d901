"""Names of metrics that every tracker takes."""

import re


def metric_name(metric: str, label: str) -> str:
    """`metric/label`, with `_` for what MLflow forbids: all but letters, digits, `_ - . / :` and spaces."""
    return re.sub(r"[^\w\-./: ]", "_", f"{metric}/{label}", flags=re.ASCII)
