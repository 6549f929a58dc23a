"""Judges a converted file against the measured truth of its source; a judgement is a list of problems in words."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence, Packet, sha256_of

_MS = Fraction(1, 1000)
_OFFSET_TOLERANCE = Fraction(11, 10_000)
_DISTANCE_TOLERANCE = Fraction(25, 10_000)
_CUE_TOLERANCE_S = 0.005
_CHAPTER_TOLERANCE_S = 0.025
_TEXT = {"subrip", "mov_text", "webvtt", "text"}
_SAME_MATRIX = {"bt470bg": "smpte170m"}
_HDR_SIDE_DATA = ("Mastering display metadata", "Content light level metadata")
_FLAGS = ("default", "forced", "comment", "dub", "original", "hearing_impaired", "visual_impaired", "lyrics", "karaoke")


@dataclass(frozen=True)
class Case:
    """One awkward file with its measured truth.

    Attributes:
        record: its entry of ``cases.json``.
        path: where it lies, under the name its user gave it.
    """

    record: dict[str, Any]
    path: Path

    @property
    def name(self) -> str:
        return self.record["name"]

    @property
    def verdict(self) -> str:
        return self.record["verdict"]

    @property
    def truth(self) -> dict[str, Any]:
        return self.record["truth"]

    @property
    def video(self) -> dict[str, Any]:
        return self.record["truth"]["video"]


def judge_input(case: Case) -> list[str]:
    """The input is as it was, and nothing was put beside it."""
    problems = [] if sha256_of(case.path) == case.record["sha256"] else ["the input was changed"]
    expected = {case.path.name, *case.record.get("companions", {})}
    beside = {found.name for found in case.path.parent.iterdir()} - expected
    return problems + ([f"left beside the input: {sorted(beside)}"] if beside else [])


def judge_refusal(case: Case, message: str) -> list[str]:
    """A refusal is one sentence that names the cause in fitting words; the file's own name does not count."""
    said = message.replace(case.path.name, "")
    fitting = any(re.search(pattern, said, re.IGNORECASE) for pattern in case.record["error"]["mention"])
    problems = [] if fitting else [f"refused in other words: {message}"]
    return problems + (["a traceback instead of a sentence"] if "Traceback" in message else [])


def judge_result(case: Case, result: Path, warnings: str) -> list[str]:
    """Everything a right full side-by-side result of the case has.

    Args:
        case: the case.
        result: the finished file.
        warnings: what the program said while it worked.
    """
    source, made = Evidence(case.path, case.video["index"]), Evidence(result)
    problems = judge_pictures(case, made) + _times(case, made) + _geometry(case, made) + _color(case, source, made)
    problems += _audio(case, source, made) + _subtitles(case, source, made) + _rest(case, source, made)
    if case.verdict == "warn" and not warnings.strip():
        problems.append("nothing was said about what is odd")
    return problems


def judge_pictures(case: Case, made: Evidence) -> list[str]:
    """Both eyes show the planned frames in their order, told by the number that is drawn into each."""
    pictures, complaints = made.gray_pictures()
    problems = [f"it does not decode cleanly: {complaints[:200]}"] if complaints.strip() else []
    if len(pictures) != case.video["frames"]:
        return [*problems, f"{len(pictures)} frames instead of {case.video['frames']}"]
    barcode = case.record["barcode"]
    if barcode is None:
        return problems
    wanted = np.array(case.video["barcodes"])
    bits = (wanted[:, None] >> np.arange(barcode["bits"] - 1, -1, -1)) & 1
    middle = pictures.shape[2] // 2
    left = white_shares(pictures[:, :, :middle], barcode)
    right = white_shares(pictures[:, :, middle:], barcode)
    wrong_left = np.flatnonzero(((left >= 0.5) != bits).any(axis=1))
    # Holes of the second eye are filled from their surroundings: a strip that is neither white nor black says nothing.
    readable = (right <= 0.3) | (right >= 0.7)
    wrong_right = np.flatnonzero((readable & ((right >= 0.5) != bits)).any(axis=1))
    problems += [f"left eye shows other frames at {wrong_left[:5].tolist()}"] if len(wrong_left) else []
    problems += [f"right eye shows other frames at {wrong_right[:5].tolist()}"] if len(wrong_right) else []
    if readable.mean() < 0.5:
        problems.append(f"only {readable.mean():.0%} of the right eye's strips can be read")
    return problems


