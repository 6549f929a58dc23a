"""Checks what we made against the plan: segments after encoding, files after joining."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from ..domain.checks import CheckOutcome, equal
from ..domain.errors import FfmpegFailed
from ..domain.probe import ColorTags
from ..domain.settings import Codec, Container
from .container import CarriedStream
from .first_picture import packing_in_picture
from .framecrc import read_framecrc
from .join import JoinJob
from .mp4_boxes import moov_is_first
from .packets import PacketList, find_run, list_packets
from .probe import describe
from .process import file_url, run, safe_input

# One tick of MP4's usual 90 kHz clock is allowed for rounding; Matroska's clock has 1 ms.
_TIME_TOLERANCE = {Container.MP4: Fraction(1, 90_000), Container.MKV: Fraction(1, 1000)}
_OFFSET_TOLERANCE = Fraction(11, 10_000)
# Names of one and the same matrix: BT.601's 525 and 625 line variants share their coefficients.
_SAME = {"bt470bg": "smpte170m"}


def check_segment(path: Path, frames: int, size: tuple[int, int], scratch: Path, name: str) -> list[CheckOutcome]:
    """Decode an encoded segment: it must have exactly ``frames`` pictures of ``size`` (width, height)."""
    table = scratch / "encoded.crc"
    node = ffmpeg.output(safe_input(path)["v:0"], file_url(table), format="framecrc", fps_mode="passthrough")
    try:
        messages = run(node, subject=name, timeout_s=300 + 4.0 * frames)
    except FfmpegFailed as error:
        return [CheckOutcome(name="decodes", passed=False, detail=error.cause)]
    rows = read_framecrc(table)
    table.unlink()
    stream = next(iter(describe(path, name)["streams"]), {})
    return [
        CheckOutcome(name="decodes", passed=not messages.strip(), detail=messages.strip()[:300] or "without errors"),
        equal("frame_count", frames, len(rows.crc)),
        equal("frame_size", f"{size[0]}x{size[1]}", f"{stream.get('width')}x{stream.get('height')}"),
    ]


def check_final(job: JoinJob, result: Path, codec: Codec, scratch: Path) -> list[CheckOutcome]:
    """Compare a finished file with its source and plan."""
    document = describe(result, job.name)
    video = next(stream for stream in document["streams"] if stream["codec_type"] == "video")
    audio = [carried for carried in job.mux.carried if carried.stream.kind == "audio"]
    made_audio = [stream["index"] for stream in document["streams"] if stream["codec_type"] == "audio"]
    packets = list_packets(result, [video["index"], *made_audio], scratch, job.name)
    times = np.sort(packets[video["index"]].pts)
    base = packets[video["index"]].time_base
    return [
        equal("final_frame_count", job.plan.frames, len(times)),
        _check_times(job, times, base.tick),
        _check_duration(job, video, document),
        _check_audio(job, packets, audio, made_audio, base.seconds(int(times[0])) if len(times) else Fraction(0)),
        _check_streams(job, document),
        _check_color(job.plan.picture.tagged, video),
        _check_signalling(job, result, video),
        _check_fast_start(job, result),
    ]


def _check_times(job: JoinJob, times: np.ndarray, tick: Fraction) -> CheckOutcome:
    if len(times) != len(job.frames):
        return CheckOutcome(name="frame_times", passed=False, detail=f"{len(times)} times for {len(job.frames)} frames")
    source = job.frames.pts - job.frames.pts[0]
    made = times - times[0]
    errors = [abs(int(a) * job.plan.time_base.tick - int(b) * tick) for a, b in zip(source, made, strict=True)]
    worst = max(errors)
    passed = worst <= _TIME_TOLERANCE[job.mux.container]
    where = errors.index(worst)
    detail = (
        "equal to the source's" if worst == 0 else f"largest difference {float(worst) * 1000:.3f} ms at frame {where}"
    )
    return CheckOutcome(name="frame_times", passed=passed, detail=detail)


def _check_duration(job: JoinJob, video: dict[str, Any], document: dict[str, Any]) -> CheckOutcome:
    """The file must not claim to be longer or shorter than its longest stream."""
    planned = float(job.plan.time_base.seconds(job.plan.end_pts - job.plan.first_pts))
    claimed = float(video.get("duration") or document["format"].get("duration") or 0)
    longest = planned if job.mux.container is Container.MP4 else max(planned, claimed)
    passed = abs(claimed - longest) <= 0.05 + 1.5 / float(job.report.video.frame_rate) or (
        not job.mux.carried and claimed == 0
    )
    return CheckOutcome(name="duration", passed=passed, detail=f"planned {planned:.3f} s, file says {claimed:.3f} s")


def _check_audio(
    job: JoinJob, packets: dict[int, PacketList], source: list[CarriedStream], made: list[int], first_frame: Fraction
) -> CheckOutcome:
    if len(source) != len(made):
        return CheckOutcome(name="audio_identical", passed=False, detail=f"{len(made)} of {len(source)} tracks")
    problems, dropped = [], 0
    copied = [pair for pair in zip(source, made, strict=True) if pair[0].codec == "copy"]
    for carried, number in copied:
        whole = job.audio[carried.stream.index]
        problem = _audio_problem(job, whole, packets[number], first_frame)
        problems += [f"track {number} (source stream {carried.stream.index}) {problem}"] if problem else []
        dropped += len(whole.hashes) - len(packets[number].hashes)
    words = f"{len(copied)} of {len(source)} tracks copied, packets bit-identical"
    words += f", {dropped} outside the picture left out" if dropped else ""
    return CheckOutcome(name="audio_identical", passed=not problems, detail="; ".join(problems) or words)


def _audio_problem(job: JoinJob, whole: PacketList, part: PacketList, first_frame: Fraction) -> str | None:
    """What is wrong with a sound track of the result, in words."""
    start = job.plan.time_base.seconds(job.plan.first_pts)
    if not part.hashes:
        # A part of a film may lie before or behind all of a track.
        return None if job.is_part or not whole.hashes else "is empty"
    follows = part.time(0) - first_frame
    position = find_run(whole, part, start + follows)
    if position is None:
        return "has other packets"
    lost = len(whole.hashes) - len(part.hashes)
    # An edit list may hide packets before the first picture; of a whole film nothing else may be missing.
    if lost and not job.is_part and (lost != position or whole.time(position) > start):
        return f"lacks {lost} packets"
    moved = follows - (whole.time(position) - start)
    return f"is {float(moved) * 1000:+.1f} ms off" if abs(moved) > _OFFSET_TOLERANCE else None


def _check_streams(job: JoinJob, document: dict[str, Any]) -> CheckOutcome:
    def count(kind: str) -> int:
        return sum(stream["codec_type"] == kind for stream in document["streams"])

    subtitles = sum(carried.stream.kind == "subtitle" for carried in job.mux.carried)
    chapters = 0 if job.is_part else job.report.chapters
    problems = []
    if count("subtitle") != subtitles:
        problems.append(f"{count('subtitle')} of {subtitles} subtitle tracks")
    if not job.is_part and len(document.get("chapters", [])) != chapters:
        problems.append(f"{len(document.get('chapters', []))} of {chapters} chapters")
    words = f"{subtitles} subtitle tracks, {chapters} chapters, {len(job.mux.attachments)} attachments"
    return CheckOutcome(name="streams_carried", passed=not problems, detail="; ".join(problems) or words)


def _check_color(tags: ColorTags, video: dict[str, Any]) -> CheckOutcome:
    found = {"matrix": "color_space", "transfer": "color_transfer", "primaries": "color_primaries"}
    problems = []
    for field, key in found.items():
        wanted, made = getattr(tags, field), video.get(key)
        if wanted and _SAME.get(wanted, wanted) != _SAME.get(str(made), made):
            problems.append(f"{field} {made} instead of {wanted}")
    full = video.get("color_range") == "pc"
    if full != tags.full_range:
        problems.append(f"range {'full' if full else 'limited'} instead of {'full' if tags.full_range else 'limited'}")
    words = (
        ", ".join(word for word in (tags.matrix, tags.transfer, tags.primaries) if word) or "untagged, as the source"
    )
    return CheckOutcome(name="color_tags", passed=not problems, detail="; ".join(problems) or words)


_MODE_WORDS = {"left_right": "side by side", "right_left": "side by side", "top_bottom": "top and bottom"}


def _check_signalling(job: JoinJob, result: Path, video: dict[str, Any]) -> CheckOutcome:
    """The container says how the eyes are packed, or the stream does. MP4's st3d box has no word for cross-eyed or
    anaglyph."""
    side_data = {entry.get("side_data_type"): entry for entry in video.get("side_data_list", [])}
    found = str(side_data.get("Stereo 3D", {}).get("type", "none")).lower()
    mode = job.container_mode or ""
    expressible = mode in _MODE_WORDS and (job.mux.container is Container.MKV or mode != "right_left")
    wanted = _MODE_WORDS[mode] if expressible else "none"
    passed = found == wanted or (not expressible and found in ("none", "2d"))
    if job.packed_in_stream:
        found = packing_in_picture(result, video["index"], job.name) or "none"
        wanted = _MODE_WORDS[job.stereo_mode or ""]
        passed = passed and found == wanted
    where = "in the stream" if job.packed_in_stream else "in the container"
    words = f"{found} {where}" if passed else f"{found} instead of {wanted} {where}"
    return CheckOutcome(name="signalling_3d", passed=passed, detail=words)


def _check_fast_start(job: JoinJob, result: Path) -> CheckOutcome:
    if job.mux.container is not Container.MP4:
        return CheckOutcome(name="starts_early", passed=True, detail="Matroska plays from its first byte")
    first = moov_is_first(result)
    return CheckOutcome(
        name="starts_early", passed=first, detail="index first" if first else "the index lies at the end"
    )
