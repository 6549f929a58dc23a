"""A conversion without depth: each picture twice, side by side. It takes the media layer's path from file to file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stereo_spot_dagster.domain.checks import CheckOutcome
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.domain.plan import Segment, SegmentPlan
from stereo_spot_dagster.domain.probe import ProbeReport, WorkingPicture
from stereo_spot_dagster.domain.settings import Codec, Container
from stereo_spot_dagster.media.container import plan_mux
from stereo_spot_dagster.media.cut import CutFile, copy_cuts, make_mezzanine, prove_cut, scan_mezzanine
from stereo_spot_dagster.media.encode import EncodeJob, open_encoder
from stereo_spot_dagster.media.frames import read_pictures
from stereo_spot_dagster.media.join import JoinJob, join
from stereo_spot_dagster.media.packets import audio_packets
from stereo_spot_dagster.media.picture import working_picture
from stereo_spot_dagster.media.plan import choose_part, plan_segments
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.media.scan import FrameTable, Scan, scan
from stereo_spot_dagster.verify import Announced, Film, Order, verify


@dataclass(frozen=True)
class Scanned:
    """A source after its one decode."""

    path: Path
    report: ProbeReport
    picture: WorkingPicture
    seen: Scan


@dataclass(frozen=True)
class Cut:
    """Proved segment files and the table that proves them."""

    mode: Literal["copy", "mezzanine"]
    frames: FrameTable
    picture: WorkingPicture
    files: list[CutFile]


def look(path: Path, scratch: Path) -> Scanned:
    report = probe(path)
    picture = working_picture(report.video)
    return Scanned(path, report, picture, scan(path, report, picture, scratch))


def cut_by_copy(source: Scanned, segments: tuple[Segment, ...], scratch: Path, frames: FrameTable | None = None) -> Cut:
    """Raises ProofFailed where the copies do not decode to the planned pictures."""
    frames = frames or source.seen.frames
    paths = copy_cuts(source.path, source.report, source.seen.packets, frames, segments, scratch)
    assert paths is not None
    return Cut("copy", frames, source.picture, _proved(paths, segments, frames, source.picture, scratch))


def cut_by_mezzanine(
    source: Scanned, segments: tuple[Segment, ...], scratch: Path, frames: FrameTable | None = None, first: int = 0
) -> Cut:
    frames = frames or source.seen.frames
    mezzanine = scratch / "mezzanine.mkv"
    make_mezzanine(source.path, source.report, source.picture, segments, first, mezzanine)
    table, packets = scan_mezzanine(mezzanine, frames, scratch, "clip")
    plain = source.picture.model_copy(update={"filters": (), "temporal": False})
    report = source.report.model_copy(update={"video": source.report.video.model_copy(update={"index": 0})})
    paths = copy_cuts(mezzanine, report, packets, table, segments, scratch)
    assert paths is not None
    return Cut("mezzanine", table, plain, _proved(paths, segments, table, plain, scratch))


def convert(
    path: Path,
    scratch: Path,
    container: Container = Container.AUTO,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    segment_frames: int = 16,
) -> tuple[Path, JoinJob, list[CheckOutcome]]:
    """(finished file, the join, what the checks found)."""
    source = look(path, scratch)
    first, end = choose_part(source.seen.frames, start_s, end_s, path.name)
    frames = source.seen.frames.part(first, end)
    segments = plan_segments(frames, segment_frames, 4)
    cut = cut_by_copy(source, segments, scratch, frames)
    encoded = tuple(
        _encode(source, cut, segment, found, scratch) for segment, found in zip(segments, cut.files, strict=True)
    )
    plan = _plan(source, cut, segments, first)
    mux = plan_mux(source.report, container)
    job = JoinJob(
        name=path.name,
        source=path,
        report=source.report,
        plan=plan,
        frames=cut.frames,
        segments=encoded,
        mux=mux,
        stereo_mode="left_right",
        packed_in_stream=False,
        audio=audio_packets(path, source.report, scratch),
        is_part=start_s is not None or end_s is not None,
    )
    target = scratch / f"result.{mux.container.value}"
    join(job, target, scratch)
    return target, job, check(job, target, scratch, start_s, end_s)


def check(
    job: JoinJob, result: Path, scratch: Path, start_s: float | None = None, end_s: float | None = None
) -> list[CheckOutcome]:
    """What an independent comparison of a result with its source finds; losses that the mux plan names are none."""
    kept = {stream.index for stream in (*job.mux.covers, *job.mux.attachments)}
    kept |= {carried.stream.index for carried in job.mux.carried}
    lost = frozenset(stream.index for stream in job.report.others if stream.index not in kept)
    order = Order(
        source=Film(job.source),
        result=Film(result),
        layout=Layout.FULL_SBS,
        start_s=start_s,
        end_s=end_s,
        announced=Announced(lost, job.mux.notices),
    )
    return [finding.outcome for finding in verify(order, scratch).findings]


def _proved(
    paths: list[Path], segments: tuple[Segment, ...], frames: FrameTable, picture: WorkingPicture, scratch: Path
) -> list[CutFile]:
    return [
        prove_cut(path, segment, frames, picture, scratch, "clip")
        for path, segment in zip(paths, segments, strict=True)
    ]


def _encode(source: Scanned, cut: Cut, segment: Segment, found: CutFile, scratch: Path) -> Path:
    picture, pts = cut.picture, cut.frames.pts[segment.first_frame : segment.end_frame]
    job = EncodeJob(
        width=2 * picture.width,
        height=picture.height,
        pixel_format=picture.pixel_format,
        sar=picture.sar,
        tags=picture.tagged,
        codec=Codec.H264,
        crf=18,
        preset="ultrafast",
        time_base=cut.frames.time_base,
        pts=pts - pts[0],
        frame_rate=source.report.video.frame_rate,
        frame_packing=None,
        source=source.report.video,
    )
    target = scratch / f"encoded-{segment.index}.mp4"
    crcs = cut.frames.crc[segment.first_frame : segment.end_frame]
    skip = found.skip_frames + segment.overlap_frames
    with open_encoder(job, target, name="clip") as writer:
        for planes in read_pictures(found.path, picture, skip=skip, crcs=crcs, name="clip"):
            writer.write([np.concatenate((plane, plane), axis=1) for plane in planes])
    return target


def _plan(source: Scanned, cut: Cut, segments: tuple[Segment, ...], first: int) -> SegmentPlan:
    return SegmentPlan(
        video="clip-00000000",
        source_sha256="",
        settings_fingerprint="",
        time_base=cut.frames.time_base,
        frames=len(cut.frames),
        first_pts=int(cut.frames.pts[0]),
        first_source_frame=first,
        end_pts=segments[-1].end_pts,
        picture=cut.picture,
        depth="cues",
        depth_reason="",
        mode=cut.mode,
        frames_key="",
        segments=segments,
    )
