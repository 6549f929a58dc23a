"""What belongs to one frame stays with it: its embedding and its noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stereo_spot_dagster.stereo.diffusion.networks import FrameContext
from stereo_spot_dagster.stereo.diffusion.noise import FrameNoise, RollingNoise, SequenceNoise

from .golden_data import depthcrafter_networks

FRAMES = 3


@pytest.fixture(scope="module")
def hooked() -> tuple[torch.nn.Module, FrameContext]:
    unet = depthcrafter_networks().unet
    return unet, FrameContext(unet)


def forward(unet: torch.nn.Module, context: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(1, FRAMES, 8, 8, 8, generator=generator)
    with torch.inference_mode():
        ids = torch.tensor([[7, 127, 0.02]])
        return unet(sample, torch.tensor(0.5), encoder_hidden_states=context, added_time_ids=ids).sample[0]


def embeddings() -> Tensor:
    return torch.randn(FRAMES, 32, generator=torch.Generator().manual_seed(1))


def test_equal_embeddings_give_what_the_stock_network_gives_bit_for_bit(hooked) -> None:
    unet, context = hooked
    one = embeddings()[:1]
    stock = forward(depthcrafter_networks().unet, one[None])
    with context.of(one.repeat(FRAMES, 1)) as hidden:
        assert torch.equal(forward(unet, hidden), stock)


def test_an_embedding_changes_its_own_frame_most(hooked) -> None:
    unet, context = hooked
    with context.of(embeddings()) as hidden:
        before = forward(unet, hidden)
    for frame in range(FRAMES):
        changed = embeddings()
        changed[frame] += 1
        with context.of(changed) as hidden:
            moved = (forward(unet, hidden) - before).abs().mean(dim=(1, 2, 3))
        assert moved[frame] > 0
        if frame > 0:
            # The first frame's embedding is also the temporal context of all, as the network was trained.
            assert moved[frame] > 2 * moved[[other for other in range(FRAMES) if other != frame]].max()


def test_the_network_is_the_stock_one_outside(hooked) -> None:
    unet, context = hooked
    with context.of(embeddings()) as hidden:
        forward(unet, hidden)
    with pytest.raises(RuntimeError), context.of(embeddings()[:2]) as hidden:
        forward(unet, hidden)
    one = embeddings()[None, :1]
    assert torch.equal(forward(unet, one), forward(depthcrafter_networks().unet, one))


@given(first=st.integers(0, 10**7), count=st.integers(1, 8), offset=st.integers(0, 7), length=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_a_frame_has_the_same_noise_in_every_window_and_segment(
    first: int, count: int, offset: int, length: int
) -> None:
    one, other = FrameNoise(7), FrameNoise(7)
    window = one.of_latents(range(first, first + count), 4, 6, 10)
    begin = first + min(offset, count - 1)
    again = other.of_latents(range(begin, begin + length), 4, 6, 10)
    shared = range(begin, min(first + count, begin + length))
    for frame in shared:
        assert torch.equal(window[frame - first], again[frame - begin])


def test_frames_seeds_and_uses_have_noise_of_their_own_and_all_of_it_is_normal() -> None:
    latents = FrameNoise(1).of_latents(range(40), 4, 36, 64)
    pictures = FrameNoise(1).of_pictures(range(2), 48, 64)
    flat = latents.reshape(40, -1)
    between = np.corrcoef(flat.numpy()) - np.eye(40)
    assert np.abs(between).max() < 0.06
    assert abs(float(latents.mean())) < 0.01
    assert abs(float(latents.std()) - 1) < 0.01
    assert abs(float((latents**4).mean()) - 3) < 0.1
    assert not torch.equal(FrameNoise(2).of_latents(range(1), 4, 36, 64), latents[:1])
    assert not torch.equal(pictures.flatten()[:64], flat[0, :64])


def test_noise_of_a_sequence_and_of_a_rolling_window_repeats_with_its_seed() -> None:
    assert torch.equal(SequenceNoise(3).of_latents(range(3), 4, 2, 2), SequenceNoise(3).of_latents(range(3), 4, 2, 2))
    rolling = RollingNoise(3, overlap=2)
    windows = [rolling.of_latents(range(start, start + 6), 4, 2, 2) for start in (0, 4, 8)]
    for before, after in itertools.pairwise(windows):
        assert torch.equal(before[-2:], after[:2])
