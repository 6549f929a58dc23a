"""How the second eye looks beside the true one: each way of warping and filling, with true disparity.

Scenes that are rendered with both eyes, and the Middlebury motorcycle. Disparity is the true one, so only warp and fill
are judged, not depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from stereo_spot_dagster.domain.models import StereoCrafterOptions
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint.background import HOLE_FROM, BackgroundInpainter
from stereo_spot_dagster.stereo.inpaint.stereocrafter import StereoCrafterInpainter
from stereo_spot_dagster.stereo.layouts.yuv import yuv_code
from stereo_spot_dagster.stereo.warp.base import SynthesizedView, ViewSynthesizer
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer
from stereo_spot_dagster.stereo.warp.reference import ReferenceSynthesizer

from ..stereo.golden_data import stereocrafter_networks
from ..stereo.motorcycle import interleaved, motorcycle, planar
from ..stereo.scenes import SCENES, Stereo, render
from .report import Row, Table, print_tables

SEEDS = (101, 102, 103)
SIZE = (480, 272)
FRAMES, JUDGED = 3, 1
STEREO = Stereo(divergence_pct=4.0, convergence=0.5)
COPY, BACKGROUND = "copy of the left eye", "exact + background"
# How far Telea's method looks around each pixel it fills.
_TELEA_RADIUS = 5
_CROP, _ENLARGED = 96, 3
_MAGENTA = (255, 0, 255)
_FULL_RANGE = ColorSpace(full_range=True)
_YUV444 = PixelFormat(8, 0, 0)

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A picture whose second eye is known.

    Attributes:
        group: cases of one group are judged together.
        name: of the case.
        left, right: ``[H, W, 3]`` RGB.
        disparity_px: ``[H, W]`` float32 of the left eye.
        hidden: ``[H, W]``, pixels of the right eye that the left eye does not show.
        shown: True for those that stand for others: the slow methods run on them, and crops of them are kept.
    """

    group: str
    name: str
    left: Rgb
    right: Rgb
    disparity_px: NDArray[np.float32]
    hidden: Mask
    shown: bool


Method = Callable[[Case], Rgb]


def tables(folder: Path) -> list[Table]:
    """One table; pictures of the largest holes go to ``folder/quality``."""
    pictures = folder / "quality"
    pictures.mkdir(parents=True, exist_ok=True)
    judged = [Judged.of(case, pictures) for case in [*rendered_cases(SCENES, SEEDS), motorcycle_case()]]
    divergence = f"{STEREO.divergence_pct:.0f} %"
    remarks = (
        f"Rendered: a frame of {len(SCENES)} scenes x {len(SEEDS)} seeds, {SIZE[0]}x{SIZE[1]}, disparity over "
        f"{divergence} of the width. PSNR of all pixels of a group together, SSIM their mean.",
        "Holes: what the left eye does not show, by the rendering; for the motorcycle, where none of its pixels goes.",
        "SSIM windows are 7 px wide, so in holes it also sees the rim. Crops of holes: quality/*.png.",
        "'StereoCrafter, random' runs tiny networks with random weights, on one seed of each scene: it shows that the "
        "pipeline works and that visible pixels stay, and says nothing about the trained model.",
    )
    return [Table("Second eye from true disparity", rows_of(judged), remarks)]


def rendered_cases(names: Sequence[str], seeds: Sequence[int], size: tuple[int, int] = SIZE) -> Iterator[Case]:
    """One frame of each scene and seed."""
    for name in names:
        for seed in seeds:
            clip = render(name, *size, frames=FRAMES, seed=seed, stereo=STEREO)
            eyes = clip.left[JUDGED], clip.right[JUDGED]
            truth = clip.disparity_px[JUDGED], clip.occlusion[JUDGED]
            yield Case("rendered", f"{name}-{seed}", *eyes, *truth, shown=seed == SEEDS[0])


def motorcycle_case() -> Case:
    pair = motorcycle()
    hidden = unreached(pair.disparity_px)
    return Case("motorcycle", "motorcycle", pair.left, pair.right, pair.disparity_px, hidden, shown=True)


def unreached(disparity_px: NDArray[np.float32]) -> Mask:
    """Right pixels that no left pixel comes closer to than 1 px; surfaces are rarely stretched that far."""
    height, width = disparity_px.shape
    before = np.floor(np.arange(width) - disparity_px).astype(np.int64)
    hidden = np.ones((height, width), np.bool_)
    rows = np.broadcast_to(np.arange(height)[:, None], before.shape)
    for column in (before, before + 1):
        inside = (column >= 0) & (column < width)
        hidden[rows[inside], column[inside]] = False
    return hidden


METHODS: dict[str, Method] = {
    COPY: lambda case: case.left,
    BACKGROUND: lambda case: interleaved(BackgroundInpainter().fill(_warped(case, ExactSynthesizer()))),
    "exact + Telea (OpenCV)": lambda case: telea(_warped(case, ExactSynthesizer())),
    "soft splat + Telea (OpenCV)": lambda case: telea(_warped(case, ReferenceSynthesizer())),
}
PIPELINE_CHECK = "exact + StereoCrafter, random (pipeline check only)"


