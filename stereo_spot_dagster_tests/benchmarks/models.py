"""Where the time and memory of StereoCrafter and DepthCrafter go, and what our defaults save.

Networks have the published sizes and random weights: time and memory do not depend on the values. The frame rates
of a CPU say nothing about a GPU; shares and ratios of one run are what to look at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stereo_spot_dagster.domain.machine import MachineSettings
from stereo_spot_dagster.domain.models import DepthCrafterOptions, StereoCrafterOptions
from stereo_spot_dagster.stereo.depth.depthcrafter import DepthCrafterDepth
from stereo_spot_dagster.stereo.devices import Device, choose_device
from stereo_spot_dagster.stereo.diffusion import autoencoder
from stereo_spot_dagster.stereo.diffusion.autoencoder import FACTOR, Decoder
from stereo_spot_dagster.stereo.inpaint.chunk_models import make_chunk_model

from .estimate import estimate_tables
from .networks import DENOISING, FullSize, StagedNetworks, peak_of
from .report import Row, Table, print_tables
from .timing import seconds

Size = tuple[int, int]


@dataclass(frozen=True)
class Decoding:
    """A picture that is decoded whole, and in pieces.

    Attributes:
        size: (width, height), pixels.
        frames: how many there are.
        tile_side, chunk: of the pieces: longest side in pixels, and frames.
    """

    size: Size
    frames: int
    tile_side: int
    chunk: int


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        sizes: (width, height) of the pictures StereoCrafter completes.
        depth_size: of the pictures DepthCrafter sees.
        chunk: frames StereoCrafter denoises together.
        window: frames DepthCrafter denoises together.
        steps: denoising steps; None for those of the options.
        decoding: see :class:`Decoding`.
        rounds: how often each is run after one run that does not count; the fastest counts.
    """

    sizes: tuple[Size, ...]
    depth_size: Size
    chunk: int
    window: int
    steps: int | None
    decoding: Decoding
    rounds: int


# Ten minutes of one core: frames for two chunks of the published decoder, few pixels and steps.
ON_CPU = Scale(((256, 128),), (256, 128), 4, 4, 2, Decoding((384, 192), 4, 192, 2), 2)
ON_GPU = Scale(((1024, 576), (1920, 1080)), (1024, 576), 23, 110, None, Decoding((1920, 1080), 8, 1024, 2), 1)


@dataclass(frozen=True)
class Run:
    """What one way of doing the work has cost: rows of each stage, and seconds of all."""

    rows: list[Row]
    seconds: float


def tables(folder: Path) -> list[Table]:
    """What was measured here, and what is estimated for GPUs."""
    return [measured(), *estimate_tables()]


def measured() -> Table:
    """Every row that is measured on this machine's best device."""
    device = chosen_device()
    if not device.is_cuda:
        # Threads that wait for each other are slowed tenfold by other work on the machine, and unevenly.
        torch.set_num_threads(1)
    load = os.getloadavg()[0]
    scale = ON_GPU if device.is_cuda else ON_CPU
    full = FullSize(device)
    rows = [row for size in scale.sizes for row in stereocrafter_rows(full, size, scale)]
    rows += depthcrafter_rows(full, scale)
    rows += decoding_rows(full, device, scale.decoding)
    memory = "all that torch had allocated" if device.is_cuda else "resident memory beyond that at the stage's start"
    words = (
        f"{device.name}, {device.precision}, torch {torch.__version__}, {torch.get_num_threads()} threads; load "
        f"average {load:.1f} before.",
        f"Random weights. Fastest of {scale.rounds} after one that does not count. Peak memory: {memory}.",
        "'reference' is the same network and step count as published: guidance 1.01 or 1.2 (two passes a step), "
        "decoding 2 (StereoCrafter) or 8 frames, latents of whole pictures.",
    )
    return Table("StereoCrafter and DepthCrafter, measured", rows, words)


def chosen_device() -> Device:
    """The best there is; a CPU counts in bf16, which halves the memory."""
    best = choose_device(MachineSettings.from_environment())
    if best.torch == "cpu":
        return choose_device(MachineSettings(device="cpu", precision="bf16"))
    return best


