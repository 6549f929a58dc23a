"""What a GPU should reach, by arithmetic from published times. Nothing here is measured by us.

Published, DepthCrafter's paper, Table 3 (A100, 1024x576, half precision, milliseconds a frame): encode 51.85, denoise
160.93 for 5 passes of the UNet, decode 253.06. Its earlier settings (25 steps, two passes each) take 1913.92 in all,
which gives the same 32.2 ms for a frame in a pass. StereoCrafter runs the same UNet but for one input channel, and the
same autoencoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stereo_spot_dagster.domain.models import DepthCrafterOptions, StereoCrafterOptions
from stereo_spot_dagster.stereo.diffusion.autoencoder import shared_frames
from stereo_spot_dagster.stereo.diffusion.memory import Load, fit
from stereo_spot_dagster.stereo.diffusion.tiles import Grid

from .report import Row, Table

ENCODE_MS, PASS_MS, DECODE_MS = 51.85, 160.93 / 5, 253.06
_PIXELS = 1024 * 576
SIZES = ((1024, 576), (1920, 1080))
BUDGET_GB = 16.0
# Sides of pictures the networks take, and of pictures the published script takes.
_MULTIPLE, _PUBLISHED_MULTIPLE = 64, 128


@dataclass(frozen=True)
class Gpu:
    """A card, and how much longer than an A100 it takes."""

    name: str
    slowness: float


GPUS = (
    Gpu("A100", 1.0),
    # Published: 0.526 s for a pass over 14 frames of 1024x576 (a third party's cost script).
    Gpu("RTX 4090", 526 / 14 / PASS_MS),
    # Nothing published: by dense fp16 tensor throughput, 312 against 70 TFLOPS.
    Gpu("A10G", 312 / 70),
)


@dataclass(frozen=True)
class Work:
    """Work for one frame of output, in frames of 1024x576 that are encoded, pass the UNet, and are decoded."""

    encoded: float
    passed: float
    decoded: float

    def ms(self, gpu: Gpu) -> float:
        cost = self.encoded * ENCODE_MS + self.passed * PASS_MS + self.decoded * DECODE_MS
        return cost * gpu.slowness


def stereocrafter(width: int, height: int, options: StereoCrafterOptions, filled: float = 1.0) -> Work:
    """Ours; ``filled`` is the share of tiles that have holes."""
    new = options.chunk - options.overlap
    rows, columns = (math.ceil(side / _MULTIPLE) * _MULTIPLE for side in (height, width))
    grid = Grid.of(rows, columns, options.tile_side, options.tile_overlap, _MULTIPLE)
    tiles = filled * len(grid) * grid.rows.size * grid.columns.size / _PIXELS
    seen = tiles * options.chunk / new
    return Work(seen, seen * options.steps, tiles * _decoded(options) / new)


def published_stereocrafter(width: int, height: int, tile_count: int) -> Work:
    """The published script: cut pictures, all tiles, two passes a step, whole pictures decoded in pairs."""
    options = StereoCrafterOptions.reference()
    new, shared = options.chunk - options.overlap, options.tile_overlap
    cut = [side // _PUBLISHED_MULTIPLE * _PUBLISHED_MULTIPLE for side in (height, width)]
    rows, columns = ((side + shared * (tile_count - 1)) // tile_count for side in cut)
    seen = tile_count**2 * rows * columns / _PIXELS * options.chunk / new
    return Work(seen, seen * options.steps * 2, cut[0] * cut[1] / _PIXELS * options.chunk / new)


def depthcrafter(options: DepthCrafterOptions) -> Work:
    """A long shot at 1024x576."""
    passes = options.steps * (2 if options.guidance > 1 else 1)
    new = options.window - options.overlap
    chunk = options.decode_chunk
    twice = chunk / (chunk - shared_frames(chunk, options.joint))
    return Work(1.0, passes * options.window / new, twice)


def _decoded(options: StereoCrafterOptions) -> int:
    """Frames that pass the decoder for one chunk of the denoiser."""
    shared = shared_frames(options.decode_chunk, options.joint)
    joints = max(0, math.ceil((options.chunk - options.decode_chunk) / (options.decode_chunk - shared)))
    return options.chunk + joints * shared


def estimate_tables() -> list[Table]:
    """Speed and memory."""
    return [_speed(), _memory()]


def _speed() -> Table:
    inpaint, depth = StereoCrafterOptions(), DepthCrafterOptions()
    rows: list[Row] = []
    for width, height in SIZES:
        tile_count = 1 if width <= 1024 else 2
        published = published_stereocrafter(width, height, tile_count)
        name = f"StereoCrafter {width}x{height}"
        rows += _compared(name, stereocrafter(width, height, inpaint), published)
        if tile_count > 1:
            half = stereocrafter(width, height, inpaint, filled=0.5)
            rows += _compared(f"{name}, half of the tiles have holes", half, published)
        planned = fit(_stereocrafter_load(width, height), BUDGET_GB)
        changed = inpaint.model_copy(update={"chunk": planned.frames, "decode_chunk": planned.decode_frames})
        if changed != inpaint:
            rows += _compared(f"{name}, planned for 16 GB", stereocrafter(width, height, changed), published)
        rows += _row(f"{name}, published script", published)
    published = depthcrafter(DepthCrafterOptions.reference())
    rows += _compared("DepthCrafter 1024x576", depthcrafter(depth), published)
    planned = fit(_depthcrafter_load(), BUDGET_GB)
    shared = min(depth.overlap, planned.frames // 2)
    changed = {"window": planned.frames, "overlap": shared, "decode_chunk": planned.decode_frames}
    rows += _compared(
        "DepthCrafter 1024x576, planned for 16 GB", depthcrafter(depth.model_copy(update=changed)), published
    )
    rows += _row("DepthCrafter 1024x576, as StereoCrafter's script calls it", published)
    return Table("ESTIMATE, not measured: frames of output a second on GPUs", rows, _speed_remarks())


def _speed_remarks() -> tuple[str, ...]:
    cards = ", ".join(f"{gpu.name} {gpu.slowness:.2f}" for gpu in GPUS)
    check = published_stereocrafter(1280, 768, 1).ms(GPUS[0])
    large = published_stereocrafter(1920, 1080, 2).ms(GPUS[0])
    return (
        "frames/s = 1000 / (slowness * (encoded * 51.85 + passed * 32.19 + decoded * 253.06)). The three are A100",
        "milliseconds for a frame of 1024x576: DepthCrafter's paper, Table 3, denoise 160.93 being 5 passes.",
        "encoded, passed, decoded: frames of 1024x576 that each step of the work sees for one frame of output:",
        "  tiles with holes * its pixels / 589,824 * chunk / (chunk - overlap); passes also * steps * passes a",
        "  step; for our decoder also * (frames decoded, those twice that two chunks share) / chunk.",
        f"slowness: {cards}. 4090: a pass over 14 frames takes 0.526 s; A10G: only from 312 / 70 TFLOPS.",
        "The ratio compares two lines of this table: arithmetic on counts of passes and pixels, not a measurement.",
        f"Check: by this the published script at 1280x768 takes {check:.0f} ms on an A100; DreamStereo reports 716.5.",
        f"Check: at 1920x1080 {large:.0f} ms; reported are about 4000 (two RTX 3090, with depth) and 2500 (RTX 5090).",
        "So the formula is good to a factor of about two.",
    )


def _compared(name: str, ours: Work, published: Work) -> list[Row]:
    ratio = published.ms(GPUS[0]) / ours.ms(GPUS[0])
    return [*_row(name, ours), Row(name, ratio, "x", column="ratio to published")]


def _row(name: str, work: Work) -> list[Row]:
    counts = f"{work.encoded:.2f} encoded, {work.passed:.1f} passed, {work.decoded:.2f} decoded"
    return [Row(name, 1000 / work.ms(gpu), "frames/s", counts, gpu.name) for gpu in GPUS]


def _memory() -> Table:
    rows: list[Row] = []
    for width, height in SIZES:
        rows += _planned(f"StereoCrafter {width}x{height}", _stereocrafter_load(width, height))
    rows += _planned("DepthCrafter 1024x576", _depthcrafter_load())
    remarks = (
        "Load.estimate_gb: 5.1 + the larger of 0.171 for each frame of 1024x576 that is denoised together and "
        "0.56 for each that is decoded together;",
        "from DepthCrafter's paper (24 GB for 110 frames, 12 GB for 40).",
    )
    return Table(
        f"ESTIMATE, not measured: memory in half precision, and what is planned for {BUDGET_GB:.0f} GB", rows, remarks
    )


def _stereocrafter_load(width: int, height: int) -> Load:
    options = StereoCrafterOptions()
    return Load(width, height, options.chunk, options.tile_side, options.decode_chunk, max(width, height))


def _depthcrafter_load() -> Load:
    options = DepthCrafterOptions()
    return Load(1024, 576, options.window, None, options.decode_chunk, 1024)


def _planned(name: str, load: Load) -> list[Row]:
    planned = fit(load, BUDGET_GB)
    note = "fits as it is" if planned == load else f"planned: {planned.describe()}"
    return [
        Row(name, load.estimate_gb, "GB", column="defaults"),
        Row(name, planned.estimate_gb, "GB", note, "planned"),
    ]
