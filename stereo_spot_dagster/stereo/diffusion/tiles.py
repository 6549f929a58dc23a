"""Overlapping tiles of a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Where tiles lie along one side of a picture.

    Attributes:
        size: of each tile, pixels.
        starts: first pixel of each.
    """

    size: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, length: int, wanted: int, overlap: int, multiple: int) -> Span:
        """Tiles of about ``wanted`` pixels that cover ``length``, share about ``overlap``, in steps of ``multiple``.

        None is longer than one and a half times ``wanted``: rather than a little too much in the last tile, all take a
        little more. ``length`` must be a multiple of ``multiple``.
        """
        count = 1 if length <= wanted else round((length - overlap) / max(wanted - overlap, multiple))
        return cls.split(length, count, overlap, multiple)

    @classmethod
    def split(cls, length: int, count: int, overlap: int, multiple: int) -> Span:
        """``count`` tiles, or as many as differ."""
        if count <= 1:
            return cls(length, (0,))
        size = min(length, math.ceil((length + overlap * (count - 1)) / count / multiple) * multiple)
        steps = (length - size) // multiple
        starts = {round(steps * place / (count - 1)) * multiple for place in range(count)}
        return cls(size, tuple(sorted(starts)))

    def weights(self, place: int, like: Tensor, factor: int) -> Tensor:
        """``[size / factor]``: 1 in the middle, rising from the tile before and falling to the one after."""
        size = self.size // factor
        weight = torch.ones(size, device=like.device, dtype=torch.float32)
        if place > 0:
            shared = (self.starts[place - 1] + self.size - self.starts[place]) // factor
            weight[:shared] *= (torch.arange(shared, device=like.device) + 0.5) / shared
        if place + 1 < len(self.starts):
            shared = (self.starts[place] + self.size - self.starts[place + 1]) // factor
            weight[size - shared :] *= 1 - (torch.arange(shared, device=like.device) + 0.5) / shared
        return weight


@dataclass(frozen=True)
class Grid:
    """Tiles of a picture, row by row.

    Attributes:
        rows, columns: where they lie down and across.
        height, width: of the picture.
    """

    rows: Span
    columns: Span
    height: int
    width: int

    @classmethod
    def of(cls, height: int, width: int, side: int | None, overlap: int, multiple: int) -> Grid:
        """Tiles no longer than about ``side`` along the picture's long side and 9/16 of it along the other.

        One tile for the whole picture where ``side`` is None.
        """
        if side is None:
            return cls(Span(height, (0,)), Span(width, (0,)), height, width)
        short = max(multiple, round(side * 9 / 16 / multiple) * multiple)
        down, across = (short, side) if width >= height else (side, short)
        return cls(
            Span.of(height, down, min(overlap, down // 2), multiple),
            Span.of(width, across, min(overlap, across // 2), multiple),
            height,
            width,
        )

    @classmethod
    def split(cls, height: int, width: int, count: int, overlap: int, multiple: int) -> Grid:
        """``count`` tiles along each side."""
        return cls(
            Span.split(height, count, overlap, multiple), Span.split(width, count, overlap, multiple), height, width
        )

    def __iter__(self) -> Iterator[tuple[int, int, slice, slice]]:
        """(row, column, rows, columns) of each tile."""
        for row, top in enumerate(self.rows.starts):
            for column, left in enumerate(self.columns.starts):
                yield row, column, slice(top, top + self.rows.size), slice(left, left + self.columns.size)

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)


def blend(grid: Grid, make: Callable[[slice, slice], Any], factor: int, elsewhere: Tensor | None = None) -> Tensor:
    """A picture from its tiles, cross-faded where they overlap; weights sum to one wherever there is a tile.

    Args:
        grid: the tiles, in pixels.
        make: the tile of these rows and columns: ``[..., rows / factor, columns / factor]``, or None for one that is
            not needed: nothing of it enters. At least one is needed.
        factor: pixels for each value of what ``make`` returns.
        elsewhere: what pixels without any tile show, as large as the result; 0 by default.

    Returns:
        ``[..., height / factor, width / factor]``.
    """
    if len(grid) == 1:
        (_, _, rows, columns) = next(iter(grid))
        return make(rows, columns)
    total: Tensor | None = None
    weight: Tensor | None = None
    for row, column, rows, columns in grid:
        tile = make(rows, columns)
        if tile is None:
            continue
        share = grid.rows.weights(row, tile, factor)[:, None] * grid.columns.weights(column, tile, factor)
        place = (
            ...,
            slice(rows.start // factor, rows.stop // factor),
            slice(columns.start // factor, columns.stop // factor),
        )
        if total is None or weight is None:
            size = (grid.height // factor, grid.width // factor)
            total = torch.zeros(*tile.shape[:-2], *size, device=tile.device, dtype=torch.float32)
            weight = torch.zeros(size, device=tile.device)
        total[place] += tile * share
        weight[place] += share
    assert total is not None
    assert weight is not None
    made = total / weight.where(weight > 0, 1)
    return made if elsewhere is None else made.where(weight > 0, elsewhere)
