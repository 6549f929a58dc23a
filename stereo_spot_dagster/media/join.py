"""Joins finished segments without re-encoding and muxes them with everything else the source holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from ..domain.plan import SegmentPlan
from ..domain.probe import ProbeReport
from ..domain.settings import Container
from .container import CONTAINER_TAGS, CarriedStream, MuxPlan, cover_file
from .encode import track_timescale
from .mkv_marks import PLACEHOLDER, mark_anaglyph, set_pixel_aspect
from .mp4_boxes import Stereo3dMode, finish_mp4
from .packets import PacketList, find_run, first_sample_time, list_packets
from .process import arguments, file_url, repeated, run, safe_input
from .scan import FrameTable

# Two remuxes are enough: the first measures what ffmpeg's start-time rebasing did, the second proves the cure.
_MAX_REMUXES = 3
_OFFSET_TOLERANCE = Fraction(11, 10_000)

# What mkvmerge notes about a track's coded size and rate: true of the source's pictures, not of ours.
_STATISTICS = [
    f"{name}{language}"
    for name in ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_TAGS")
    for language in ("", "-eng")
]
_ANAGLYPH = "anaglyph_cyan_red"
_STEREO3D = {"left_right": Stereo3dMode.LEFT_RIGHT, "top_bottom": Stereo3dMode.TOP_BOTTOM}


@dataclass(frozen=True)
class JoinJob:
    """What is joined.

    Attributes:
        name: the source's name, for errors.
        source: the source file.
        report: its probe report.
        plan: the segment plan.
        frames: the frame table of the plan.
        segments: the encoded segment files, in order.
        mux: container and streams.
        stereo_mode: Matroska stereo mode of the layout; None for a single eye.
        packed_in_stream: True if the stream carries it already, so that the container must not.
        audio: the source's audio packets by stream index, of the tracks that are copied.
        is_part: True where a start or end was asked for.
    """

    name: str
    source: Path
    report: ProbeReport
    plan: SegmentPlan
    frames: FrameTable
    segments: tuple[Path, ...]
    mux: MuxPlan
    stereo_mode: str | None
    packed_in_stream: bool
    audio: dict[int, PacketList]
    is_part: bool

    @property
    def container_mode(self) -> str | None:
        """The stereo mode that the container shall carry."""
        return None if self.packed_in_stream else self.stereo_mode


@dataclass(frozen=True)
class _Shifts:
    """By how much pictures and sound are moved against each other, in seconds.

    Attributes:
        picture: how much later the pictures are than ffmpeg would have them.
        sound: by source stream index: how much earlier a track is than the rest of the source. Empty but for files in
            which ffmpeg moves some tracks and not others (5.1: Opus beside something else, by its pre-skip).
    """

    picture: Fraction
    sound: dict[int, Fraction]

    def corrected(self, errors: dict[int, Fraction]) -> _Shifts:
        """With the ``errors`` of a mux (how much too late each track was) taken out."""
        common = next(iter(errors.values()))
        own = {index: self.sound.get(index, Fraction(0)) + error - common for index, error in errors.items()}
        return _Shifts(self.picture + common, {index: by for index, by in own.items() if abs(by) > _OFFSET_TOLERANCE})


def join(job: JoinJob, target: Path, scratch: Path) -> None:
    """Write the finished file to ``target``.

    Sound keeps its distance from the picture within 1.1 ms: ffmpeg re-bases inputs in ways that depend on the
    container, so the distance is measured in the result and the mux repeated with the difference taken out.

    Raises:
        FfmpegFailed: the container does not take a stream after all.
    """
    listing = _concat_list(job, scratch)
    muxed = scratch / f"muxed{target.suffix}"
    shifts = _Shifts(_initial_shift(job), {})
    for _ in range(_MAX_REMUXES):
        _mux(job, listing, shifts, muxed, scratch)
        errors = _offset_errors(job, muxed, scratch)
        if all(abs(error) <= _OFFSET_TOLERANCE for error in errors.values()):
            break
        shifts = shifts.corrected(errors)
    if job.mux.container is Container.MP4:
        mode = _STEREO3D.get(job.container_mode or "")
        last = job.frames.last_duration * job.plan.time_base.numerator
        finish_mp4(muxed, target, stereo3d=mode, last_frame_duration=last)
        muxed.unlink()
    else:
        if job.container_mode == _ANAGLYPH:
            mark_anaglyph(muxed)
        if job.plan.picture.sar != 1:
            set_pixel_aspect(muxed, job.plan.picture.sar)
        muxed.replace(target)


def _concat_list(job: JoinJob, scratch: Path) -> Path:
    """An ffconcat script with each segment's exact length: differences of rounded ends, so that none adds up."""
    base, first = job.plan.time_base, job.plan.first_pts
    lines = ["ffconcat version 1.0"]
    for segment, path in zip(job.plan.segments, job.segments, strict=True):
        link = scratch / f"join-{segment.index:06d}{path.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(path.absolute())
        ends = [round(base.seconds(pts - first) * 1_000_000) for pts in (segment.first_pts, segment.end_pts)]
        micros = ends[1] - ends[0]
        lines += [f"file {link.name}", f"duration {micros // 1_000_000}.{micros % 1_000_000:06d}"]
    listing = scratch / "join.ffconcat"
    listing.write_text("\n".join(lines) + "\n", encoding="ascii")
    return listing


