"""DepthCrafter over long shots: a map for every frame, windows that meet, bounded memory, the same bytes again."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from stereo_spot_dagster.domain.models import DepthCrafterOptions
from stereo_spot_dagster.stereo.depth.depthcrafter import DepthCrafterDepth
from stereo_spot_dagster.stereo.diffusion.networks import Networks

from .golden_data import CPU, depthcrafter_networks
from .model_stubs import out_of_memory


class StubDepth(DepthCrafterDepth):
    """Its latents are the number of the frame, its depth the mean of the latents.

    Attributes:
        windows: frames that were denoised together.
        most: frames kept at most.
    """

    def __init__(self, options: DepthCrafterOptions) -> None:
        self.windows: list[list[int]] = []
        self.most = 0
        empty = torch.nn.Module()
        unet = torch.nn.Module()
        unet.down_blocks, unet.mid_block, unet.up_blocks = [], torch.nn.Module(), []  # type: ignore[assignment]
        super().__init__(Networks(unet, empty, empty, None, CPU), options)

    def _encoded(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        count = len(pictures)
        self.most = max(self.most, len(self._frames) + count)
        return torch.zeros(count, 2), torch.zeros(count, 4, 1, 1)

    def _denoised(self, count: int) -> Tensor:
        self.windows.append(self._frames[:count])
        numbers = torch.tensor(self._frames[:count], dtype=torch.float32)
        return numbers[:, None, None, None].expand(-1, 4, 1, 1).clone()

    def _decoded(self, latents: Tensor) -> Tensor:
        return latents.mean(dim=1)


def starts(count: int, *others: int) -> NDArray[np.bool_]:
    marked = np.zeros(count, bool)
    marked[[0, *others][:count]] = True
    return marked


def options(**changed: Any) -> DepthCrafterOptions:
    return DepthCrafterOptions(**{"window": 6, "overlap": 2, "steps": 1, **changed})


@given(
    window=st.integers(2, 20),
    overlap=st.integers(0, 10),
    count=st.integers(1, 70),
    cut=st.integers(1, 70),
    first=st.integers(0, 1000),
    groups=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    joint=st.sampled_from(["fade", "hard"]),
)
@settings(max_examples=200, deadline=None)
def test_every_frame_gets_its_own_depth_in_windows_that_meet(
    window: int, overlap: int, count: int, cut: int, first: int, groups: list[int], joint: str
) -> None:
    overlap = min(overlap, window // 2)
    depth = StubDepth(options(window=window, overlap=overlap, joint=joint))
    depth.reset(first)
    marked = starts(count, *([cut] if cut < count else []))
    pictures = np.zeros((count, 64, 64, 3), np.uint8)
    maps: list[NDArray[np.float32]] = []
    done = 0
    while done < count:
        size = groups[done % len(groups)]
        maps.append(depth.process(pictures[done : done + size], marked[done : done + size]))
        done += size
    made = np.concatenate([*[part for part in maps if len(part)], depth.finish()]) if count else np.empty(0)
    np.testing.assert_allclose(made[:, 0, 0], first + np.arange(count), rtol=1e-6)
    check_windows(depth.windows, window, overlap, [first, *([first + cut] if cut < count else []), first + count])


def check_windows(windows: list[list[int]], window: int, overlap: int, shots: list[int]) -> None:
    for begin, end in itertools.pairwise(shots):
        inside = [frames for frames in windows if begin <= frames[0] < end]
        assert sorted({frame for frames in inside for frame in frames}) == list(range(begin, end))
        assert all(len(frames) <= window for frames in inside)
        for before, after in itertools.pairwise(inside):
            assert len(before) == window
            assert after[0] == before[-1] + 1 - overlap
            assert len(after) >= overlap + 1


@pytest.mark.parametrize("count", [8, 14, 20, 110, 111, 195, 196])
def test_the_default_options_give_a_map_for_each_frame(count: int) -> None:
    depth = StubDepth(DepthCrafterOptions())
    made = [depth.process(np.zeros((count, 64, 64, 3), np.uint8), starts(count)), depth.finish()]
    assert sum(map(len, made)) == count


def test_memory_is_bounded_by_a_window_however_long_the_shot_is() -> None:
    depth = StubDepth(options(window=110, overlap=25))
    total = 0
    for group in range(100):
        total += len(
            depth.process(np.zeros((10, 64, 64, 3), np.uint8), starts(10) if not group else np.zeros(10, bool))
        )
        kept = (depth._conditions, depth._embeddings, depth._frames)
        assert all(len(each) <= 118 for each in kept)
        assert len(depth._decoder._latents) < 8
        assert len(depth._pictures) < 8
    assert total + len(depth.finish()) == 1000
    assert depth.most <= 118


def frames(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return depthcrafter_networks()


def run(
    networks: Networks,
    shown: NDArray[np.uint8],
    marked: NDArray[np.bool_],
    *,
    first: int = 0,
    group: int = 100,
    **changed: Any,
) -> NDArray[np.float32]:
    depth = DepthCrafterDepth(networks, options(**changed))
    depth.reset(first)
    parts = [depth.process(shown[at : at + group], marked[at : at + group]) for at in range(0, len(shown), group)]
    return np.concatenate([part for part in [*parts, depth.finish()] if len(part)])


@pytest.mark.parametrize("count", [1, 2, 6, 7, 9, 18])
def test_any_number_of_frames_gives_finite_maps_of_the_size_of_the_pictures(networks: Networks, count: int) -> None:
    made = run(networks, frames(count), starts(count))
    assert made.shape == (count, 64, 64)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()


def test_how_frames_are_handed_over_changes_nothing_and_again_gives_the_same_bytes(networks: Networks) -> None:
    shown = frames(13)
    whole = run(networks, shown, starts(13), first=40)
    for group in (1, 5):
        np.testing.assert_array_equal(run(networks, shown, starts(13), first=40, group=group), whole)
    assert not np.array_equal(run(networks, shown, starts(13), first=41), whole)
    assert not np.array_equal(run(networks, shown, starts(13), first=40, seed=1), whole)


@pytest.mark.parametrize("noise", ["frame", "rolling"])
def test_a_shot_does_not_depend_on_the_one_before(networks: Networks, noise: str) -> None:
    shown, other = frames(8), frames(3, seed=1)
    both = run(networks, np.concatenate([other, shown]), starts(11, 3), noise=noise)
    alone = run(networks, shown, starts(8), first=3, noise=noise)
    np.testing.assert_array_equal(both[3:], alone)
    different = run(networks, np.concatenate([frames(3, seed=2), shown]), starts(11, 3), noise=noise)
    np.testing.assert_array_equal(different[3:], both[3:])


def test_an_estimator_can_be_used_for_one_segment_after_another(networks: Networks) -> None:
    depth = DepthCrafterDepth(networks, options())
    made = []
    for _ in range(2):
        depth.reset(5)
        # In the middle of a shot.
        depth.process(frames(4), np.zeros(4, bool))
        made.append(depth.finish())
    assert len(made[0]) == 4
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize(("guidance", "calls"), [(1.0, 3), (1.2, 6)])
def test_the_network_runs_twice_a_step_only_with_guidance(networks: Networks, guidance: float, calls: int) -> None:
    with out_of_memory(networks, 0, RuntimeError) as sizes:
        run(networks, frames(4), starts(4), steps=3, guidance=guidance)
    assert sizes == [(1, 4, 8, 8, 8)] * calls


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1024, 576)),
        ((1280, 720), (1024, 576)),
        ((3840, 2160), (1024, 576)),
        ((1920, 800), (1024, 448)),
        ((1920, 820), (1024, 448)),
        ((854, 480), (832, 512)),
        ((1080, 1920), (576, 1024)),
        ((640, 360), (640, 384)),
        ((20, 10), (64, 64)),
        ((4000, 30), (1024, 64)),
    ],
)
def test_pictures_are_reduced_as_published(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert StubDepth(DepthCrafterOptions()).working_size(*size) == expected