def white_shares(eye: NDArray[np.uint8], barcode: dict[str, int]) -> NDArray[np.float64]:
    """``[T, bits]`` share of white columns in the middle 70 % of each strip of ``[T, H, W]`` luma."""
    height, width = eye.shape[1:]
    scale = height / barcode["frame_h"]
    start, end = int(width * 0.15), max(int(width * 0.85), int(width * 0.15) + 1)
    strips = []
    for bit in range(barcode["bits"]):
        # The middle rows of the strip: its edges are blurred by lossy coding.
        top = min(int((bit * barcode["bar_h"] + 1) * scale), height - 1)
        bottom = max(top + 1, int(((bit + 1) * barcode["bar_h"] - 1) * scale))
        strips.append(eye[:, top:bottom, start:end].mean(axis=1))
    columns = np.stack(strips, axis=1)
    low, high = np.percentile(columns.mean(axis=2), [2, 98])
    threshold = (low + high) / 2 if high - low > 40 else 127
    return (columns > threshold).mean(axis=2)


def _times(case: Case, made: Evidence) -> list[str]:
    times, video = made.frame_times, case.video
    if len(times) != video["frames"]:
        return [f"{len(times)} frame times for {video['frames']} frames"]
    problems = [] if all(a < b for a, b in pairwise(times)) else ["frame times do not increase"]
    since_first = [time - times[0] for time in times]
    if video["pts"] is None:
        step = 1 / Fraction(video["r_frame_rate"])
        wanted, tolerance = [number * step for number in range(len(times))], step
    else:
        tick = Fraction(video["time_base"])
        wanted = [(pts - video["pts"][0]) * tick for pts in video["pts"]]
        tolerance = Fraction(1, 90_000) if "mp4" in made.document["format"]["format_name"] else _MS
    repeated = {number for number in range(1, len(wanted)) if wanted[number] <= wanted[number - 1]}
    errors = {number: abs(time - wanted[number]) for number, time in enumerate(since_first) if number not in repeated}
    worst = max(errors, key=lambda number: errors[number])
    if errors[worst] > tolerance:
        problems.append(f"frame {worst} is {float(errors[worst] * 1000):.3f} ms from its time")
    ends = [p.time_s + p.duration_s - times[0] for ps in made.packets.values() for p in ps if p.time_s is not None]
    claimed = float(made.document["format"].get("duration", 0))
    if claimed > float(max(ends)) + 0.5:
        problems.append(f"it claims {claimed:.1f} s, its streams end after {float(max(ends)):.1f} s")
    return problems


def _geometry(case: Case, made: Evidence) -> list[str]:
    width, height = case.video["sbs_size"]
    found = (made.video["width"], made.video["height"])
    problems = []
    if not (width <= found[0] <= width + 2 and height <= found[1] <= height + 1):
        problems.append(f"size {found} instead of {(width, height)}")
    sar = made.video.get("sample_aspect_ratio", "1:1")
    if sar != case.video["upright_sar"]:
        problems.append(f"pixel aspect {sar} instead of {case.video['upright_sar']}")
    if made.side_data("Display Matrix"):
        problems.append("a rotation is left in the metadata")
    if str((made.side_data("Stereo 3D") or {}).get("type")).lower() != "side by side":
        problems.append("it does not say that it is side by side")
    return problems