def stereocrafter_rows(full: FullSize, size: Size, scale: Scale) -> list[Row]:
    """One chunk by our options, and by the published ones, in turn."""
    name = f"StereoCrafter {size[0]}x{size[1]}"
    changes = {"chunk": scale.chunk, "overlap": min(3, scale.chunk // 2)}
    ours = _with_steps(StereoCrafterOptions(**changes), scale)
    # The published script cuts pictures larger than the model was trained on into two by two tiles.
    tiles = 1 if max(size) <= 1024 else 2
    published = StereoCrafterOptions.reference().model_copy(update=changes | {"tile_count": tiles})
    pictures, masks = _pictures_with_holes(size, scale.chunk)

    def completing(options: StereoCrafterOptions) -> Callable[[], object]:
        model = make_chunk_model(networks, options)
        return lambda: model.complete(pictures, masks, range(scale.chunk))

    with full.networks(9) as networks:
        works = {"": completing(ours), " reference": completing(_with_steps(published, scale))}
        return _compared(name, networks, works, scale)


def depthcrafter_rows(full: FullSize, scale: Scale) -> list[Row]:
    """One window by our options, and by the published ones, in turn."""
    width, height = scale.depth_size
    changes = {"window": scale.window, "overlap": min(25, scale.window // 4)}
    ours = _with_steps(DepthCrafterOptions(**changes), scale)
    published = _with_steps(DepthCrafterOptions.reference().model_copy(update=changes), scale)
    pictures = _pictures(scale.depth_size, scale.window)
    starts = np.arange(scale.window) == 0

    def estimating(options: DepthCrafterOptions) -> Callable[[], object]:
        def work() -> None:
            estimator.reset()
            estimator.process(pictures, starts)
            estimator.finish()

        estimator = DepthCrafterDepth(networks, options)
        return work

    with full.networks(8) as networks:
        works = {"": estimating(ours), " reference": estimating(published)}
        return _compared(f"DepthCrafter {width}x{height}", networks, works, scale)


def _with_steps(options, scale: Scale):
    """``options``; both kinds get the same few steps where time is short."""
    return options.model_copy(update={"steps": scale.steps}) if scale.steps else options


def _compared(name: str, networks: StagedNetworks, works: dict[str, Callable[[], object]], scale: Scale) -> list[Row]:
    best: dict[str, Run] = {}
    for number in range(scale.rounds + 1):
        for way, work in works.items():
            run = _measured(f"{name}{way}", networks, work, scale)
            if number and (way not in best or run.seconds < best[way].seconds):
                best[way] = run
    ours, published = best[""], best[" reference"]
    ratio = Row(f"{name}: default against reference", published.seconds / ours.seconds, "x", "same run, same steps")
    return [*ours.rows, *published.rows, ratio]


def _measured(name: str, networks: StagedNetworks, work: Callable[[], object], scale: Scale) -> Run:
    networks.restart()
    whole = seconds(work)
    frames = scale.window if name.startswith("DepthCrafter") else scale.chunk
    rows = [Row(f"{name}: speed", frames / whole, "frames/s", f"{frames} frames, no overlap with others")]
    for stage, cost in networks.stages.items():
        share = f"{100 * cost.seconds / whole:.0f} % of the time, {cost.calls} calls"
        rows.append(Row(f"{name}: {stage}", cost.seconds * 1000 / frames, "ms/frame", share))
        rows.append(Row(f"{name}: {stage}, peak memory", cost.peak_gb, "GB"))
    passes = networks.stages[DENOISING]
    rows.append(Row(f"{name}: a pass of the UNet", passes.seconds * 1000 / passes.calls, "ms", f"of {frames} frames"))
    return Run(rows, whole)


def decoding_rows(full: FullSize, device: Device, decoding: Decoding) -> list[Row]:
    """The same latents decoded all at once, and in chunks of tiles."""
    (width, height), network = decoding.size, full.autoencoder.to(device.torch)
    shape = (decoding.frames, 4, -(-height // FACTOR), -(-width // FACTOR))
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(device.torch)

    def in_chunks(frames: int, tile_side: int | None) -> None:
        decoder = Decoder(lambda part: autoencoder.decode(network, part, tile_side).cpu(), frames, 0)
        [*decoder.push(latents), *decoder.finish()]

    ways = {
        f"all {decoding.frames} at once": (decoding.frames, None),
        f"chunks of {decoding.chunk}": (decoding.chunk, None),
        f"tiles of {decoding.tile_side} px": (decoding.frames, decoding.tile_side),
        f"chunks of {decoding.chunk}, tiles of {decoding.tile_side} px": (decoding.chunk, decoding.tile_side),
    }
    rows: list[Row] = []
    first = None
    for way, (frames, side) in ways.items():
        with torch.inference_mode():
            in_chunks(frames, side)
            with peak_of(device) as cost:
                in_chunks(frames, side)
        first = first or cost
        name = f"decode {decoding.frames} frames of {width}x{height}, {way}"
        slower, smaller = cost.seconds / first.seconds, cost.peak_gb / first.peak_gb
        rows.append(Row(f"{name}: time", cost.seconds, "s", f"{slower:.2f}x of all at once"))
        rows.append(Row(f"{name}: peak memory", cost.peak_gb, "GB", f"{smaller:.2f}x of all at once"))
    return rows


def _pictures(size: Size, frames: int) -> NDArray[np.uint8]:
    width, height = size
    return np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), np.uint8)


def _pictures_with_holes(size: Size, frames: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Upright holes 16 px wide all over the picture, so that every tile has some."""
    pictures = _pictures(size, frames)
    masks = np.zeros(pictures.shape[:3], np.float32)
    for left in range(32, size[0], 128):
        masks[..., left : left + 16] = 1
    pictures[masks > 0] = 0
    return pictures, masks


if __name__ == "__main__":
    print_tables(tables(Path()))
