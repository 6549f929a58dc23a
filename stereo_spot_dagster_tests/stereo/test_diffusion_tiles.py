"""Pictures made in tiles are whole and have no seams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stereo_spot_dagster.stereo.diffusion import autoencoder
from stereo_spot_dagster.stereo.diffusion.tiles import Grid, Span, blend

from .golden_data import stereocrafter_networks


@st.composite
def grids(draw: st.DrawFn) -> tuple[Grid, int, int, int]:
    """(grid, multiple, side, overlap)"""
    multiple = draw(st.sampled_from([8, 64]))
    height, width = draw(st.integers(1, 30)) * multiple, draw(st.integers(1, 40)) * multiple
    side = draw(st.integers(16, 200)) * 8
    overlap = draw(st.sampled_from([64, 128, 192, 512]))
    return Grid.of(height, width, side, overlap, multiple), multiple, side, overlap


@given(drawn=grids())
@settings(max_examples=200, deadline=None)
def test_tiles_cover_the_picture_in_steps_and_their_size_is_bounded(drawn: tuple[Grid, int, int, int]) -> None:
    grid, multiple, side, _ = drawn
    across = np.zeros((grid.height // 8, grid.width // 8), bool)
    longest = 0
    for _, _, rows, columns in grid:
        assert rows.start >= 0
        assert columns.start >= 0
        assert rows.stop <= grid.height
        assert columns.stop <= grid.width
        assert all(edge % multiple == 0 for edge in (rows.start, rows.stop, columns.start, columns.stop))
        longest = max(longest, rows.stop - rows.start, columns.stop - columns.start)
        across[rows.start // 8 : rows.stop // 8, columns.start // 8 : columns.stop // 8] = True
    assert across.all()
    assert longest <= 1.5 * side + multiple


@given(drawn=grids())
@settings(max_examples=100, deadline=None)
def test_neighbours_share_pixels_so_that_no_joint_is_hard(drawn: tuple[Grid, int, int, int]) -> None:
    grid, multiple, side, overlap = drawn
    for span in (grid.rows, grid.columns):
        for before, after in zip(span.starts, span.starts[1:], strict=False):
            assert before < after <= before + span.size
            if min(overlap, side * 9 // 16 // 2) >= 2 * multiple:
                assert before + span.size - after >= multiple


@given(drawn=grids(), factor=st.sampled_from([1, 8]))
@settings(max_examples=60, deadline=None)
def test_tiles_cut_from_a_picture_give_the_picture_again(drawn: tuple[Grid, int, int, int], factor: int) -> None:
    grid = drawn[0]
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, grid.height // factor, grid.width // factor, generator=generator)

    def cut(rows: slice, columns: slice) -> torch.Tensor:
        return picture[
            ..., rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor
        ]

    torch.testing.assert_close(blend(grid, cut, factor), picture, rtol=0, atol=1e-5)


@given(drawn=grids())
@settings(max_examples=30, deadline=None)
def test_weights_sum_to_one(drawn: tuple[Grid, int, int, int]) -> None:
    grid = drawn[0]

    def ones(rows: slice, columns: slice) -> torch.Tensor:
        return torch.ones(1, rows.stop - rows.start, columns.stop - columns.start)

    made = blend(grid, ones, 1)
    torch.testing.assert_close(made, torch.ones_like(made), rtol=0, atol=1e-5)


def test_tiles_that_differ_in_brightness_meet_without_a_step() -> None:
    grid = Grid.of(512, 1920, 768, 128, 64)
    assert len(grid.columns.starts) == 3

    def offset(rows: slice, columns: slice) -> torch.Tensor:
        ramp = torch.arange(columns.start, columns.stop) / 1920
        return (ramp + 0.1 * (columns.start > 0)).expand(1, rows.stop - rows.start, -1)

    steps = blend(grid, offset, 1).diff(dim=-1)
    # 0.1 spread over 128 columns.
    assert float(steps.abs().max()) < 2 * (0.1 / 128 + 1 / 1920)


def test_where_there_is_no_tile_the_other_picture_shows() -> None:
    grid = Grid.of(64, 512, 128, 64, 8)
    other = torch.full((1, 64, 512), 0.25)

    def left_only(rows: slice, columns: slice) -> torch.Tensor | None:
        if columns.start:
            return None
        return torch.ones(1, rows.stop - rows.start, columns.stop - columns.start)

    made = blend(grid, left_only, 1, elsewhere=other)
    end = grid.columns.size
    assert (made[..., :end] == 1).all()
    assert (made[..., end:] == 0.25).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("length", [64, 128, 576, 1088, 1920])
def test_a_number_of_tiles_asked_for_is_given_where_so_many_differ(count: int, length: int) -> None:
    span = Span.split(length, count, 128, 64)
    assert len(span.starts) <= count
    assert span.starts[-1] + span.size == length
    if length >= 1088 and count <= 4:
        assert len(span.starts) == count


def spy(monkeypatch: pytest.MonkeyPatch, network: Any, name: str) -> list[tuple[int, ...]]:
    sizes: list[tuple[int, ...]] = []
    real = getattr(network, name)

    def called(pictures: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        sizes.append(tuple(pictures.shape))
        return real(pictures, *arguments, **named)

    monkeypatch.setattr(network, name, called)
    return sizes


def texture() -> torch.Tensor:
    """A picture that is alike everywhere: the network normalises by the mean of all it sees, so a tile that is unlike
    the whole differs by more."""
    return torch.rand(1, 3, 192, 320, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_picture_encoded_in_tiles_is_close_to_one_encoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode(), stereocrafter_networks().using("autoencoder") as network:
        whole = autoencoder.encode(network, texture())
        sizes = spy(monkeypatch, network, "encode")
        tiled = autoencoder.encode(network, texture(), 192)
    assert len(sizes) == 4
    assert max(size[-1] for size in sizes) <= 1.5 * 192
    error = (tiled - whole).abs().mean() / whole.std()
    # Measured 0.12 with random weights.
    assert error < 0.2


def test_latents_decoded_in_tiles_are_close_to_latents_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode(), stereocrafter_networks().using("autoencoder") as network:
        latents = autoencoder.encode(network, texture()) * 0.18215
        whole = autoencoder.decode(network, latents)
        sizes = spy(monkeypatch, network, "decode")
        tiled = autoencoder.decode(network, latents, 192)
    assert len(sizes) == 4
    assert max(size[-1] for size in sizes) * autoencoder.FACTOR <= 1.5 * 192
    error = (tiled - whole).abs().mean() / whole.std()
    # Measured 0.15 with random weights.
    assert error < 0.2