def _color(case: Case, source: Evidence, made: Evidence) -> list[str]:
    problems = []
    for key in ("color_space", "color_transfer", "color_primaries"):
        wanted, found = case.video[key], made.video.get(key)
        if wanted in (None, "gbr"):
            continue
        if _SAME_MATRIX.get(wanted, wanted) != _SAME_MATRIX.get(str(found), found):
            problems.append(f"{key} {found} instead of {wanted}")
    grid = case.video.get("rgb_grid")
    if grid:
        made_grid = made.rgb_grid(*case.video["upright_size"]).astype(float)
        error = float(np.abs(made_grid - np.array(grid)).mean()) if len(made_grid) == len(grid) else 255.0
        limit = 6 if case.video["interlaced_frames"] else 4
        if error > limit:
            problems.append(f"colours differ by {error:.1f} of 255")
    if re.search(r"1[02](le|be)$", case.video["pix_fmt"]) and not re.search(r"1[02]le$", made.video["pix_fmt"]):
        problems.append(f"{made.video['pix_fmt']} from {case.video['pix_fmt']}")
    for kind in _HDR_SIDE_DATA:
        wanted = source.side_data(kind)
        if wanted and made.side_data(kind) != wanted:
            problems.append(f"{kind}: {made.side_data(kind)} instead of {wanted}")
    if made.side_data("DOVI configuration record"):
        problems.append("a Dolby Vision record on pictures that were coded anew")
    return problems


def _audio(case: Case, source: Evidence, made: Evidence) -> list[str]:
    wanted = _tracks_of_its_program(case, source)
    found = made.of_kind("audio")
    if [track["codec"] for track in wanted] != [track["codec_name"] for track in found]:
        return [f"audio {[t['codec_name'] for t in found]} instead of {[t['codec'] for t in wanted]}"]
    problems = []
    any_default = any("default" in track["disposition"] for track in wanted)
    for position, (truth, track) in enumerate(zip(wanted, found, strict=True)):
        problems += _labels(truth, track, f"audio {position}", lenient_default=position == 0 and not any_default)
        problems += _samples(case, source, made, position, truth, track)
    return problems


def _tracks_of_its_program(case: Case, source: Evidence) -> list[dict[str, Any]]:
    """A broadcast of several programs: only the sound of the converted one belongs to it."""
    if case.truth["nb_programs"] < 2:
        return case.truth["audio"]
    for program in source.document["programs"]:
        members = {stream["index"] for stream in program["streams"]}
        if case.video["index"] in members:
            return [track for track in case.truth["audio"] if track["index"] in members]
    return case.truth["audio"]


def _samples(
    case: Case, source: Evidence, made: Evidence, position: int, truth: dict[str, Any], track: dict[str, Any]
) -> list[str]:
    whole, part = source.packets[truth["index"]], made.packets[track["index"]]
    label = f"audio {position}"
    first_frame = (case.video["pts"] or [0])[0] * Fraction(case.video["time_base"])
    if packets_digest(part) != truth["packets_sha256"]:
        hidden = len(whole) - len(part)
        if truth["codec"].startswith("pcm_"):
            if source.sample_digest(position) != made.sample_digest(position):
                return [f"{label}: other samples"]
        elif hidden <= 0 or [packet.sha256 for packet in whole[hidden:]] != [packet.sha256 for packet in part]:
            return [f"{label}: other packets"]
        elif _time(whole[hidden]) > first_frame:
            return [f"{label}: {hidden} packets are missing"]
        whole = whole[max(0, hidden) :]
    shifts = [(_time(b) - made.frame_times[0]) - (_time(a) - first_frame) for a, b in zip(whole, part, strict=False)]
    tolerance = _OFFSET_TOLERANCE if case.video["pts"] else 1 / Fraction(case.video["r_frame_rate"])
    problems = []
    if abs(shifts[0]) > tolerance:
        problems.append(f"{label}: {float(shifts[0] * 1000):+.1f} ms against the picture")
    spread = max(abs(shift - shifts[0]) for shift in shifts)
    if spread > _DISTANCE_TOLERANCE and not truth["codec"].startswith("pcm_"):
        problems.append(f"{label}: packets moved by {float(spread * 1000):.1f} ms against each other")
    return problems


