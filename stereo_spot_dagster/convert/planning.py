"""Makes a video's segment plan and its proved segment files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..domain.errors import InputRefused, ProofFailed
from ..domain.models import DepthKind, parse_depth
from ..domain.plan import Segment, SegmentPlan, ShotSurvey
from ..domain.probe import ProbeReport, WorkingPicture
from ..domain.video import SourceRecord
from ..media import cut
from ..media.container import plan_mux, refuse_losses
from ..media.encode import depth_warning
from ..media.hdr import codec_for, codec_warning
from ..media.picture import working_picture
from ..media.plan import choose_part, plan_segments
from ..media.rehearsal import rehearse
from ..media.requirements import check_result
from ..media.scan import FrameTable, Scan, scan
from ..media.tools import find_tools, version
from ..stereo.depth import DepthTraits, depth_traits
from ..storage import keys
from .choice import ModelChoice, choose_models
from .sources import sha256_of
from .supplied_depth import check_frames, supplied_depth_of
from .surveys import make_surveys
from .workspace import Workspace

# Of a video that comes with its depth; else the depth estimator says.
_WORK_S = 150.0
# Measured on two cores with `cues`, warp and x264 medium: 16 million luma pixels a second for a full side by side.
_PIXELS_PER_S = 16e6
_SHORTEST, _LONGEST = 120, 3000
# Level 6.2, the highest of both codecs.
_LARGEST_LEVEL_PIXELS = 8192 * 4352

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class _Material:
    """What segment files are cut from: the source itself or its lossless copy."""

    path: Path
    report: ProbeReport
    picture: WorkingPicture
    frames: FrameTable


def existing_plan(workspace: Workspace, source: SourceRecord) -> SegmentPlan | None:
    """The plan that is there already, if it fits the settings and all of its files are in the store."""
    if not workspace.store.exists(keys.manifest(source.video)):
        return None
    plan = workspace.plan(source.video)
    fits = plan.settings_fingerprint == source.settings.plan_fingerprint and plan.source_sha256 == source.sha256
    needed = [plan.frames_key, *(segment.cut_key for segment in plan.segments), *(s.key for s in plan.surveys)]
    return plan if fits and not workspace.store.missing(needed) else None


def make_plan(workspace: Workspace, source: SourceRecord, progress: Progress | None = None) -> SegmentPlan:
    """Decode the source once, plan its segments, cut them, prove each cut, and store all of it.

    Args:
        workspace: store and scratch.
        source: the accepted source.
        progress: called with (what is being done, frames or segments done, total if known).

    Raises:
        InputRefused: it turns out that nothing can be decoded, that the file is cut off, or that the depth that came
            with it has another number of pictures.
        InvalidSettings: the container that was asked for cannot hold the codec, or a model cannot be used.
        ToolUnavailable: this ffmpeg lacks a decoder or an encoder that the video needs.
        ProofFailed: the cut files do not hold the planned frames.
    """
    report = source.probe
    # Decided again when it is joined; what this machine cannot do is said before the long work.
    mux = check_result(report, source.settings)
    choice, traits = _choose(source)
    with workspace.folder() as folder:
        original = workspace.store.fetch(source.key, folder)
        picture = working_picture(report.video)
        expected = _expected_frames(report)
        seen = scan(original, report, picture, folder, lambda done: _tell(progress, "planning", done, expected))
        damage = rehearse(original, report, mux, folder)
        if source.settings.strict:
            refuse_losses(report, plan_mux(report, source.settings.container, source.settings.codec, damage))
        if traits is None:
            check_frames(source, len(seen.frames))
        first, end = choose_part(seen.frames, source.settings.start_s, source.settings.end_s, source.name)
        frames = seen.frames.part(first, end)
        segments = plan_segments(frames, _target_frames(source, picture, traits), _overlap_frames(traits))
        tell = lambda done: _tell(progress, "cutting", done, len(segments))  # noqa: E731 a one-line adapter
        mode, material, proved = _cut(original, source, picture, seen, frames, segments, first, folder, tell)
        stored = tuple(_store_cut(workspace, source.video, segment, found) for segment, found in proved)
        workspace.store.put_bytes(material.frames.to_bytes(), keys.frame_table(source.video))
        surveys = _surveys(workspace, source.video, material, stored, traits)
        plan = SegmentPlan(
            video=source.video,
            source_sha256=source.sha256,
            settings_fingerprint=source.settings.plan_fingerprint,
            time_base=frames.time_base,
            frames=len(frames),
            first_pts=int(frames.pts[0]),
            first_source_frame=first,
            end_pts=segments[-1].end_pts,
            picture=material.picture,
            depth=choice.depth,
            depth_reason=choice.depth_reason,
            depth_digest=choice.depth_digest,
            inpaint=choice.inpaint,
            inpaint_reason=choice.inpaint_reason,
            surveys=surveys,
            mode=mode,
            frames_key=keys.frame_table(source.video),
            segments=stored,
            damage=damage,
            warnings=report.warnings + seen.warnings + _result_warnings(source, picture),
            tool=version(find_tools().ffmpeg),
        )
        workspace.save(plan, keys.manifest(source.video))
    return plan


def _choose(source: SourceRecord) -> tuple[ModelChoice, DepthTraits | None]:
    """The models, and what the plan must know of the depth estimator; None if depth came with the video."""
    choice = choose_models(source.settings)
    if parse_depth(choice.depth).kind is DepthKind.FILE:
        return replace(choice, depth_digest=supplied_depth_of(source).sha256[:16]), None
    return choice, depth_traits(choice.depth, source.settings.depth_options(choice.depth))


def _overlap_frames(traits: DepthTraits | None) -> int:
    if traits is None:
        return 0
    # Where segments find their common scale by a survey, they share at least the frame at the seam.
    return max(traits.overlap_frames, int(traits.relative))


def _surveys(
    workspace: Workspace,
    video: str,
    material: _Material,
    segments: tuple[Segment, ...],
    traits: DepthTraits | None,
) -> tuple[ShotSurvey, ...]:
    if traits is None or not traits.relative:
        return ()
    size = traits.survey_size(material.picture.width, material.picture.height)
    return make_surveys(workspace, video, material.picture, material.frames.scene_start, segments, size)


def _cut(
    original: Path,
    source: SourceRecord,
    picture: WorkingPicture,
    seen: Scan,
    frames: FrameTable,
    segments: tuple[Segment, ...],
    first: int,
    folder: Path,
    tell: Callable[[int], None],
) -> tuple[Literal["copy", "mezzanine"], _Material, list[tuple[Segment, cut.CutFile]]]:
    """Stream copies where they can be proved, else cuts of a lossless mezzanine, with the same proof."""
    material = _Material(original, source.probe, picture, frames)
    if not picture.temporal and seen.uniform and not seen.damaged:
        paths = cut.copy_cuts(original, source.probe, seen.packets, frames, segments, folder)
        if paths is not None:
            try:
                return "copy", material, _prove(paths, segments, material, folder, source.name, tell)
            except ProofFailed:
                # Open GOP, intra refresh, hidden frames: the stream does not decode from its key frames alone.
                for path in paths:
                    path.unlink(missing_ok=True)
    mezzanine = folder / "mezzanine.mkv"
    # What a decoder makes up for damaged data is the same again only in one thread and from the beginning.
    how = {"threads": 1} if seen.damaged else {}
    cut.make_mezzanine(original, source.probe, picture, segments, first, mezzanine, **how)
    table, packets = cut.scan_mezzanine(mezzanine, frames, folder, source.name)
    if seen.uniform and not (table.crc == frames.crc).all():
        if seen.damaged:
            cause = "its video is damaged so that it decodes differently each time"
            raise InputRefused(source.name, cause, "Repair it, or convert it to H.264 first")
        raise ProofFailed(source.name, "its lossless copy is not equal to it")
    plain = picture.model_copy(update={"filters": (), "temporal": False})
    report = source.probe.model_copy(update={"video": source.probe.video.model_copy(update={"index": 0})})
    material = _Material(mezzanine, report, plain, table)
    paths = cut.copy_cuts(mezzanine, report, packets, table, segments, folder)
    if paths is None:
        raise ProofFailed(source.name, "its lossless copy could not be cut")
    return "mezzanine", material, _prove(paths, segments, material, folder, source.name, tell)


def _prove(
    paths: list[Path],
    segments: tuple[Segment, ...],
    material: _Material,
    folder: Path,
    name: str,
    tell: Callable[[int], None],
) -> list[tuple[Segment, cut.CutFile]]:
    proved = []
    for path, segment in zip(paths, segments, strict=True):
        found = cut.prove_cut(path, segment, material.frames, material.picture, folder, name)
        proved.append((segment, found))
        tell(len(proved))
    return proved


def _store_cut(workspace: Workspace, video: str, segment: Segment, found: cut.CutFile) -> Segment:
    key = keys.cut(video, segment)
    checksum = sha256_of(found.path)
    workspace.store.put(found.path, key)
    return segment.model_copy(update={"cut_key": key, "skip_frames": found.skip_frames, "sha256": checksum})


def _result_warnings(source: SourceRecord, picture: WorkingPicture) -> tuple[str, ...]:
    """What is odd about the files that will be made, in words."""
    sizes = [layout.packed_size(picture.width, picture.height) for layout in source.settings.layouts]
    too_large = [
        f"its result of {width}x{height} is larger than any H.264 or HEVC level: many players cannot show it"
        for width, height in dict.fromkeys(sizes)
        if width * height > _LARGEST_LEVEL_PIXELS
    ]
    video, wanted = source.probe.video, source.settings.codec
    shallow = depth_warning(picture.pixel_format, codec_for(video, wanted))
    return codec_warning(video, wanted) + shallow + tuple(too_large)


def _target_frames(source: SourceRecord, picture: WorkingPicture, traits: DepthTraits | None) -> int:
    """A run shall be minutes of work: start-up is then a few percent of it, and a lost worker costs little."""
    if source.settings.segment_frames:
        return source.settings.segment_frames
    work_s, frame_s = _WORK_S, picture.width * picture.height / _PIXELS_PER_S
    if traits is not None:
        work_s, frame_s = traits.segment_work_s, frame_s + 1 / traits.frames_per_s
    return round(min(max(work_s / frame_s, _SHORTEST), _LONGEST))


def _expected_frames(report: ProbeReport) -> int | None:
    """A guess, for a progress bar only."""
    duration = report.video.duration_s or report.duration_s
    return round(duration * float(report.video.frame_rate)) if duration else None


def _tell(progress: Progress | None, what: str, done: int, total: int | None) -> None:
    if progress:
        progress(what, done, total)
