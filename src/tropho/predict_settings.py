"""The knobs of prediction: test-time views, and how boxes and probabilities of several models become one."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tropho.images.symmetries import SYMMETRIES
from tropho.section import AtLeastOne, Section, Share

SCALE_LIMITS = 0.25, 4.0

_VIEW = re.compile(rf"({'|'.join(SYMMETRIES)})(?:@([0-9]+(?:\.[0-9]+)?))?")


def parse_view(view: str) -> tuple[str, float]:
    """A view `SYMMETRY` or `SYMMETRY@SCALE` -> its symmetry and scale; ValueError where it is neither."""
    found = _VIEW.fullmatch(view)
    if found is None:
        names = ", ".join(f"'{name}'" for name in SYMMETRIES)
        raise ValueError(f"a view is one of {names}, alone or with a scale, such as 'hflip@1.25'")
    scale = float(found[2] or 1.0)
    if not SCALE_LIMITS[0] <= scale <= SCALE_LIMITS[1]:
        raise ValueError(f"the scale of a view must be {SCALE_LIMITS[0]} to {SCALE_LIMITS[1]}")
    return found[1], scale


def _check_view(view: str) -> str:
    parse_view(view)
    return view


def _check_distinct(views: list[str]) -> list[str]:
    if len({parse_view(view) for view in views}) < len(views):
        raise ValueError("a view is named twice")
    return views


View = Annotated[str, AfterValidator(_check_view)]


class PredictSettings(Section):
    """How trained models look at an image; shared by evaluate, submit and predict."""

    tta: Annotated[list[View], Field(min_length=1), AfterValidator(_check_distinct)]
    batch_size: AtLeastOne
    fusion: Literal["wbf", "nms", "soft_nms"]
    merge_iou: Share | dict[str, Share]
    weights: Literal["equal", "fitted"] | dict[str, Annotated[float, Field(ge=0)]]

    @property
    def scaled(self) -> bool:
        """Whether a view is of another size than the packed image."""
        return any(parse_view(view)[1] != 1.0 for view in self.tta)

    def faults(self, classes: list[str] | None, members: list[str]) -> str | None:
        """What is wrong with values by class or by member, for a task that has these; None if nothing is."""
        if isinstance(self.merge_iou, dict) and sorted(self.merge_iou) != sorted(classes or []):
            return "predict.merge_iou by class needs audit.classes, and a value for each of them and no other"
        if isinstance(self.weights, dict) and (set(self.weights) != set(members) or not any(self.weights.values())):
            return f"predict.weights needs a value for each of {', '.join(members)} and no other, not all of them 0"
        return None
