"""Depth that is right up to scale and shift becomes depth in 0..1, with one range for each shot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..domain.models import DepthRangeKind
from ..domain.plan import Segment, ShotSurvey
from ..media.scan import FrameTable
from ..stereo.depth.align import Affine, fit_affine, grid_samples

# Of the samples of a shot. Extremes let one hot pixel flatten everything else.
OUTERMOST_PCT = {DepthRangeKind.PERCENTILES: (0.1, 99.9), DepthRangeKind.EXTREMES: (0.0, 100.0)}
# A range below this share of the values is rounding: the picture is flat.
_FLAT = 1e-6

SurveySamples = Callable[[ShotSurvey], NDArray[np.float32]]


@dataclass(frozen=True)
class DepthRange:
    """What becomes 0 and what becomes 1."""

    low: float
    high: float

    @classmethod
    def of(cls, samples: NDArray[np.float32], kind: DepthRangeKind = DepthRangeKind.PERCENTILES) -> DepthRange:
        """The range of samples of any shape."""
        low, high = np.percentile(samples, OUTERMOST_PCT[kind])
        return cls(float(low), float(high))

    @property
    def flat(self) -> bool:
        return self.high - self.low <= _FLAT * max(abs(self.low), abs(self.high))

    def apply(self, depth: NDArray[np.float32], aligned: Affine) -> NDArray[np.float32]:
        """``depth``, aligned first, as 0..1; 0.5 throughout where there is no range."""
        if self.flat:
            return np.full_like(depth, 0.5)
        normal = Affine(1 / (self.high - self.low), -self.low / (self.high - self.low)).after(aligned)
        return np.clip(normal.apply(depth), 0, 1)


@dataclass(frozen=True)
class _Part:
    """What a segment has of a shot: its frames ``first`` to ``end`` - 1, their range, and how each is aligned.

    Attributes:
        scale, shift: ``[T]`` float64, one for each frame.
    """

    first: int
    end: int
    range: DepthRange
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


class RawDepths:
    """The raw depth of a segment in a scratch file, with what is needed to normalise it.

    Memory: 9 kB a frame for the samples of the sparse grid, whatever the size of the pictures.

    Args:
        target: the scratch file; four bytes a pixel.
        segment: whose depth it is.
        surveys: of the shots it has a part of.
        kind: of range. The extremes of a surveyed shot are those of its survey.
    """

    def __init__(
        self,
        target: Path,
        segment: Segment,
        surveys: tuple[ShotSurvey, ...],
        kind: DepthRangeKind = DepthRangeKind.PERCENTILES,
    ) -> None:
        self._target = target
        self._segment = segment
        self._kind = kind
        self._surveys = [s for s in surveys if s.first_frame < segment.end_frame and s.end_frame > segment.first_frame]
        self._surveyed = {number for survey in self._surveys for number in survey.frames}
        # By frame number: all of the segment's own, and the surveyed ones of its overlap.
        self._samples: dict[int, NDArray[np.float32]] = {}
        self._extremes: dict[int, tuple[float, float]] = {}
        self._shape = (0, 0)

    def write(self, depths: Iterator[NDArray[np.float32]]) -> Iterator[int]:
        """Take the maps from ``segment.first_needed`` on; yields how many of the segment's own are written."""
        with self._target.open("wb") as file:
            for number, depth in enumerate(depths, self._segment.first_needed):
                self._shape = depth.shape
                if number >= self._segment.first_frame:
                    file.write(np.ascontiguousarray(depth, dtype="<f4"))
                    self._samples[number] = grid_samples(depth)
                    self._extremes[number] = float(depth.min()), float(depth.max())
                    yield number + 1 - self._segment.first_frame
                elif number in self._surveyed:
                    self._samples[number] = grid_samples(depth)

    def normalised(self, frames: FrameTable, survey_samples: SurveySamples) -> Iterator[NDArray[np.float32]]:
        """``[h, w]`` float32 depth in 0..1 of each of the segment's own frames.

        Args:
            frames: the video's frames.
            survey_samples: gives the samples ``[pictures, S]`` of a survey.
        """
        with self._target.open("rb") as file:
            for part in self._parts(frames, survey_samples):
                for scale, shift in zip(part.scale, part.shift, strict=True):
                    yield part.range.apply(self._next_map(file), Affine(float(scale), float(shift)))

    def _next_map(self, file: IO[bytes]) -> NDArray[np.float32]:
        height, width = self._shape
        return np.frombuffer(file.read(4 * height * width), "<f4").reshape(height, width)

    def _parts(self, frames: FrameTable, survey_samples: SurveySamples) -> Iterator[_Part]:
        begin, stop = self._segment.first_frame, max(self._samples, default=-1) + 1
        cuts = np.flatnonzero(frames.scene_start[begin + 1 : stop]) + begin + 1
        edges = [begin, *cuts.tolist(), stop]
        for first, end in pairwise(edges):
            survey = next((s for s in self._surveys if s.first_frame <= first < s.end_frame), None)
            if survey is None:
                # The grid would miss the very pixels that are the extremes.
                kept = self._extremes if self._kind is DepthRangeKind.EXTREMES else self._samples
                shot = np.asarray([kept[number] for number in range(first, end)], np.float32)
                ones = np.ones(end - first)
                yield _Part(first, end, DepthRange.of(shot, self._kind), ones, np.zeros_like(ones))
            else:
                yield self._aligned(first, end, survey, survey_samples(survey))

    def _aligned(self, first: int, end: int, survey: ShotSurvey, samples: NDArray[np.float32]) -> _Part:
        """The part of a surveyed shot: fitted at the surveyed frames, in between with what lies between the fits."""
        fits = {
            number: fit_affine(self._samples[number], wanted)[0]
            for number, wanted in zip(survey.frames, samples, strict=True)
            if number in self._samples and number < end
        }
        at, wanted = list(fits), np.arange(first, end)
        return _Part(
            first,
            end,
            DepthRange.of(samples, self._kind),
            np.interp(wanted, at, [fit.scale for fit in fits.values()]),
            np.interp(wanted, at, [fit.shift for fit in fits.values()]),
        )
