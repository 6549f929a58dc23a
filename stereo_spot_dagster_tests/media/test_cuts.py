"""Cuts are found, and what only looks like one is not."""

from __future__ import annotations

import itertools
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.media.cuts import COPY_SIZE, CutDetector, unlike

from ..stereo.scenes import render

Grays = NDArray[np.uint8]


def shot(name: str, seed: int, frames: int = 12) -> Grays:
    clip = render(name, 128, 72, frames=frames, seed=seed)
    small = [cv2.resize(frame, COPY_SIZE, interpolation=cv2.INTER_AREA) for frame in clip.left]
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]).astype(np.uint8)


def cuts(gray: Grays) -> list[int]:
    detector = CutDetector()
    found = np.concatenate([detector.process(gray), detector.finish()])
    assert len(found) == len(gray)
    return np.flatnonzero(found).tolist()


@pytest.fixture(scope="module")
def edit() -> tuple[Grays, list[int]]:
    """Six shots joined, and where each begins."""
    names = ["sideways", "dolly", "walkers", "pan", "tracking", "still"]
    shots = [shot(name, 300 + index, 5 + 3 * index) for index, name in enumerate(names)]
    starts = np.cumsum([0, *(len(one) for one in shots[:-1])]).tolist()
    return np.concatenate(shots), starts


def test_every_cut_is_found_and_nothing_else(edit: tuple[Grays, list[int]]) -> None:
    gray, starts = edit
    assert cuts(gray) == starts


@pytest.mark.parametrize("name", ["sideways", "dolly", "walkers", "pan", "tracking", "still"])
def test_a_moving_camera_or_moving_things_are_no_cut(name: str) -> None:
    assert cuts(shot(name, 41, 20)) == [0]


def test_a_fast_pan_is_no_cut() -> None:
    wide = cv2.resize(shot("still", 5, 1)[0], (640, 36), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    wide += cv2.GaussianBlur(np.random.default_rng(0).normal(0, 120, wide.shape).astype(np.float32), (0, 0), 2)
    wide = np.clip(wide, 0, 255).astype(np.uint8)
    assert cuts(np.stack([wide[:, x : x + 64] for x in range(0, 560, 4)])) == [0]


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("level", [0, 140, 255])
def test_a_flash_or_a_lost_picture_is_no_cut(length: int, level: int) -> None:
    gray = shot("sideways", 42, 16)
    gray[8 : 8 + length] = np.clip(gray[8 : 8 + length].astype(int) + level, level, 255)
    assert cuts(gray) == [0]


def test_a_cut_right_after_a_flash_is_found() -> None:
    gray = np.concatenate([shot("sideways", 42), shot("dolly", 77)])
    gray[10] = 255
    assert cuts(gray) == [0, 12]


@pytest.mark.parametrize("to_black", [True, False])
def test_a_fade_is_no_cut(to_black: bool) -> None:
    gray = shot("dolly", 43, 24).astype(np.float32)
    strength = np.clip(np.linspace(1.2, 0.0 if to_black else 0.3, 24), 0, 1)[:, None, None]
    assert cuts((gray * strength).astype(np.uint8)) == [0]


def test_noise_does_not_make_cuts(edit: tuple[Grays, list[int]]) -> None:
    gray, starts = edit
    noise = np.random.default_rng(1).normal(0, 4, gray.shape)
    assert cuts(np.clip(gray + noise, 0, 255).astype(np.uint8)) == starts


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=14))
def test_how_frames_are_grouped_into_calls_does_not_matter(edit: tuple[Grays, list[int]], sizes: list[int]) -> None:
    gray, starts = edit
    detector = CutDetector()
    edges = [*np.minimum(np.cumsum([0, *sizes]), len(gray)), len(gray)]
    parts = [detector.process(gray[a:b]) for a, b in itertools.pairwise(edges)]
    assert np.flatnonzero(np.concatenate([*parts, detector.finish()])).tolist() == starts


def test_after_finish_the_detector_starts_anew(edit: tuple[Grays, list[int]]) -> None:
    gray, starts = edit
    detector = CutDetector()
    for _ in range(2):
        found = np.concatenate([detector.process(gray), detector.finish()])
        assert np.flatnonzero(found).tolist() == starts


@pytest.mark.parametrize("size", [(36, 64), (64, 36), (4, 4), (1, 1), (7, 90)])
def test_any_size_and_flat_pictures_are_taken(size: tuple[int, int]) -> None:
    assert cuts(np.full((6, *size), 128, np.uint8)) == [0]
    assert cuts(np.zeros((1, *size), np.uint8)) == [0]
    assert cuts(np.zeros((0, *size), np.uint8)) == []


def test_unlikeness_is_0_for_a_dimmed_copy_and_high_for_another_picture() -> None:
    one, other = (shot("still", seed, 1)[0].astype(np.float32) for seed in (1, 2))
    assert unlike(one, one) == 0
    assert unlike(one, one * np.float32(0.8) + 40) < 0.5 * unlike(one, other)


def test_thousands_of_frames_a_second() -> None:
    gray = np.tile(shot("sideways", 3, 10), (60, 1, 1))
    detector = CutDetector()
    detector.process(gray[:10])
    start = time.perf_counter()
    detector.process(gray)
    assert len(gray) / (time.perf_counter() - start) > 500