def _subtitles(case: Case, source: Evidence, made: Evidence) -> list[str]:
    wanted, found = case.truth["subtitles"], made.of_kind("subtitle")
    if len(wanted) != len(found):
        return [f"{len(found)} subtitle tracks instead of {len(wanted)}"]
    problems = []
    first_source = float((case.video["pts"] or [0])[0] * Fraction(case.video["time_base"]))
    first_made = float(made.frame_times[0]) if made.frame_times else 0.0
    any_default = any("default" in track["disposition"] for track in wanted)
    for position, (truth, track) in enumerate(zip(wanted, found, strict=True)):
        problems += _labels(truth, track, f"subtitle {position}", lenient_default=not any_default)
        if truth["codec"] in _TEXT:
            before = [(cue.text, cue.start_s - first_source) for cue in source.cues(position)]
            after = [(cue.text, cue.start_s - first_made) for cue in made.cues(position)]
        else:
            if track["codec_name"] != truth["codec"]:
                problems.append(f"subtitle {position}: {track['codec_name']} instead of {truth['codec']}")
            before = [(p.sha256, float(_time(p)) - first_source) for p in source.packets[truth["index"]]]
            after = [(p.sha256, float(_time(p)) - first_made) for p in made.packets[track["index"]]]
        if [text for text, _ in before] != [text for text, _ in after] or not before:
            problems.append(f"subtitle {position}: other cues {after[:3]} instead of {before[:3]}")
        elif max(abs(a[1] - b[1]) for a, b in zip(before, after, strict=True)) > _CUE_TOLERANCE_S:
            problems.append(f"subtitle {position}: cues moved")
    return problems


def _labels(truth: dict[str, Any], track: dict[str, Any], label: str, *, lenient_default: bool) -> list[str]:
    """Language, title and flags. MP4 always plays a first track: where the source prefers none, it may be flagged."""
    problems, tags = [], track.get("tags", {})
    if (truth["language"] or "und") != tags.get("language", "und"):
        problems.append(f"{label}: language {tags.get('language')} instead of {truth['language']}")
    if truth["title"] and truth["title"] not in (tags.get("title"), tags.get("name"), tags.get("handler_name")):
        problems.append(f"{label}: title {tags.get('title')} instead of {truth['title']}")
    flags = {flag for flag in _FLAGS if track["disposition"].get(flag)}
    wanted = {flag for flag in truth["disposition"] if flag in _FLAGS}
    if flags != wanted and not (lenient_default and flags - {"default"} == wanted):
        problems.append(f"{label}: flags {sorted(flags)} instead of {sorted(wanted)}")
    return problems


def _rest(case: Case, source: Evidence, made: Evidence) -> list[str]:
    problems, truth = [], case.truth
    if len(made.of_kind("video")) != 1:
        problems.append(f"{len(made.of_kind('video'))} video tracks")
    if len(made.covers) != len(truth["cover_art"]):
        problems.append(f"{len(made.covers)} covers instead of {len(truth['cover_art'])}")
    attachments = {stream.get("tags", {}).get("filename") for stream in made.of_kind("attachment")}
    missing = {attachment.get("filename") for attachment in truth["attachments"]} - attachments
    problems += [f"attachments {missing} are missing"] if missing else []
    chapters = [(c["tags"].get("title"), float(c["start_time"])) for c in made.document["chapters"]]
    wanted = [(chapter["title"], float(chapter["start"])) for chapter in truth["chapters"]]
    if [title for title, _ in chapters] != [title for title, _ in wanted] or any(
        abs(a[1] - b[1]) > _CHAPTER_TOLERANCE_S for a, b in zip(chapters, wanted, strict=True)
    ):
        problems.append(f"chapters {chapters} instead of {wanted}")
    tags = {key.lower(): value for key, value in made.document["format"].get("tags", {}).items()}
    for key, value in truth["tags"].items():
        if _plain(tags.get(key.lower())) != _plain(value):
            problems.append(f"tag {key} is {tags.get(key.lower())!r} instead of {value!r}")
    return problems


def _plain(value: str | None) -> str | None:
    """A time without its fraction of zeros: containers print them with different numbers of digits."""
    return re.sub(r"\.0+Z$", "Z", value) if value else value


def packets_digest(packets: list[Packet]) -> str:
    return hashlib.sha256("\n".join(f"SHA256:{packet.sha256}" for packet in packets).encode()).hexdigest()


def _time(packet: Packet) -> Fraction:
    assert packet.time_s is not None
    return packet.time_s
