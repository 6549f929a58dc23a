"""Surveys: a few pictures of a shot that spans several segments, by which each of them finds the same depth scale."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import ProofFailed
from ..domain.plan import Segment, SegmentPlan, ShotSurvey
from ..domain.probe import WorkingPicture
from ..media.frames import read_plain_rgb, read_some_rgb, resized, rgb_writer
from ..stereo.depth.align import grid_samples
from ..stereo.depth.base import DepthEstimator
from ..storage import keys
from .estimation import estimate
from .workspace import Workspace

# Pictures that segments share are always surveyed; those in the middle of segments only up to this many in all.
MOST_PICTURES = 100


def shots_across(segments: Sequence[Segment], scene_start: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first frame, end frame) of each shot that lies in more than one segment."""
    starts = np.flatnonzero(scene_start)
    ends = np.append(starts[1:], len(scene_start))
    seams = np.array([segment.first_frame for segment in segments])
    cut_up = [((seams > first) & (seams < end)).any() for first, end in zip(starts, ends, strict=True)]
    return [(int(first), int(end)) for first, end, cut in zip(starts, ends, cut_up, strict=True) if cut]


def survey_frames(segments: Sequence[Segment], first: int, end: int) -> tuple[int, ...]:
    """Numbers of the frames to survey in the shot of frames ``first`` to ``end`` - 1, ascending.

    Its first and last, the last before each segment that begins in it, which that segment sees in its overlap, and one
    in the middle of what each segment has of it.
    """
    parts = [(max(first, s.first_frame), min(end, s.end_frame)) for s in segments]
    parts = [(begin, stop) for begin, stop in parts if begin < stop]
    shared = {first, end - 1, *(begin - 1 for begin, _ in parts if begin > first)}
    middles = sorted({(begin + stop) // 2 for begin, stop in parts} - shared)
    room = max(0, MOST_PICTURES - len(shared))
    if len(middles) > room:
        middles = [middles[(2 * index + 1) * len(middles) // (2 * room)] for index in range(room)]
    return tuple(sorted(shared.union(middles)))


def make_surveys(
    workspace: Workspace,
    video: str,
    picture: WorkingPicture,
    scene_start: NDArray[np.bool_],
    segments: Sequence[Segment],
    size: tuple[int, int],
) -> tuple[ShotSurvey, ...]:
    """Extract the surveys of a planned video from its proved segment files, and store them.

    Args:
        workspace: with the segment files in its store.
        video: its key.
        picture: what the frames of the segment files look like.
        scene_start: ``[N]``, True for the first frame of each shot.
        segments: with their keys.
        size: (width, height) of the pictures, as the depth estimator wants them.

    Raises:
        ProofFailed: what was stored is not what was seen.
    """
    surveys = []
    for first, end in shots_across(segments, scene_start):
        numbers = survey_frames(segments, first, end)
        key = keys.survey(video, first, end, *size)
        with workspace.folder() as folder:
            target = folder / "survey.mkv"
            seen = hashlib.sha256()
            with rgb_writer(target, size, video) as writer:
                for rgb in _pictures(workspace, video, picture, segments, numbers, size, folder):
                    seen.update(rgb)
                    writer.write([rgb])
            stored = hashlib.sha256()
            for rgb in read_plain_rgb(target, size=size, count=len(numbers), name=video):
                stored.update(rgb)
            if stored.digest() != seen.digest():
                raise ProofFailed(
                    video, f"the survey of the shot at frame {first} does not read back as it was written"
                )
            workspace.store.put(target, key)
        width, height = size
        surveys.append(
            ShotSurvey(first_frame=first, end_frame=end, frames=numbers, key=key, width=width, height=height)
        )
    return tuple(surveys)


def survey_samples(
    workspace: Workspace,
    plan: SegmentPlan,
    fingerprint: str,
    survey: ShotSurvey,
    estimator: DepthEstimator,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """``[pictures, S]`` float32: the survey's raw depth on the sparse grid.

    The first segment that needs it estimates it and leaves it in the store; two that do so at once write the same.

    Args:
        workspace: store and scratch.
        plan: with the survey.
        fingerprint: of its depth.
        survey: of a shot.
        estimator: forgets everything first.
        size: (width, height) that it wants. The survey may have been made, without the model at hand, for another one.
    """
    key = keys.survey_depth(plan.video, fingerprint, survey)
    if workspace.store.exists(key):
        with np.load(io.BytesIO(workspace.store.read_bytes(key)), allow_pickle=False) as stored:
            return stored["samples"]
    with workspace.folder() as folder:
        path = workspace.store.fetch(survey.key, folder)
        own_size, count = (survey.width, survey.height), len(survey.frames)
        pictures = (resized(rgb, size) for rgb in read_plain_rgb(path, size=own_size, count=count, name=plan.video))
        maps = estimate(estimator, pictures, np.arange(count) == 0, survey.first_frame)
        samples = np.stack([grid_samples(depth) for depth in maps])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, samples=samples)
    workspace.store.put_bytes(buffer.getvalue(), key)
    return samples


def _pictures(
    workspace: Workspace,
    video: str,
    picture: WorkingPicture,
    segments: Sequence[Segment],
    numbers: Sequence[int],
    size: tuple[int, int],
    folder: Path,
) -> Iterator[NDArray[np.uint8]]:
    for segment in segments:
        inside = [number for number in numbers if segment.first_frame <= number < segment.end_frame]
        if not inside:
            continue
        cut = workspace.store.fetch(segment.cut_key, folder)
        decoded = [segment.skip_frames + number - segment.first_needed for number in inside]
        yield from read_some_rgb(cut, picture, size=size, numbers=decoded, name=video)
