"""From a chunk of warped pictures to completed ones: in cross-faded tiles, or as the published code does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...domain.errors import DeviceOutOfMemory, InvalidSettings
from ...domain.models import StereoCrafterOptions
from ..devices import is_out_of_memory
from ..diffusion.autoencoder import FACTOR, Decoder, shared_frames
from ..diffusion.memory import Load
from ..diffusion.networks import Networks
from ..diffusion.noise import FrameNoise, Noise, SequenceNoise
from ..diffusion.tiles import Grid, blend
from ..diffusion.workload import Workload
from .video_inpainting import HOLE_FROM, VideoInpainting

SIDE_MULTIPLE = 64
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

    def area(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) from the top left that it makes of pictures of ``height`` x ``width``."""
        return height, width

    def notes(self) -> tuple[str, ...]:
        """What happened since :meth:`reset` that a person should know."""
        return ()


class TiledModel(ChunkModel):
    """Tiles with holes only, padded instead of cropped, cross-faded in the picture.

    Tiles without holes show the pictures they were given, unless every pixel shall come from the model.

    Args:
        networks: Stable Video Diffusion's, with StereoCrafter's denoiser.
        options: see :class:`StereoCrafterOptions`.
    """

    def __init__(self, networks: Networks, options: StereoCrafterOptions) -> None:
        self._model = VideoInpainting(networks, options)
        self._options = options
        whole = Load(0, 0, options.chunk, options.tile_side, options.decode_chunk, 0)
        self._work = Workload(networks, "stereocrafter", whole)
        self.frames = options.chunk
        self.reset()

    def reset(self) -> None:
        self._noise = _noise(self._options)
        self._work.begin()

    def notes(self) -> tuple[str, ...]:
        return self._work.notes()

    def complete(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        if not (masks >= HOLE_FROM).any():
            return pictures.astype(np.float32) / np.float32(255)
        self._work.plan(self._whole(*masks.shape[1:]))

        def tiled() -> Made:
            self.frames = self._work.load.frames
            if self.frames < len(pictures):
                raise ChunkTooLong
            with torch.inference_mode():
                return self._tiled(pictures, masks, frames)

        return self._work.run(tiled)

    def _whole(self, height: int, width: int) -> Load:
        """What is done at once with plenty of memory."""
        options, single = self._options, self._model.networks.device.precision == "fp32"
        longest = max(height, width)
        side = options.tile_side
        if options.tile_count:
            side = (longest + options.tile_overlap * (options.tile_count - 1)) // options.tile_count
        return Load(
            width,
            height,
            options.chunk,
            side,
            options.decode_chunk,
            longest,
            single_precision=single,
            tile_overlap=options.tile_overlap,
        )

    def _tiled(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        height, width = masks.shape[1:]
        padded, holes = _padded(pictures, masks)
        rows, columns = padded.shape[-2:]
        noise = self._noise.of_latents(frames, 4, rows // FACTOR, columns // FACTOR)
        every_tile = self._options.paste == "all"

        def tile(down: slice, across: slice) -> Tensor | None:
            mask = holes[..., down, across]
            if not every_tile and not (mask >= HOLE_FROM).any():
                return None
            return self._tile(padded[..., down, across], mask, noise[..., _latent(down), _latent(across)])

        made = blend(self._grid(rows, columns, height, width), tile, 1, elsewhere=padded.float() / 255)
        return made[..., :height, :width].permute(0, 2, 3, 1).numpy()

    def _grid(self, rows: int, columns: int, height: int, width: int) -> Grid:
        """Tiles of the padded picture, ``rows`` x ``columns``."""
        options, side = self._options, self._work.load.tile_side
        if options.tile_count and side == self._whole(height, width).tile_side:
            return Grid.split(rows, columns, options.tile_count, options.tile_overlap, SIDE_MULTIPLE)
        return Grid.of(rows, columns, side, options.tile_overlap, SIDE_MULTIPLE)

    def _tile(self, pictures: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """``[F, 3, h, w]`` float32 in 0..1 in main memory."""
        load, device = self._work.load, self._model.networks.device.torch
        on_device = pictures.to(device).float() / 255 * 2 - 1
        latents = self._model.denoised(on_device, mask.to(device), noise.to(device), encode_tile=load.decode_tile)
        decoder = Decoder(
            lambda part: self._model.decoded(part, load.decode_tile).cpu(),
            load.decode_frames,
            shared_frames(load.decode_frames, self._options.joint),
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
        self._noise = _noise(self._options)
        self._notes: list[str] = []

    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def area(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = (side // PUBLISHED_MULTIPLE * PUBLISHED_MULTIPLE for side in (height, width))
        return (rows, columns) if rows and columns else (0, 0)

    def complete(self, pictures: Pictures, masks: Masks, frames: Sequence[int]) -> Made:
        whole = pictures.astype(np.float32) / np.float32(255)
        height, width = self.area(*masks.shape[1:])
        if not height:
            self._note(f"pictures under {PUBLISHED_MULTIPLE} px were left to the background: choose edges=pad")
            return whole
        cut = torch.from_numpy(pictures[:, :height, :width]).permute(0, 3, 1, 2).float() / 255 * 2 - 1
        mask = torch.from_numpy(masks[:, None, :height, :width])
        try:
            with torch.inference_mode():
                made = self._made(cut, mask, frames)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceOutOfMemory(
                "stereocrafter",
                f"the device's memory is too small for {len(pictures)} frames at once as published",
                "Choose edges=pad, which plans for the memory there is, or a smaller chunk or larger tile_count",
            ) from error
        whole[:, :height, :width] = made.permute(0, 2, 3, 1).numpy()
        return whole

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _made(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        device, chunk = self._model.networks.device.torch, self._options.decode_chunk
        latents = self._latents(pictures.to(device), mask.to(device), frames)
        decoder = Decoder(
            lambda part: self._model.decoded(part).cpu(), chunk, shared_frames(chunk, self._options.joint)
        )
        return torch.stack([*decoder.push(latents), *decoder.finish()])

    def _latents(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        """``[F, 4, h, w]``: tiles are denoised one by one, then merged in place, row by row."""
        options = self._options
        count, overlap = max(1, options.tile_count), options.tile_overlap
        size = [int((side + overlap * (count - 1)) / count) for side in pictures.shape[-2:]]
        if any(side % FACTOR for side in size):
            raise InvalidSettings(
                "stereocrafter",
                f"tile_count={count} gives tiles of {size[1]}x{size[0]} px, which are not multiples of {FACTOR}",
                "Choose another tile_count, or edges=pad",
            )
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


def _noise(options: StereoCrafterOptions) -> Noise:
    return FrameNoise(options.seed) if options.noise == "frame" else SequenceNoise(options.seed)


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

    Both are mirrored there: the black of a hole at the edge is a hole there too, not something that is seen.
    """
    height, width = masks.shape[1:]
    down, across = -height % SIDE_MULTIPLE, -width % SIDE_MULTIPLE
    far_ends = ((0, 0), (0, down), (0, across))
    mirrored = np.pad(pictures, (*far_ends, (0, 0)), mode="symmetric")
    holes = np.pad(masks, far_ends, mode="symmetric")
    return torch.from_numpy(mirrored).permute(0, 3, 1, 2), torch.from_numpy(holes)[:, None]


def _latent(pixels: slice) -> slice:
    return slice(pixels.start // FACTOR, pixels.stop // FACTOR)
