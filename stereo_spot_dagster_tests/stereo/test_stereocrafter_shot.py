"""A shot in chunks: every frame once, in order, each chunk going on from the one before, without a pulse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.inpaint.chunks import ChunkRules, ShotInpainting
from stereo_spot_dagster.stereo.inpaint.composite import match_colours

from .model_stubs import StubModel

HEIGHT, WIDTH = 2, 3
MASK = np.array([[1, 0, 0.5], [0, 0.49, 1]], np.float32)
HOLE = MASK >= 0.5


def picture(frame: int) -> NDArray[np.uint8]:
    shown = np.full((HEIGHT, WIDTH, 3), (frame * 7) % 251, np.uint8)
    shown[HOLE] = 0
    return shown


def run(model: StubModel, rules: ChunkRules, count: int, first: int = 0) -> NDArray[np.float32]:
    shot = ShotInpainting(model, rules, first)
    ready: list[NDArray[np.float32]] = []
    for frame in range(count):
        ready += shot.push(picture(frame), MASK)
        assert len(ready) <= frame + 1
    ready += shot.finish()
    return np.stack(ready) if ready else np.empty((0, HEIGHT, WIDTH, 3), np.float32)


def check_frames(made: NDArray[np.float32], count: int, first: int = 0) -> None:
    """Visible pixels are those that were seen, and holes say which frame they belong to."""
    assert len(made) == count
    for frame, result in enumerate(made):
        np.testing.assert_allclose(result[HOLE], (first + frame) / 1024, atol=1e-6)
        np.testing.assert_array_equal(result[~HOLE], picture(frame)[~HOLE].astype(np.float32) / 255)


def rules(overlap: int, *, fade: bool = True, full_tail: bool = True, match: bool = False) -> ChunkRules:
    return ChunkRules(overlap, fade, full_tail, paste=True, match_colour=match)


@pytest.mark.parametrize(("chunk", "overlap"), [(23, 3), (8, 4), (8, 2), (5, 0), (3, 1), (2, 1), (1, 0), (23, 11)])
@pytest.mark.parametrize("fade", [True, False])
@pytest.mark.parametrize("full_tail", [True, False])
def test_every_frame_comes_out_once_and_in_order(chunk: int, overlap: int, fade: bool, full_tail: bool) -> None:
    for count in [*range(1, 60), 99, 100, 101, 199, 200]:
        model = StubModel(chunk)
        check_frames(run(model, rules(overlap, fade=fade, full_tail=full_tail), count, first=11), count, first=11)
        assert max(len(frames) for frames, _ in model.asked) <= chunk


@given(
    chunk=st.integers(1, 30),
    overlap=st.integers(0, 15),
    count=st.integers(0, 200),
    fade=st.booleans(),
    full_tail=st.booleans(),
    shrinks=st.dictionaries(st.integers(0, 12), st.integers(1, 25), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_no_frame_is_lost_or_doubled_when_the_memory_runs_out(
    chunk: int, overlap: int, count: int, fade: bool, full_tail: bool, shrinks: dict[int, int]
) -> None:
    overlap = min(overlap, chunk // 2)
    model = StubModel(chunk, shrinks=shrinks)
    check_frames(run(model, rules(overlap, fade=fade, full_tail=full_tail), count), count)


@pytest.mark.parametrize("call", range(12))
@pytest.mark.parametrize("full_tail", [True, False])
def test_a_shot_goes_on_when_its_chunks_must_become_shorter_twice(call: int, full_tail: bool) -> None:
    model = StubModel(23, shrinks={call: 8, call + 2: 3})
    check_frames(run(model, rules(3, full_tail=full_tail), 100), 100)


def test_the_last_chunk_is_as_long_as_the_others_or_as_published() -> None:
    def chunks(count: int, full_tail: bool) -> list[tuple[int, int]]:
        model = StubModel(23)
        run(model, rules(3, fade=False, full_tail=full_tail), count)
        return [(frames.start, len(frames)) for frames, _ in model.asked]

    assert chunks(24, full_tail=True) == [(0, 23), (1, 23)]
    assert chunks(44, full_tail=True) == [(0, 23), (20, 23), (21, 23)]
    assert chunks(24, full_tail=False) == [(0, 23), (4, 20)]
    assert chunks(44, full_tail=False) == [(0, 23), (20, 23), (24, 20)]
    assert chunks(100, full_tail=False) == [(0, 23), (20, 23), (40, 23), (60, 23), (80, 20)]


def test_chunks_without_overlap_are_independent_to_the_last() -> None:
    model = StubModel(8)
    run(model, rules(0), 20)
    assert [(frames.start, len(frames)) for frames, _ in model.asked] == [(0, 8), (8, 8), (16, 4)]
    for frames, pictures in model.asked:
        assert all((shown == picture(frame)).all() for frame, shown in zip(frames, pictures, strict=True))


def of_chunk(number: int, pictures: NDArray, masks: NDArray, frames: Sequence[int]) -> NDArray[np.float32]:
    return np.full(pictures.shape, number / 10, np.float32)


def test_shared_frames_are_cross_faded() -> None:
    made = run(StubModel(8, of_chunk), rules(3), 13)[:, 0, 0, 0]
    np.testing.assert_allclose(made, [0] * 5 + [0.025, 0.05, 0.075] + [0.1] * 5, atol=1e-6)
    hard = run(StubModel(8, of_chunk), rules(3, fade=False), 13)[:, 0, 0, 0]
    np.testing.assert_allclose(hard, [0] * 8 + [0.1] * 5, atol=1e-6)


@pytest.mark.parametrize("fade", [True, False])
def test_a_chunk_is_given_what_was_made_of_the_frames_before_it(fade: bool) -> None:
    model = StubModel(8, of_chunk)
    made = run(model, rules(3, fade=fade), 40)
    before = -1
    for number, (frames, pictures) in enumerate(model.asked[:-1]):
        for frame, shown in zip(frames, pictures, strict=True):
            if frame > before:
                np.testing.assert_array_equal(shown, picture(frame))
                continue
            # What comes out at a joint is a mixture with this chunk's own, which is not known yet.
            if fade:
                np.testing.assert_array_equal(shown[HOLE], np.rint(np.float32((number - 1) / 10) * 255))
            else:
                np.testing.assert_array_equal(shown, np.rint(made[frame] * 255))
        before = frames[-1]
    # The last chunk reaches back to frames that are out already: those it is given as they came out.
    frames, pictures = model.asked[-1]
    for frame in [frame for frame in frames if frame <= before - 3 * fade]:
        np.testing.assert_array_equal(pictures[frame - frames[0]], np.rint(made[frame] * 255))


def test_only_two_chunks_of_a_long_shot_are_kept() -> None:
    shot = ShotInpainting(StubModel(23), rules(3), 0)
    most = done = 0
    for frame in range(2000):
        done += len(shot.push(picture(frame), MASK))
        most = max(most, len(shot._frames))
        assert frame - done <= 2 * 23
    assert done + len(shot.finish()) == 2000
    assert most <= 2 * 23


SIZE = (64, 96)
HOLES = np.zeros(SIZE, np.float32)
HOLES[10:50, 40:60] = 1


def pulse(rule: ChunkRules) -> float:
    """How much the mean colour of filled pixels moves with the period of the chunks."""
    rng = np.random.default_rng(0)
    shown = np.full((*SIZE, 3), 120, np.uint8)
    shown[HOLES >= 0.5] = 0
    drift = rng.uniform(-0.08, 0.08, (100, 3)).astype(np.float32)

    def drifting(number: int, pictures: NDArray, masks: NDArray, frames: Sequence[int]) -> NDArray[np.float32]:
        return np.broadcast_to(0.45 + drift[number], pictures.shape).astype(np.float32)

    shot = ShotInpainting(StubModel(8, drifting), rule, 0)
    made: list[NDArray[np.float32]] = []
    for _ in range(72):
        made += shot.push(shown, HOLES)
    made += shot.finish()
    means = np.array([result[HOLES >= 0.5].mean() for result in made])
    spectrum = np.abs(np.fft.rfft(means - means.mean())) / len(means)
    # A period of 6 frames: 72 / 6.
    return float(spectrum[12]) + float(spectrum[6:12].max())


def test_what_a_chunk_adds_to_all_colours_does_not_show_as_a_pulse() -> None:
    hard = pulse(ChunkRules(2, fade=False, match_colour=False))
    calm = pulse(ChunkRules(2))
    # Measured 0.006 and 1e-8 of full scale.
    assert hard > 0.002
    assert calm < hard / 10


def test_a_red_cast_is_removed_and_texture_stays() -> None:
    rng = np.random.default_rng(0)
    scene = np.clip(0.5 + 0.1 * rng.standard_normal((*SIZE, 3)), 0, 1).astype(np.float32)
    shown = np.rint(scene * 255).astype(np.uint8)
    shown[HOLES >= 0.5] = 0
    cast = np.array([0.12, -0.02, -0.05], np.float32)
    matched = match_colours(np.clip(scene + cast, 0, 1), shown, HOLES)
    hole = HOLES >= 0.5
    off = matched[hole] - scene[hole]
    # Measured 3e-5 and 2e-5 of full scale.
    assert np.abs(off.mean(axis=0)).max() < 0.01
    assert off.std() < 0.01


def test_a_picture_that_is_all_hole_keeps_what_was_made() -> None:
    made = np.full((*SIZE, 3), 0.3, np.float32)
    matched = match_colours(made, np.zeros((*SIZE, 3), np.uint8), np.ones(SIZE, np.float32))
    np.testing.assert_array_equal(matched, made)
