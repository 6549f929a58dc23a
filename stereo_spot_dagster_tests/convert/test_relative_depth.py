"""Depth that is known up to scale and shift: one range for each shot, and no jump where a shot is cut into segments."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.convert import estimation, planning
from stereo_spot_dagster.convert.depth import depth_fingerprint, estimate_depth, read_depth
from stereo_spot_dagster.convert.relative_depth import DepthRange, RawDepths
from stereo_spot_dagster.convert.surveys import MOST_PICTURES, shots_across, survey_frames
from stereo_spot_dagster.domain.models import DepthRangeKind
from stereo_spot_dagster.domain.plan import Segment
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.frames import read_plain_rgb, read_rgb
from stereo_spot_dagster.media.plan import plan_segments
from stereo_spot_dagster.media.scan import FrameTable
from stereo_spot_dagster.stereo.depth import DepthEstimator, DepthTraits
from stereo_spot_dagster.stereo.depth.align import Affine

from ..tiny_models import make_tiny_models
from .shots import Estimated, estimate_all, film, plan_of

FOUR = ConversionSettings(depth="cues", segment_frames=40)


class Drifting(DepthEstimator):
    """Brightness as depth, in a scale and shift that are other ones after each reset and then drift."""

    name = "drifting"
    relative = True
    overlap_frames = 8
    resets: list[int]

    def __init__(self) -> None:
        self.resets = []
        self.reset()

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        return width // 2, height // 2

    def reset(self, first_frame: int = 0) -> None:
        self.resets.append(first_frame)
        rng = np.random.default_rng(first_frame + 1)
        self._scale, self._shift, self._seen = rng.uniform(0.5, 20), rng.uniform(-50, 50), 0

    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        maps = []
        for picture in rgb:
            luma = cv2.blur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (15, 15)) / 255
            drift = 1 + 0.003 * self._seen
            maps.append(self._scale * drift * luma + self._shift + 0.02 * self._scale * np.sin(self._seen / 15))
            self._seen += 1
        return np.stack(maps).astype(np.float32)

    def finish(self) -> NDArray[np.float32]:
        return np.empty((0, 1, 1), np.float32)


@pytest.fixture
def drifting(monkeypatch: pytest.MonkeyPatch) -> Drifting:
    """The test's estimator in place of cues."""
    estimator = Drifting()
    monkeypatch.setattr(estimation, "make_depth_estimator", lambda *_: estimator)
    monkeypatch.setattr(planning, "depth_traits", lambda *_: DepthTraits.of(estimator))
    estimation.the_estimator.cache_clear()
    yield estimator
    estimation.the_estimator.cache_clear()


