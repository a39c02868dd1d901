"""The section `evaluate` of params.yaml; see settings.py."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tropho.section import Count, Pictures, Positive, Section


class EvaluateSettings(Section):
    """What is measured."""

    score_test: bool
    iou: Annotated[float, Field(gt=0, lt=1)]
    threshold_rule: Literal["f1", "f_beta", "min_recall"]
    beta: Positive
    min_recall: Annotated[float, Field(gt=0, le=1)] | None
    gallery_images: Pictures
    suspects: Pictures
    heat_maps: Pictures
    postprocess_trials: Count

    @model_validator(mode="after")
    def _sensitivity_is_asked_for(self) -> "EvaluateSettings":
        if (self.threshold_rule == "min_recall") != (self.min_recall is not None):
            raise ValueError("threshold 'sensitivity' and a value of the key 'sensitivity' go together")
        return self

    @property
    def threshold_description(self) -> str:
        """What thresholds are chosen by, in words."""
        if self.min_recall is not None:
            return f"a recall of at least {self.min_recall:g}"
        return f"the best F{self.curve_beta:g}"

    @property
    def curve_beta(self) -> float:
        """The beta of the F that thresholds are chosen by and that is drawn over the threshold."""
        return 1.0 if self.threshold_rule == "f1" else self.beta