def _mux(job: JoinJob, listing: Path, shifts: _Shifts, target: Path, scratch: Path) -> None:
    later = max(shifts.picture, Fraction(0))
    joined = ffmpeg.input(file_url(listing), format="concat", safe=0, itsoffset=_decimal(later))

    def opened(earlier: Fraction) -> Any:
        return safe_input(job.source, itsoffset=_decimal(later - shifts.picture - earlier), **_part_options(job))

    source = opened(Fraction(0))
    moved = {index: opened(earlier) for index, earlier in shifts.sound.items()}

    def build(source_index: int) -> Any:
        streams, options = _streams_and_options(job, joined, source, moved, source_index, scratch)
        if job.is_part:
            # Chapters behind the part would make it claim their length.
            options["t"] = _decimal(_part_length(job) + later)
        made = ffmpeg.output(*streams, file_url(target), **options)
        # ffmpeg sets an input's zero by the streams in use: with its video in use too, it is the file's own. It also
        # keeps the source among the inputs where only its metadata is wanted.
        original = source[str(job.report.video.index)]
        return ffmpeg.merge_outputs(made, ffmpeg.output(original, "pipe:", c="copy", format="null"))

    run(_with_source_index(build, job.source), subject=job.name, timeout_s=_limit_s(job))


def _with_source_index(build: Callable[[int], Any], source: Path) -> Any:
    """``build(i)`` with i an input number that the command line really gives to ``source``."""
    for index in (1, 0):
        node = build(index)
        command = arguments(node)
        inputs = [command[position + 1] for position, word in enumerate(command) if word == "-i"]
        if inputs[index] == file_url(source):
            return node
    raise AssertionError("the source is one of the first two inputs")


def _streams_and_options(
    job: JoinJob, joined: Any, source: Any, moved: dict[int, Any], source_index: int, scratch: Path
) -> tuple[list[Any], dict[str, Any]]:
    mkv = job.mux.container is Container.MKV
    streams = [joined["v:0"]]
    options: dict[str, Any] = {
        "c": "copy",
        "format": "matroska" if mkv else "mp4",
        "map_metadata": source_index,
        "map_chapters": source_index,
        "map_metadata:s:0": f"{source_index}:s:{job.report.video.index}",
        "disposition:0": "default",
        "max_interleave_delta": 0,
        "strict": -2,
    } | repeated("metadata", _film_tags(job))
    if job.is_part:
        options["copypriorss"] = 0
    options |= repeated("metadata:s:0", [f"{name}=" for name in _STATISTICS])
    if mkv and job.container_mode:
        written = PLACEHOLDER if job.container_mode == _ANAGLYPH else job.container_mode
        options["metadata:s:v:0"] = f"stereo_mode={written}"
    if not mkv:
        options["video_track_timescale"] = track_timescale(job.plan.time_base)
        options["movflags"] = "use_metadata_tags" if job.mux.tag_keys else "0"
        options |= _handler_name(0, job.report.video.title)
    for carried in job.mux.carried:
        number = len(streams)
        streams.append(moved.get(carried.stream.index, source)[str(carried.stream.index)])
        options[f"map_metadata:s:{number}"] = f"{source_index}:s:{carried.stream.index}"
        options[f"disposition:{number}"] = "+".join(carried.stream.dispositions) or "0"
        if not mkv:
            options |= _handler_name(number, carried.stream.title)
        if carried.codec != "copy":
            options[f"c:{number}"] = carried.codec
        if carried.repair:
            options[f"filter:{number}"] = carried.repair
    for stream in job.mux.attachments:
        number = len(streams)
        streams.append(source[str(stream.index)])
        options[f"map_metadata:s:{number}"] = f"{source_index}:s:{stream.index}"
    _add_covers(job, streams, options, source, source_index, scratch)
    return streams, options


