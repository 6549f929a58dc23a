"""Frames come out of the decoder as they went in, whatever is decoded together."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stereo_spot_dagster.stereo.diffusion.autoencoder import Decoder, shared_frames

chunks = st.integers(1, 9).flatmap(lambda chunk: st.tuples(st.just(chunk), st.integers(0, (chunk - 1) // 2)))


def numbered(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32)[:, None, None, None] * torch.ones(4, 1, 2) / 3


def decode(latents: Tensor, chunk: int, shared: int, sizes: list[int], made=lambda part: part * 1.1) -> Tensor:
    decoder = Decoder(made, chunk, shared)
    ready: list[Tensor] = []
    for part in latents.split(sizes):
        ready += decoder.push(part)
    return torch.stack([*ready, *decoder.finish()]) if len(latents) else torch.empty(0, 4, 1, 2)


@given(count=st.integers(0, 40), chunk=chunks, cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=200, deadline=None)
def test_as_many_frames_come_out_as_go_in_each_as_decoded(count: int, chunk: tuple[int, int], cuts: list[int]) -> None:
    latents = numbered(count)
    ends = sorted({min(cut, count) for cut in cuts} | {0, count})
    sizes = [end - begin for begin, end in itertools.pairwise(ends)] or [0]
    assert torch.equal(decode(latents, *chunk, sizes), latents * 1.1)


@pytest.mark.parametrize("chunk", range(1, 12))
@pytest.mark.parametrize("joint", ["fade", "hard"])
def test_any_number_of_frames_comes_out_with_the_shared_frames_of_each_joint(chunk: int, joint: str) -> None:
    for count in range(41):
        latents = numbered(count)
        assert torch.equal(decode(latents, chunk, shared_frames(chunk, joint), [count]), latents * 1.1)


def test_joints_are_faded() -> None:
    calls: list[int] = []

    def made(latents: Tensor) -> Tensor:
        calls.append(len(latents))
        return torch.full((len(latents), 1, 1, 1), float(len(calls)))

    faded = decode(numbered(14), 8, 2, [14], made).flatten().tolist()
    assert calls == [8, 8]
    assert faded == pytest.approx([1] * 6 + [4 / 3, 5 / 3] + [2] * 6)
    calls.clear()
    assert decode(numbered(16), 8, 0, [16], made).flatten().tolist() == [1] * 8 + [2] * 8


@given(count=st.integers(0, 40), at=st.integers(0, 40), chunk=chunks, smaller=st.integers(2, 9))
@settings(max_examples=100, deadline=None)
def test_frames_are_complete_when_less_fits_from_some_frame_on(
    count: int, at: int, chunk: tuple[int, int], smaller: int
) -> None:
    latents, at = numbered(count), min(at, count)
    decoder = Decoder(lambda part: part, *chunk)
    ready = decoder.push(latents[:at])
    decoder.resize(smaller, shared_frames(smaller, "fade"))
    ready += decoder.push(latents[at:]) + decoder.finish()
    assert len(ready) == count
    assert all(torch.equal(made, given) for made, given in zip(ready, latents, strict=True))


def test_each_call_begins_anew_after_the_end() -> None:
    decoder = Decoder(lambda part: part, 8, 2)
    for _ in range(2):
        assert len(decoder.push(numbered(11)) + decoder.finish()) == 11
