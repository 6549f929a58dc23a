"""From a chunk of warped pictures to completed ones: in cross-faded tiles, or as the published code does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...domain.models import StereoCrafterOptions
from ..devices import is_out_of_memory
from ..diffusion.autoencoder import FACTOR, Decoder
from ..diffusion.memory import Load, fit, reduced
from ..diffusion.networks import Networks
from ..diffusion.noise import FrameNoise, Noise, SequenceNoise
from ..diffusion.tiles import Grid, blend
from .video_inpainting import HOLE_FROM, VideoInpainting

SIDE_MULTIPLE = 64
# Frames that two chunks of the decoder share where they are cross-faded.
_DECODER_SHARED = 2
# The published code cuts pictures to multiples of this.
PUBLISHED_MULTIPLE = 128

Pictures = NDArray[np.uint8]
Masks = NDArray[np.float32]
Made = NDArray[np.float32]


class ChunkTooLong(Exception):
    """The memory is too small for so many frames at once; ``ChunkModel.frames`` is smaller now."""


class ChunkModel(ABC):
    """Completes the pictures of one chunk.

    Attributes:
        frames: how many it takes at once.
    """

    frames: int

    @abstractmethod
    def reset(self) -> None:
        """Begin with the first noise again."""

    @abstractmethod
    def complete(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        """The model's pictures.

        Args:
            pictures: ``[F, H, W, 3]``, black in holes.
            masks: ``[F, H, W]`` in 0..1, 1 where nothing is seen.
            frames: numbers of the frames in the video.

        Returns:
            ``[F, H, W, 3]`` in 0..1; meaningful at least in holes.

        Raises:
            ChunkTooLong: call again with at most ``frames`` pictures.
        """

    def notes(self) -> tuple[str, ...]:
        """What happened since :meth:`reset` that a person should know."""
        return ()


class TiledModel(ChunkModel):
    """Tiles with holes only, padded instead of cropped, cross-faded in the picture; noise belongs to frame and place.

    Args:
        networks: Stable Video Diffusion's, with StereoCrafter's denoiser.
        options: see :class:`StereoCrafterOptions`.
    """

    def __init__(self, networks: Networks, options: StereoCrafterOptions) -> None:
        self._model = VideoInpainting(networks, options)
        self._options = options
        self._load: Load | None = None
        self.frames = options.chunk
        self.reset()

    def reset(self) -> None:
        self._noise: Noise = FrameNoise(self._options.seed)
        self._notes: list[str] = []

    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def complete(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        load = self._load or self._plan(*masks.shape[1:])
        if not (masks >= HOLE_FROM).any():
            return pictures.astype(np.float32) / np.float32(255)
        while True:
            try:
                with torch.inference_mode():
                    return self._tiled(pictures, masks, frames, load)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            load = self._reduce(load)
            if load.frames < len(pictures):
                raise ChunkTooLong

    def _plan(self, height: int, width: int) -> Load:
        options, device = self._options, self._model.networks.device
        single = device.precision == "fp32"
        side = max(height, width)
        whole = Load(
            width, height, options.chunk, options.tile_side, options.decode_chunk, side, single_precision=single
        )
        load = fit(whole, device.memory_gb)
        if load != whole:
            self._notes.append(f"planned for {device.memory_gb:.1f} GB: {load.describe()}")
        return self._use(load)

    def _reduce(self, load: Load) -> Load:
        load = reduced(load, "stereocrafter")
        self._notes.append(f"out of memory: went on with {load.describe()}")
        self._model.networks.device.release()
        return self._use(load)

    def _use(self, load: Load) -> Load:
        self._load, self.frames = load, load.frames
        self._model.networks.place(load.offload)
        return load

    def _tiled(self, pictures: Pictures, masks: Masks, frames: Sequence[int], load: Load) -> Made:
        height, width = masks.shape[1:]
        padded, holes = _padded(pictures, masks)
        rows, columns = padded.shape[-2:]
        grid = self._grid(rows, columns, load)
        noise = self._noise.of_latents(frames, 4, rows // FACTOR, columns // FACTOR)

        def tile(down: slice, across: slice) -> Tensor | None:
            mask = holes[..., down, across]
            if not (mask >= HOLE_FROM).any():
                return None
            place = (..., _latent(down), _latent(across))
            return self._tile(padded[..., down, across], mask, noise[place], load)

        made = blend(grid, tile, 1)
        return made[..., :height, :width].permute(0, 2, 3, 1).numpy()

    def _grid(self, height: int, width: int, load: Load) -> Grid:
        options, side = self._options, load.tile_side
        if options.tile_count:
            longest = max(height, width)
            side = (longest + options.tile_overlap * (options.tile_count - 1)) // options.tile_count
        return Grid.of(height, width, side, options.tile_overlap, SIDE_MULTIPLE)

    def _tile(self, pictures: Tensor, mask: Tensor, noise: Tensor, load: Load) -> Tensor:
        """``[F, 3, h, w]`` float32 in 0..1 in main memory."""
        device = self._model.networks.device.torch
        on_device = pictures.to(device).float() / 255 * 2 - 1
        latents = self._model.denoised(on_device, mask.to(device), noise.to(device), encode_tile=load.decode_tile)
        shared = _DECODER_SHARED if self._options.joint == "fade" else 0
        chunk = load.decode_frames
        decoder = Decoder(
            lambda part: self._model.decoded(part, load.decode_tile).cpu(), chunk, min(shared, (chunk - 1) // 2)
        )
        return torch.stack([*decoder.push(latents), *decoder.finish()])


class PublishedModel(ChunkModel):
    """As the published script does it: cut to multiples of 128, tiles merged as latents, frames decoded in pairs.

    Rows and columns that are cut come back as they were.

    Args:
        networks: Stable Video Diffusion's, with StereoCrafter's denoiser.
        options: see :class:`StereoCrafterOptions`.
    """

    def __init__(self, networks: Networks, options: StereoCrafterOptions) -> None:
        self._model = VideoInpainting(networks, options)
        self._options = options
        self.frames = options.chunk
        self.reset()

    def reset(self) -> None:
        self._noise: Noise = SequenceNoise(self._options.seed)

    def complete(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        height, width = (side // PUBLISHED_MULTIPLE * PUBLISHED_MULTIPLE for side in masks.shape[1:])
        device = self._model.networks.device.torch
        cut = torch.from_numpy(pictures[:, :height, :width]).permute(0, 3, 1, 2).float() / 255 * 2 - 1
        mask = torch.from_numpy(masks[:, None, :height, :width])
        with torch.inference_mode():
            latents = self._latents(cut.to(device), mask.to(device), frames)
            decoder = Decoder(lambda part: self._model.decoded(part).cpu(), self._options.decode_chunk, 0)
            made = torch.stack([*decoder.push(latents), *decoder.finish()])
        whole = pictures.astype(np.float32) / np.float32(255)
        whole[:, :height, :width] = made.permute(0, 2, 3, 1).numpy()
        return whole

    def _latents(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        """``[F, 4, h, w]``: tiles are denoised one by one, then merged in place, row by row."""
        options = self._options
        count, overlap = max(1, options.tile_count), options.tile_overlap
        size = [int((side + overlap * (count - 1)) / count) for side in pictures.shape[-2:]]
        tiles: list[list[Tensor]] = []
        for row in range(count):
            tiles.append([])
            for column in range(count):
                top, left = row * (size[0] - overlap), column * (size[1] - overlap)
                place = (..., slice(top, top + size[0]), slice(left, left + size[1]))
                tiles[row].append(self._tile(pictures[place], mask[place], frames))
        return _merged(tiles, overlap // FACTOR)

    def _tile(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        height, width = pictures.shape[-2:]
        # Drawn although it is added with strength zero: what is drawn next depends on it.
        self._noise.of_pictures(frames, height, width)
        noise = self._noise.of_latents(frames, 4, height // FACTOR, width // FACTOR)
        return self._model.denoised(pictures, mask, noise.to(pictures.device))


def make_chunk_model(networks: Networks, options: StereoCrafterOptions) -> ChunkModel:
    """The model that ``options.edges`` asks for."""
    return PublishedModel(networks, options) if options.edges == "crop" else TiledModel(networks, options)


def _merged(tiles: list[list[Tensor]], overlap: int) -> Tensor:
    """One picture of latents from tiles that share ``overlap``: blended with the tile above, then with the left one.

    The new tile's weight is k / overlap for k = 0, 1, ...; both neighbours are blended already. Then every tile but
    the last of a row or column loses what it shares with the next.
    """
    ramp = torch.arange(overlap, device=tiles[0][0].device, dtype=tiles[0][0].dtype) / max(1, overlap)
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            if row and overlap:
                weight = ramp[:, None]
                tile[..., :overlap, :] = _mix(tiles[row - 1][column][..., -overlap:, :], tile[..., :overlap, :], weight)
            if column and overlap:
                tile[..., :overlap] = _mix(line[column - 1][..., -overlap:], tile[..., :overlap], ramp)
    lines = []
    for row, line in enumerate(tiles):
        bottom = None if row + 1 == len(tiles) or not overlap else -overlap
        cut = [tile[..., :bottom, : None if tile is line[-1] or not overlap else -overlap] for tile in line]
        lines.append(torch.cat(cut, dim=-1))
    return torch.cat(lines, dim=-2)


def _mix(before: Tensor, after: Tensor, weight: Tensor) -> Tensor:
    return before * (1 - weight) + after * weight


def _padded(pictures: Pictures, masks: Masks) -> tuple[Tensor, Tensor]:
    """``[F, 3, H', W']`` uint8 and ``[F, 1, H', W']`` float32 with sides that are multiples of 64, at the far ends.

    Pictures are mirrored there and have no holes, so that nothing is made up for what is cut off again.
    """
    height, width = masks.shape[1:]
    down, across = -height % SIDE_MULTIPLE, -width % SIDE_MULTIPLE
    mirrored = np.pad(pictures, ((0, 0), (0, down), (0, across), (0, 0)), mode="symmetric")
    holes = functional.pad(torch.from_numpy(masks)[:, None], (0, across, 0, down))
    return torch.from_numpy(mirrored).permute(0, 3, 1, 2), holes


def _latent(pixels: slice) -> slice:
    return slice(pixels.start // FACTOR, pixels.stop // FACTOR)