def _handler_name(number: int, title: str | None) -> dict[str, str]:
    """ffmpeg 5.1 writes no track title into an MP4; players show the handler's name as well."""
    # Numbered in its own way: the film's track has other options of this name.
    return {f"metadata:s:{number}#99": f"handler_name={title}"} if title else {}


def _film_tags(job: JoinJob) -> list[str]:
    """Corrections to the copied tags: those of the source's container go, its time of recording stays.

    ffmpeg 9 joins the times that a QuickTime file says twice with a semicolon and then takes them for no time.
    """
    tags = [f"{name}=" for name in CONTAINER_TAGS]
    recorded = job.report.tags.get("creation_time", "").partition(";")[0]
    return [*tags, f"creation_time={recorded}"] if recorded else tags


def _add_covers(
    job: JoinJob, streams: list[Any], options: dict[str, Any], source: Any, source_index: int, scratch: Path
) -> None:
    """MP4 takes covers as flagged streams; in Matroska a copied cover becomes a second film, so it is attached."""
    if job.mux.container is Container.MP4:
        for stream in job.mux.covers:
            number = len(streams)
            streams.append(source[str(stream.index)])
            options[f"map_metadata:s:{number}"] = f"{source_index}:s:{stream.index}"
            options[f"disposition:{number}"] = "attached_pic"
        return
    pictures: list[str] = []
    for position, stream in enumerate(job.mux.covers):
        mime_type, file_name = cover_file(stream)
        picture = scratch / f"cover-{stream.index}.bin"
        extract = ffmpeg.output(
            safe_input(job.source)[str(stream.index)], file_url(picture), c="copy", format="image2pipe"
        )
        run(extract, subject=job.name, timeout_s=60)
        slot = len(job.mux.attachments) + position
        pictures.append(str(picture))
        options |= repeated(f"metadata:s:t:{slot}", [f"mimetype={mime_type}", f"filename={file_name}"])
    options |= repeated("attach", pictures)


def _part_options(job: JoinJob) -> dict[str, str]:
    """Input options that keep the source's other streams to the converted part; no packet is changed."""
    if not job.is_part:
        return {}
    start = job.plan.time_base.seconds(job.plan.first_pts) - job.report.start_time
    return {"ss": _decimal(start), "t": _decimal(_part_length(job))}


def _part_length(job: JoinJob) -> Fraction:
    return job.plan.time_base.seconds(job.plan.end_pts - job.plan.first_pts)


def _initial_shift(job: JoinJob) -> Fraction:
    """Seconds from the source's own start, which ffmpeg takes for zero, to its first frame."""
    if job.is_part:
        return Fraction(0)
    return job.plan.time_base.seconds(job.plan.first_pts) - job.report.start_time


def _offset_errors(job: JoinJob, muxed: Path, scratch: Path) -> dict[int, Fraction]:
    """How much later than in the source each sound track follows the picture, in seconds, by source stream index.

    Tracks of which nothing can be said are left out.
    """
    sound = {number: carried for number, carried in enumerate(job.mux.carried, 1) if carried.stream.kind == "audio"}
    if not sound:
        return {}
    made = list_packets(muxed, [0, *sound], scratch, job.name)
    first_frame = made[0].time_base.seconds(int(made[0].pts.min()))
    source_frame = job.plan.time_base.seconds(job.plan.first_pts)
    errors: dict[int, Fraction] = {}
    for number, carried in sound.items():
        part = made[number]
        if not part.hashes:
            continue
        follows = part.time(0) - first_frame
        due = _due_time(job, carried, part, source_frame + follows, scratch)
        if due is not None:
            errors[carried.stream.index] = follows - (due - source_frame)
    return errors


def _due_time(
    job: JoinJob, carried: CarriedStream, part: PacketList, expected: Fraction, scratch: Path
) -> Fraction | None:
    """Seconds, in the source's clock, of the first packet of a sound track of the result; None where nobody knows."""
    index = carried.stream.index
    if carried.codec == "copy":
        whole = job.audio[index]
        position = find_run(whole, part, expected)
        return None if position is None else whole.time(position)
    # Sound that had to be converted has other packets: it begins with its first sample, or with the part.
    first = first_sample_time(job.source, index, scratch, job.name)
    if first is None or not job.is_part:
        return first
    return max(first, job.plan.time_base.seconds(job.plan.first_pts))


def _decimal(seconds: Fraction) -> str:
    return f"{float(seconds):.6f}"


def _limit_s(job: JoinJob) -> float:
    size = sum(path.stat().st_size for path in job.segments) + job.report.size_bytes
    return 600 + size / 2e6
