"""How much is done at once, planned from the memory there is and reduced when it was too much."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ...domain.errors import DeviceOutOfMemory
from .autoencoder import FACTOR, TILE_OVERLAP
from .tiles import Grid

# GB of GPU memory in fp16. From DepthCrafter's paper (4.5): 24 GB for 110 frames of 1024x576 and 12 GB for 40, so
# 0.17 GB a frame over 5.1 GB for the networks and what does not grow.
_FIXED_GB = 5.1
_FRAME_GB = 12 / 70
_REFERENCE_PIXELS = 1024 * 576
# Decoding a frame of that size holds about four activations of 128 channels at full size in half precision.
_DECODE_FRAME_GB = 4 * 128 * _REFERENCE_PIXELS * 2 / (1 << 30)
# The networks that are not in use cost this when they stay on the device.
_IDLE_NETWORKS_GB = 1.5
_SHORTEST_CHUNK = 8
_SMALLEST_TILE = 512


class Offload(StrEnum):
    """Which networks stay on the device."""

    NONE = "none"
    NETWORKS = "networks"
    LAYERS = "layers"


@dataclass(frozen=True)
class Load:
    """How much of the work is on the device at once.

    Attributes:
        width, height: of the pictures, pixels.
        frames: denoised together.
        tile_side: about the longest side of a tile that is denoised, pixels; None where pictures are denoised whole.
        decode_frames: decoded together.
        decode_side: about the longest side of what is decoded or encoded at once, pixels.
        offload: which networks wait in main memory.
        single_precision: True where numbers take 4 bytes.
        tile_overlap: pixels that tiles share which are denoised.
    """

    width: int
    height: int
    frames: int
    tile_side: int | None
    decode_frames: int
    decode_side: int
    offload: Offload = Offload.NONE
    single_precision: bool = False
    tile_overlap: int = 128

    def smaller(self) -> Load | None:
        """With the next thing given up: decoded frames, frames, tile size, resident networks; None at the end."""
        if self.decode_frames > 2:
            return replace(self, decode_frames=max(2, self.decode_frames // 2))
        if self.frames > _SHORTEST_CHUNK:
            return replace(self, frames=max(_SHORTEST_CHUNK, self.frames * 2 // 3))
        if max(self.tile_side or 0, self.decode_side) > _SMALLEST_TILE:
            side = max(_SMALLEST_TILE, max(self.tile_side or 0, self.decode_side) * 2 // 3 // 64 * 64)
            tile_side = min(self.tile_side, side) if self.tile_side else None
            return replace(self, tile_side=tile_side, decode_side=min(self.decode_side, side))
        if self.offload is Offload.NONE:
            return replace(self, offload=Offload.NETWORKS)
        if self.offload is Offload.NETWORKS:
            return replace(self, offload=Offload.LAYERS)
        return None

    @property
    def decode_tile(self) -> int | None:
        """``decode_side`` where it is smaller than the pictures, else None."""
        return self.decode_side if self.decode_side < max(self.width, self.height) else None

    @property
    def estimate_gb(self) -> float:
        """Peak memory in units of 2**30 bytes; an estimate."""
        fixed = {Offload.NONE: _FIXED_GB, Offload.NETWORKS: _FIXED_GB - _IDLE_NETWORKS_GB, Offload.LAYERS: 1.0}
        denoising = self.frames * self._share(self.tile_side, self.tile_overlap) * _FRAME_GB
        decoding = self.decode_frames * self._share(self.decode_tile, TILE_OVERLAP) * _DECODE_FRAME_GB
        return (fixed[self.offload] + max(denoising, decoding)) * (2 if self.single_precision else 1)

    def _share(self, side: int | None, overlap: int) -> float:
        """Pixels of a tile, in pictures of the size that memory was measured with."""
        grid = Grid.of(self.height, self.width, side, overlap, FACTOR)
        return grid.rows.size * grid.columns.size / _REFERENCE_PIXELS

    def describe(self) -> str:
        """In words a person understands."""
        words = [f"{self.frames} frames at once", f"decoding {self.decode_frames}"]
        if self.tile_side:
            words.append(f"tiles of {self.tile_side} px")
        if self.decode_tile:
            words.append(f"decoded in tiles of {self.decode_tile} px")
        if self.offload is not Offload.NONE:
            words.append(f"{self.offload.value} offloaded")
        return ", ".join(words)


def fit(load: Load, memory_gb: float | None) -> Load:
    """``load``, made smaller until its estimate fits into ``memory_gb``; the smallest there is if none does."""
    while memory_gb is not None and load.estimate_gb > memory_gb:
        smaller = load.smaller()
        if smaller is None:
            break
        load = smaller
    return load


def reduced(load: Load, name: str) -> Load:
    """The load to try after ``load`` was too much.

    Raises:
        DeviceOutOfMemory: there is nothing left to give up.
    """
    smaller = load.smaller()
    if smaller is None:
        raise DeviceOutOfMemory(
            name,
            f"the device's memory is too small even for {load.describe()}",
            "Close what else uses it, set STEREO_SPOT_DEVICE=cpu, or choose smaller models: "
            "--depth depth-anything-v2-small, --inpaint background",
        )
    return smaller