@dataclass(frozen=True)
class Judged:
    """How near each method came to the true right eye of a case.

    Attributes:
        case: the picture.
        error: squared error of each pixel by method, ``[H, W]``, mean of the three colours.
        likeness: SSIM of each pixel by method, ``[H, W]``.
    """

    case: Case
    error: dict[str, NDArray[np.float64]]
    likeness: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, case: Case, pictures: Path | None = None) -> Judged:
        """Run every method; crops of the holes of the cases that stand for others go to the folder ``pictures``."""
        made = {name: method(case) for name, method in METHODS.items()}
        if case.shown and pictures:
            made[PIPELINE_CHECK] = tiny_stereocrafter(case)
            write_holes(case, made, pictures / f"{case.name}.png")
        error = {
            name: np.mean((picture.astype(np.float64) - case.right) ** 2, axis=-1) for name, picture in made.items()
        }
        return cls(case, error, {name: _likeness(picture, case.right) for name, picture in made.items()})


def rows_of(judged: Sequence[Judged]) -> list[Row]:
    """PSNR and SSIM of each method over all pixels, visible ones and holes, for each group of cases."""
    rows: list[Row] = []
    for group in dict.fromkeys(one.case.group for one in judged):
        for method in [*METHODS, PIPELINE_CHECK]:
            members = [one for one in judged if one.case.group == group and method in one.error]
            if members:
                rows += _method_rows(group, method, members)
    return rows


def _method_rows(group: str, method: str, judged: Sequence[Judged]) -> list[Row]:
    hidden = [one.case.hidden for one in judged]
    note = f"{len(hidden)} pictures, {100 * np.mean([mask.mean() for mask in hidden]):.1f} % holes"
    parts = {
        "all": [np.ones_like(mask) for mask in hidden],
        "visible": [~mask for mask in hidden],
        "holes": hidden,
    }
    psnr, ssim = [], []
    for part, masks in parts.items():
        squared = np.concatenate([one.error[method][mask] for one, mask in zip(judged, masks, strict=True)]).mean()
        similar = np.concatenate([one.likeness[method][mask] for one, mask in zip(judged, masks, strict=True)]).mean()
        psnr_db = 10 * np.log10(255**2 / max(float(squared), 1e-12))
        psnr.append(Row(f"{group}: {method}", float(psnr_db), "dB", note, f"PSNR {part}"))
        ssim.append(Row(f"{group}: {method}", float(similar), "", note, f"SSIM {part}"))
    return psnr + ssim


def _likeness(made: Rgb, true: Rgb) -> NDArray[np.float64]:
    _, similar = structural_similarity(true, made, channel_axis=-1, full=True)
    return np.asarray(similar, np.float64).mean(axis=-1)


def telea(view: SynthesizedView) -> Rgb:
    """Holes filled by the fast marching method (Telea 2004), as OpenCV has it."""
    hole = (view.occlusion >= HOLE_FROM).astype(np.uint8)
    return np.asarray(cv2.inpaint(interleaved(view.frame), hole, _TELEA_RADIUS, cv2.INPAINT_TELEA), np.uint8)


def tiny_stereocrafter(case: Case) -> Rgb:
    """Our StereoCrafter stage with tiny random networks."""
    code = yuv_code(_FULL_RANGE, 8)
    coded = cv2.transform(case.left.astype(np.float32) / 255, code.from_rgb)
    planes = np.clip(np.rint(coded), 0, 255).astype(np.uint8)
    left = Frame(tuple(np.ascontiguousarray(planes[..., plane]) for plane in range(3)), _YUV444)
    view = ExactSynthesizer().synthesize(left, case.disparity_px)
    inpainter = StereoCrafterInpainter(stereocrafter_networks(), StereoCrafterOptions(steps=1))
    inpainter.reset(_FULL_RANGE)
    (filled,) = [*inpainter.push(view, True), *inpainter.finish()]
    shown = cv2.transform(interleaved(filled).astype(np.float32), code.to_rgb)
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def _warped(case: Case, synthesizer: ViewSynthesizer) -> SynthesizedView:
    return synthesizer.synthesize(planar(case.left), case.disparity_px)


def write_holes(case: Case, made: dict[str, Rgb], path: Path) -> None:
    """The part of the picture with the most holes: truth, truth with holes marked, and what each method made."""
    top, left = _most_hidden(case.hidden)
    place = slice(top, top + _CROP), slice(left, left + _CROP)
    marked = case.right.copy()
    marked[case.hidden] = _MAGENTA
    panels = {"true right eye": case.right, "holes": marked} | made
    drawn = [_panel(name, picture[place]) for name, picture in panels.items()]
    cv2.imwrite(str(path), cv2.cvtColor(np.hstack(drawn), cv2.COLOR_RGB2BGR))


def _panel(name: str, crop: Rgb) -> Rgb:
    size = _CROP * _ENLARGED
    panel = np.full((size + 24, size + 8, 3), 255, np.uint8)
    panel[24:, :size] = cv2.resize(crop, (size, size), interpolation=cv2.INTER_NEAREST)
    label = name.split(" (")[0]
    cv2.putText(panel, label, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return panel


def _most_hidden(hidden: Mask) -> tuple[int, int]:
    """(row, column) where the square with the most holes begins, away from the borders' own holes."""
    counts = cv2.boxFilter(hidden.astype(np.float32), -1, (_CROP, _CROP), anchor=(0, 0), normalize=False)
    margin = hidden.shape[1] // 10
    inner = counts[: hidden.shape[0] - _CROP + 1, margin : hidden.shape[1] - _CROP - margin + 1]
    row, column = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return int(row), int(column) + margin


if __name__ == "__main__":
    print_tables(tables(Path("bench-output")))
