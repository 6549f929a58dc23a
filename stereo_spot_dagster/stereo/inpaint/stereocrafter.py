"""Occlusions filled by StereoCrafter (Zhao et al. 2024), a video diffusion model."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...domain.models import StereoCrafterOptions
from ..diffusion.networks import Networks
from ..frame import ColorSpace, Frame
from ..warp.base import SynthesizedView
from .background import HOLE_FROM, BackgroundInpainter
from .base import Inpainter
from .chunk_models import ChunkModel, Made, make_chunk_model
from .chunks import ChunkRules, ShotInpainting
from .composite import coded_rgb, composite


@dataclass(frozen=True)
class _Waiting:
    """A picture whose holes the model has not filled yet, but the background inpainter has."""

    filled: Frame
    occlusion: NDArray[np.uint8]


class StereoCrafterInpainter(Inpainter):
    """Only holes come from the model, at the picture's own size; visible pixels are the warped ones, bit for bit.

    At the edges of holes the model's pixels are mixed with the continued background.

    Args:
        networks: Stable Video Diffusion's, with StereoCrafter's denoiser (9 input channels).
        options: see :class:`StereoCrafterOptions`.
        model: completes chunks; by default the one the options ask for.
    """

    name = "stereocrafter"

    def __init__(self, networks: Networks, options: StereoCrafterOptions, model: ChunkModel | None = None) -> None:
        self._networks = networks
        self._options = options
        self._model = model or make_chunk_model(networks, options)
        self._rules = ChunkRules(
            overlap=options.overlap,
            fade=options.joint == "fade",
            full_tail=options.edges == "pad",
            paste=options.paste == "holes",
            match_colour=options.match_colour,
        )
        self._background = BackgroundInpainter()
        self.reset(ColorSpace())

    def reset(self, color: ColorSpace, first_frame: int = 0) -> None:
        self._networks.device.reset_peak()
        self._color = color
        self._model.reset()
        self._next_frame = first_frame
        self._shot: ShotInpainting | None = None
        self._waiting: deque[_Waiting] = deque()

    def push(self, view: SynthesizedView, scene_start: bool) -> list[Frame]:
        ready = self.finish() if scene_start else []
        if self._shot is None:
            self._shot = ShotInpainting(self._model, self._rules, self._next_frame)
        self._next_frame += 1
        mask = view.occlusion.astype(np.float32) / np.float32(255)
        rgb = coded_rgb(view.frame, self._color)
        rgb[view.occlusion >= HOLE_FROM] = 0
        self._waiting.append(_Waiting(self._background.fill(view), view.occlusion))
        return ready + self._complete(self._shot.push(np.rint(rgb * 255).astype(np.uint8), mask))

    def finish(self) -> list[Frame]:
        if self._shot is None:
            return []
        made = self._shot.finish()
        self._shot = None
        return self._complete(made)

    @property
    def device(self) -> str:
        return self._networks.device.name

    @property
    def peak_memory_mb(self) -> float:
        return self._networks.device.peak_memory_mb()

    def notes(self) -> tuple[str, ...]:
        return self._model.notes()

    def _complete(self, made: list[Made]) -> list[Frame]:
        completed = []
        for picture in made:
            waiting = self._waiting.popleft()
            area = self._model.area(*waiting.occlusion.shape)
            everything = self._options.paste == "all"
            completed.append(
                composite(waiting.filled, waiting.occlusion, picture, self._color, all_pixels=everything, area=area)
            )
        return completed
