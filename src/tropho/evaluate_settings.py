"""The section `evaluate` of params.yaml; see settings.py."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tropho.section import Count, Pictures, Positive, Section


class EvaluateSettings(Section):
    """What is measured."""

    test: bool
    iou: Annotated[float, Field(gt=0, lt=1)]
    threshold: Literal["f1", "f_beta", "sensitivity"]
    beta: Positive
    sensitivity: Annotated[float, Field(gt=0, le=1)] | None
    gallery: Pictures
    suspects: Pictures
    heat_maps: Pictures
    fusion_trials: Count

    @model_validator(mode="after")
    def _sensitivity_is_asked_for(self) -> "EvaluateSettings":
        if (self.threshold == "sensitivity") != (self.sensitivity is not None):
            raise ValueError("threshold 'sensitivity' and a value of the key 'sensitivity' go together")
        return self

    @property
    def threshold_description(self) -> str:
        """What thresholds are chosen by, in words."""
        if self.sensitivity is not None:
            return f"a recall of at least {self.sensitivity:g}"
        return f"the best F{self.curve_beta:g}"

    @property
    def curve_beta(self) -> float:
        """The beta of the F that thresholds are chosen by and that is drawn over the threshold."""
        return 1.0 if self.threshold == "f1" else self.beta
