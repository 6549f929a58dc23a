"""Depth as models give it: smaller than the picture, soft, and a little beside the silhouettes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.domain.settings import DepthEdges
from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer
from stereo_spot_dagster.stereo.warp.outlines import disparity_of

from .motorcycle import interleaved, planar

_WAVE_PX = 6.0


@dataclass(frozen=True)
class SoftDepth:
    """A small depth map and the disparities its ends stand for.

    Attributes:
        depth: ``[h, w]`` float32 in 0..1.
        low_px, high_px: disparity of 0 and of 1.
    """

    depth: NDArray[np.float32]
    low_px: float
    high_px: float

    @classmethod
    def of(cls, disparity_px: NDArray[np.float32], factor: float, blur_px: float, beside_px: float) -> SoftDepth:
        """True disparity, spoiled.

        Args:
            disparity_px: ``[H, W]`` float32.
            factor: how much smaller the map is.
            blur_px: sigma of its softness, depth pixels.
            beside_px: how far its places are off, depth pixels (root mean square, in smooth waves).
        """
        low, high = float(disparity_px.min()), float(disparity_px.max())
        height, width = (round(side / factor) for side in disparity_px.shape)
        depth = (disparity_px - np.float32(low)) / np.float32(high - low)
        small = cv2.resize(depth, (width, height), interpolation=cv2.INTER_AREA)
        rng = np.random.default_rng(0)
        waves = [cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), _WAVE_PX) for _ in range(2)]
        down, across = (np.asarray(wave / wave.std() * beside_px, np.float32) for wave in waves)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        small = cv2.remap(small, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cls(np.asarray(cv2.GaussianBlur(small, (0, 0), blur_px), np.float32), low, high)

    def second_eye(self, left: NDArray[np.uint8], edges: DepthEdges) -> NDArray[np.uint8]:
        """``[H, W, 3]`` right view of ``left`` ``[H, W, 3]``, holes filled from the background."""
        coded = planar(np.asarray(cv2.cvtColor(left, cv2.COLOR_RGB2YUV), np.uint8))
        # Of a divergence by which depth 1 is one pixel.
        shares = disparity_of(self.depth, coded, edges, 100 / left.shape[1], 0.0)
        disparity_px = shares * np.float32(self.high_px - self.low_px) + np.float32(self.low_px)
        return interleaved(BackgroundInpainter().fill(ExactSynthesizer().synthesize(planar(left), disparity_px)))