@pytest.fixture(scope="module")
def dolly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 frames of one shot: the camera moves ahead, then stands."""
    return film("dolly", tmp_path_factory.mktemp("films") / "dolly.mp4")


def assert_no_seam_shows(cut_up: Estimated, whole: Estimated) -> None:
    """What changes at a seam is no more than what changes beside it, or there if the shot is not cut up."""
    assert len(cut_up.seams()) == 3
    for segment, (change, beside) in zip(cut_up.plan.segments[1:], cut_up.seams(), strict=True):
        assert change <= max(beside, 1.1 * float(whole.changes[segment.first_frame - 1]))


def uncut(settings: ConversionSettings) -> ConversionSettings:
    return settings.model_copy(update={"segment_frames": 1000})


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["dolly", "walkers"])
def test_depth_from_cues_does_not_jump_inside_a_shot(tmp_path: Path, scene: str) -> None:
    clip = film(scene, tmp_path / "clip.mp4")
    cut_up, whole = estimate_all(tmp_path / "a", clip, FOUR), estimate_all(tmp_path / "b", clip, uncut(FOUR))
    assert cut_up.plan.surveys == ()
    assert_no_seam_shows(cut_up, whole)


def test_an_estimator_with_another_scale_in_each_segment_does_not_jump(
    tmp_path: Path, dolly: Path, drifting: Drifting
) -> None:
    cut_up, whole = estimate_all(tmp_path / "a", dolly, FOUR), estimate_all(tmp_path / "b", dolly, uncut(FOUR))
    assert_no_seam_shows(cut_up, whole)


def test_the_survey_is_estimated_once_and_whatever_the_order_of_segments(
    tmp_path: Path, dolly: Path, drifting: Drifting
) -> None:
    forwards = estimate_all(tmp_path / "a", dolly, FOUR)
    # Four segments that begin at 0, 32, 72 and 112 with their overlap, and the survey, after the first of them.
    assert drifting.resets == [0, 0, 0, 32, 72, 112]
    workspace, plan = plan_of(tmp_path / "b", dolly, FOUR)
    for segment in reversed(plan.segments):
        record, _ = estimate_depth(workspace, FOUR, plan, workspace.frames(plan), segment)
        maps = np.stack(list(read_depth(Path(workspace.store.locate(record.key)), record)))
        np.testing.assert_array_equal(maps, forwards.depth[segment.first_frame : segment.end_frame])


@pytest.mark.slow
@pytest.mark.parametrize("stabilise", [True, False])
def test_a_picture_model_does_not_jump_inside_a_shot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stabilise: bool
) -> None:
    clip = film("sideways", tmp_path / "clip.mp4", frames=112)
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(make_tiny_models(tmp_path / "models")))
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cpu")
    estimation.the_estimator.cache_clear()
    settings = ConversionSettings(
        depth="depth-anything-v2-small",
        segment_frames=28,
        picture_depth={"side": 98, "stabilise": stabilise},  # type: ignore[arg-type]
    )
    cut_up, whole = estimate_all(tmp_path / "a", clip, settings), estimate_all(tmp_path / "b", clip, uncut(settings))
    assert_no_seam_shows(cut_up, whole)
    assert cut_up.plan.depth_digest
    assert {record.device for record in cut_up.records} == {"CPU"}


def test_a_survey_holds_the_very_pictures_that_the_segments_see(
    tmp_path: Path, dolly: Path, drifting: Drifting
) -> None:
    workspace, plan = plan_of(tmp_path / "home", dolly, FOUR)
    (survey,) = plan.surveys
    assert survey.frames == (0, 20, 39, 60, 79, 100, 119, 140, 159)
    size = drifting.working_size(plan.picture.width, plan.picture.height)
    stored = list(read_plain_rgb(Path(workspace.store.locate(survey.key)), size=size, count=9, name="survey"))
    for segment in plan.segments:
        cut = Path(workspace.store.locate(segment.cut_key))
        count = segment.overlap_frames + segment.frames
        seen = list(read_rgb(cut, plan.picture, size=size, skip=segment.skip_frames, count=count, name="cut"))
        inside = [number for number in survey.frames if segment.first_needed <= number < segment.end_frame]
        assert len(inside) >= 2
        for number in inside:
            np.testing.assert_array_equal(seen[number - segment.first_needed], stored[survey.frames.index(number)])


def test_each_frame_is_told_once_as_it_is_estimated(tmp_path: Path, dolly: Path, drifting: Drifting) -> None:
    workspace, plan = plan_of(tmp_path / "home", dolly, FOUR)
    told: list[int] = []
    estimate_depth(workspace, FOUR, plan, workspace.frames(plan), plan.segments[1], told.append)
    assert told == list(range(1, 41))


def test_a_plan_whose_survey_is_lost_is_made_again(tmp_path: Path, dolly: Path, drifting: Drifting) -> None:
    workspace, plan = plan_of(tmp_path / "home", dolly, FOUR)
    source = workspace.source(plan.video)
    assert planning.existing_plan(workspace, source) == plan
    workspace.store.delete_prefix(plan.surveys[0].key)
    assert planning.existing_plan(workspace, source) is None


def test_each_shot_inside_a_segment_has_its_own_range(tmp_path: Path, drifting: Drifting) -> None:
    clip = film("cut", tmp_path / "cut.mp4", frames=60)
    made = estimate_all(tmp_path / "home", clip, uncut(FOUR))
    assert np.flatnonzero(made.workspace.frames(made.plan).scene_start).tolist() == [0, 30]
    assert made.plan.surveys == ()
    for shot in (made.depth[:30], made.depth[30:]):
        assert np.percentile(shot, 0.05) < 0.01
        assert np.percentile(shot, 99.95) > 0.99


def test_one_hot_pixel_does_not_flatten_the_rest() -> None:
    samples = np.linspace(0, 1, 20_000, dtype=np.float32)
    samples[7] = 1e6
    found = DepthRange.of(samples)
    assert found.apply(np.float32([[0.1, 0.9]]), Affine()) == pytest.approx(np.array([[0.1, 0.9]]), abs=0.01)


@pytest.mark.parametrize(("kind", "rest"), [(DepthRangeKind.PERCENTILES, 1.0), (DepthRangeKind.EXTREMES, 0.01)])
def test_a_hot_pixel_counts_only_where_the_extremes_are_asked_for(
    tmp_path: Path, kind: DepthRangeKind, rest: float
) -> None:
    maps = np.broadcast_to(np.linspace(0, 1, 96, dtype=np.float32), (5, 54, 96)).copy()
    # Not on the sparse grid.
    maps[2, 0, 0] = 100
    segment = plan_segments(table(5, ()), 8, 1)[0]
    raw = RawDepths(tmp_path / "raw", segment, (), kind)
    assert list(raw.write(iter(maps))) == [1, 2, 3, 4, 5]
    made = np.stack(list(raw.normalised(table(5, ()), lambda _: pytest.fail("there is no survey"))))
    assert made[2, 0, 0] == 1
    assert made.min() == 0
    assert made[0].max() == pytest.approx(rest, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 7.5, -3e6])
def test_a_constant_picture_has_depth_one_half(value: float) -> None:
    flat = np.full((4, 5), value, np.float32)
    np.testing.assert_array_equal(DepthRange.of(flat).apply(flat, Affine()), np.full((4, 5), 0.5, np.float32))


def table(frames: int, cuts: tuple[int, ...]) -> FrameTable:
    starts = np.isin(np.arange(frames), [0, *cuts])
    base = TimeBase(numerator=1, denominator=25)
    return FrameTable(base, np.arange(frames), np.zeros(frames, np.uint32), starts, 1)


def test_only_shots_in_several_segments_are_surveyed() -> None:
    frames = table(400, (90, 130, 300))
    segments = plan_segments(frames, 100, 8)
    assert [segment.first_frame for segment in segments] == [0, 90, 190, 300]
    assert shots_across(segments, frames.scene_start) == [(130, 300)]
    assert survey_frames(segments, 130, 300) == (130, 160, 189, 245, 299)


def test_a_survey_of_a_very_long_shot_keeps_the_pictures_at_the_seams() -> None:
    segments = plan_segments(table(80 * 50, ()), 50, 8)
    found = survey_frames(segments, 0, 80 * 50)
    assert len(found) == MOST_PICTURES
    assert {segment.first_frame - 1 for segment in segments[1:]} < set(found)


@pytest.mark.parametrize("frames", [2, 9, 17])
def test_every_segment_of_a_surveyed_shot_sees_a_surveyed_picture(frames: int) -> None:
    segments: tuple[Segment, ...] = plan_segments(table(frames, ()), 8, 1)
    found = survey_frames(segments, 0, frames)
    for segment in segments:
        assert any(segment.first_needed <= number < segment.end_frame for number in found)


def test_depth_of_files_and_networks_is_stored_under_names_without_their_paths(tmp_path: Path, dolly: Path) -> None:
    _, plan = plan_of(tmp_path / "home", dolly, FOUR)
    named = plan.model_copy(update={"depth": "onnx:/home/somebody/secret.onnx"})
    assert depth_fingerprint(named).startswith("onnx-")
    assert "somebody" not in depth_fingerprint(named)
