"""Base class and bounded types of the sections of params.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
