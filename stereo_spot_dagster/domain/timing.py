"""Exact time: rational time bases and integer timestamps, never floats of seconds."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class TimeBase(BaseModel):
    """The length of one timestamp tick, ``numerator / denominator`` seconds."""

    model_config = ConfigDict(frozen=True)

    numerator: Annotated[int, Field(gt=0)]
    denominator: Annotated[int, Field(gt=0)]

    @classmethod
    def parse(cls, text: str) -> TimeBase:
        """From ffprobe's ``1/12800``."""
        numerator, _, denominator = text.partition("/")
        return cls(numerator=int(numerator), denominator=int(denominator or 1))

    @property
    def tick(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)

    def seconds(self, ticks: int) -> Fraction:
        return ticks * self.tick

    def ticks(self, seconds: Fraction | float) -> int:
        """The tick nearest to ``seconds``."""
        return round(Fraction(seconds) / self.tick)

    def rescale(self, ticks: int, other: TimeBase) -> int:
        """``ticks`` of this base in ticks of ``other``, rounded to the nearest."""
        return round(ticks * self.tick / other.tick)

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"
