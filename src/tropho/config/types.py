"""Base class and bounded types of the sections of params.yaml."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000)]
Pictures = Annotated[int, Field(ge=0, le=1000)]  # in one figure
Pixels = Annotated[int, Field(ge=16, le=16_384)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # below the 32 bits that NumPy takes, since folds and epochs add to it


class Section(BaseModel):
    """A section of params.yaml: unknown keys, wrong types and infinite numbers are refused, values can't be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with valid values beside each other; the first refuses them."""
        yield from ()

    @model_validator(mode="after")
    def _values_fit_each_other(self) -> Self:
        for fault in self.faults():
            raise ValueError(fault)
        return self
