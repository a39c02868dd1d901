"""The section `evaluate` of params.yaml; see settings.py."""

from typing import Annotated

from pydantic import Field

from tropho.config.types import Count, Pictures, Positive, Section


class EvaluateConfig(Section):
    """What is measured."""

    score_test: bool
    beta: Positive
    min_recall: Annotated[float, Field(gt=0, le=1)] | None
    gallery_images: Pictures
    postprocess_trials: Count

    @property
    def threshold_description(self) -> str:
        """What thresholds are chosen by, in words."""
        if self.min_recall is not None:
            return f"a recall of at least {self.min_recall:g}"
        return f"the best F{self.beta:g}"
