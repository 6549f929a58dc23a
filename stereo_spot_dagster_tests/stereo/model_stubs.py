"""Models that answer at once and remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.diffusion.networks import Networks
from stereo_spot_dagster.stereo.inpaint.chunk_models import ChunkModel, ChunkTooLong

# Networks this small lose more time to waiting for threads than these save.
torch.set_num_threads(1)

Make = Callable[[int, NDArray[np.uint8], NDArray[np.float32], Sequence[int]], NDArray[np.float32]]


class StubModel(ChunkModel):
    """Makes pictures by a function.

    Attributes:
        asked: (frames, pictures) of each chunk that was completed.

    Args:
        frames: how many it takes at once.
        make: (number of the chunk, pictures, masks, frames) to pictures; by default the number of the frame is its
            colour, in 1/1024.
        shrinks: at these calls (counted from 0) it takes only so many frames from then on.
    """

    def __init__(self, frames: int, make: Make | None = None, shrinks: dict[int, int] | None = None) -> None:
        self.frames = frames
        self.asked: list[tuple[range, NDArray[np.uint8]]] = []
        self.calls = 0
        self._make = make or numbered
        self._shrinks = shrinks or {}

    def reset(self) -> None:
        self.asked = []

    def complete(self, pictures: NDArray[Any], masks: NDArray[Any], frames: Sequence[int]) -> NDArray[np.float32]:
        self.frames = min(self.frames, self._shrinks.get(self.calls, self.frames))
        self.calls += 1
        if len(pictures) > self.frames:
            raise ChunkTooLong
        assert list(frames) == list(range(frames[0], frames[0] + len(pictures)))
        self.asked.append((range(frames[0], frames[-1] + 1), pictures.copy()))
        return self._make(len(self.asked) - 1, pictures, masks, frames)


def numbered(
    _: int, pictures: NDArray[np.uint8], masks: NDArray[np.float32], frames: Sequence[int]
) -> NDArray[np.float32]:
    colours = np.array(frames, np.float32)[:, None, None, None] / np.float32(1024)
    return np.broadcast_to(colours, pictures.shape).astype(np.float32)


@contextmanager
def out_of_memory(
    networks: Networks, times: int, error: Callable[[], BaseException]
) -> Iterator[list[tuple[int, ...]]]:
    """The denoiser fails the first ``times`` it is called; yields the sizes of what it was given then and later."""
    sizes: list[tuple[int, ...]] = []

    def check(_: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        sizes.append(tuple(arguments[0].shape))
        if len(sizes) <= times:
            raise error()

    handle = networks.unet.register_forward_pre_hook(check)
    try:
        yield sizes
    finally:
        handle.remove()
