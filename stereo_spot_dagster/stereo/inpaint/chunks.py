"""A shot in overlapping chunks: each new chunk continues what the one before has made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .chunk_models import HOLE_FROM, ChunkModel, ChunkTooLong, Made
from .composite import match_colours


@dataclass(frozen=True)
class ChunkRules:
    """How chunks of a shot meet.

    Attributes:
        overlap: frames that a chunk is given from the one before.
        fade: cross-fade what two chunks made of their shared frames, instead of keeping the first.
        full_tail: the last chunk of a shot is as long as the others, reaching further back, unless chunks do not
            overlap; else it is shorter by ``overlap``, as published.
        paste: keep visible pixels; else all pixels come from the model.
        match_colour: shift the colours of what was made to those around each hole.
    """

    overlap: int
    fade: bool = True
    full_tail: bool = True
    paste: bool = True
    match_colour: bool = True


@dataclass
class _Frame:
    """A frame of the shot that may still be needed."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.float32]
    made: Made | None = None


class ShotInpainting:
    """Completes the frames of one shot, streaming.

    As many frames come out as go in, for any number of them. At most two chunks of frames are kept.

    Args:
        model: completes a chunk.
        rules: see :class:`ChunkRules`.
        first_frame: number in the video of the shot's first frame.
    """

    def __init__(self, model: ChunkModel, rules: ChunkRules, first_frame: int) -> None:
        self._model, self._rules = model, rules
        self._frames: list[_Frame] = []
        self._first = first_frame
        self._emitted = 0

    def push(self, picture: NDArray[np.uint8], mask: NDArray[np.float32]) -> list[Made]:
        """Take the next frame.

        Args:
            picture: ``[H, W, 3]``, black in holes.
            mask: ``[H, W]`` in 0..1, 1 where nothing is seen.

        Returns:
            ``[H, W, 3]`` float32 in 0..1 of each frame that is complete now, in order.
        """
        self._frames.append(_Frame(picture, mask))
        ready: list[Made] = []
        while len(self._frames) - self._start >= self._model.frames:
            ready += self._run(self._start, self._start + self._model.frames, last=False)
        return ready

    def finish(self) -> list[Made]:
        """Complete the frames that are left."""
        ready: list[Made] = []
        while self._done < len(self._frames):
            if len(self._frames) - self._start >= self._model.frames:
                ready += self._run(self._start, self._start + self._model.frames, last=False)
            else:
                ready += self._run(self._tail_start, len(self._frames), last=True)
        return ready + self._emit(len(self._frames))

    @property
    def _done(self) -> int:
        """How many of the kept frames the model has seen."""
        return next((place for place, frame in enumerate(self._frames) if frame.made is None), len(self._frames))

    @property
    def _start(self) -> int:
        """Where the next chunk begins."""
        return max(0, self._done - self._overlap)

    @property
    def _overlap(self) -> int:
        """Frames the next chunk is given, less than the rules say when the model takes only very few."""
        return min(self._rules.overlap, self._model.frames // 2)

    @property
    def _tail_start(self) -> int:
        """Where the last chunk of the shot begins."""
        if self._done == 0 or (self._rules.full_tail and not self._rules.overlap):
            return self._done
        length = self._model.frames - (0 if self._rules.full_tail else self._overlap)
        return max(0, len(self._frames) - length)

    def _run(self, start: int, end: int, *, last: bool) -> list[Made]:
        frames, done = self._frames[start:end], self._done - start
        pictures = np.stack([_shown(frame) for frame in frames])
        masks = np.stack([frame.mask for frame in frames])
        try:
            made = self._model.complete(pictures, masks, range(self._first + start, self._first + end))
        except ChunkTooLong:
            return []
        if self._rules.match_colour:
            made = np.stack([match_colours(*pair) for pair in zip(made, pictures, masks, strict=True)])
        if self._rules.paste:
            made = np.where(masks[..., None] >= HOLE_FROM, made, pictures.astype(np.float32) / 255)
        overlap = min(self._rules.overlap, done)
        for place, frame in enumerate(frames):
            if place >= done:
                frame.made = made[place]
            elif self._rules.fade and start + place >= self._emitted and place >= done - overlap:
                weight = np.float32((place - (done - overlap) + 1) / (overlap + 1))
                assert frame.made is not None
                # In this form visible pixels, which are the same in both, stay exactly so.
                frame.made = frame.made + (made[place] - frame.made) * weight
        held = 0 if last or not self._rules.fade else self._overlap
        return self._emit(max(self._emitted, end - held))

    def _emit(self, end: int) -> list[Made]:
        """Results up to ``end``; frames that no later chunk can need are forgotten."""
        ready = [made for frame in self._frames[self._emitted : end] if (made := frame.made) is not None]
        self._emitted = end
        spare = max(0, min(self._emitted, self._done - self._model.frames))
        del self._frames[:spare]
        self._first += spare
        self._emitted -= spare
        return ready


def _shown(frame: _Frame) -> NDArray[np.uint8]:
    """What the model sees of a frame: what was made of it, or the warped picture."""
    if frame.made is None:
        return frame.picture
    return np.rint(frame.made * 255).astype(np.uint8)
