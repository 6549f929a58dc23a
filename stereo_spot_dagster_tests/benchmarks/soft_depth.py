"""How the second eye looks when depth is what models give: small, soft, and a little beside the silhouettes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereo_spot_dagster.domain.settings import DepthEdges
from stereo_spot_dagster.stereo.warp.outlines import disparity_of

from ..stereo.scenes import SCENES
from ..stereo.soft_depth import SoftDepth
from .quality import SEEDS, Case, motorcycle_case, rendered_cases
from .report import Row, Table, print_tables
from .timing import median_ms
from .warp import DEPTH_SIZE, FORMATS, scene_depth, textured


@dataclass(frozen=True)
class Kind:
    """How true depth is spoiled: see :meth:`SoftDepth.of`."""

    name: str
    factor: float
    blur_px: float
    beside_px: float


KINDS = (
    Kind("half the size", 2, 1.2, 0.0),
    Kind("half the size, 1 px beside", 2, 1.2, 1.0),
    Kind("a quarter of the size", 4, 0.8, 0.0),
    Kind("a quarter of the size, 0.7 px beside", 4, 0.8, 0.7),
)


def tables(folder: Path) -> list[Table]:
    """One table."""
    return [table([*rendered_cases(list(SCENES), SEEDS[:1]), motorcycle_case()])]


def table(cases: Sequence[Case]) -> Table:
    """PSNR of each way to enlarge silhouettes over all pixels and visible ones, and what it costs."""
    rows = [row for group in dict.fromkeys(case.group for case in cases) for row in _group_rows(group, cases)]
    remarks = (
        "True depth is made smaller, blurred (sigma 1.2 or 0.8 depth pixels), and moved in waves by so many depth "
        "pixels.",
        "Half the size is what Depth Anything and DepthCrafter see of 1080p. Warp: exact; fill: background.",
    )
    return Table("Second eye from soft depth, by depth_edges", [*rows, *_time_rows()], remarks)


def _group_rows(group: str, cases: Sequence[Case]) -> list[Row]:
    members = [case for case in cases if case.group == group]
    rows: list[Row] = []
    for kind in KINDS:
        for edges in DepthEdges:
            errors = [_error(case, kind, edges) for case in members]
            parts = {
                "PSNR all": np.concatenate([error.ravel() for error in errors]),
                "PSNR visible": np.concatenate(
                    [error[~case.hidden] for error, case in zip(errors, members, strict=True)]
                ),
            }
            name, note = f"{group}, {kind.name}: {edges.value}", f"{len(members)} pictures"
            for part, squared in parts.items():
                rows.append(Row(name, float(10 * np.log10(255**2 / squared.mean())), "dB", note, part))
    return rows


def _error(case: Case, kind: Kind, edges: DepthEdges) -> np.ndarray:
    """``[H, W]`` squared error, mean of the three colours."""
    soft = SoftDepth.of(case.disparity_px, kind.factor, kind.blur_px, kind.beside_px)
    made = soft.second_eye(case.left, edges)
    return np.mean((made.astype(np.float64) - case.right) ** 2, axis=-1)


def _time_rows() -> list[Row]:
    depth, left = scene_depth(), textured(FORMATS[1])
    note = f"1080p from {DEPTH_SIZE[0]}x{DEPTH_SIZE[1]}"
    return [
        Row(edges.value, median_ms(lambda edges=edges: disparity_of(depth, left, edges, 2.0, 0.5)), "ms", note)
        for edges in DepthEdges
    ]


if __name__ == "__main__":
    print_tables(tables(Path()))
