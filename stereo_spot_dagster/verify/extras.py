"""Rules on what else a film carries: subtitles, chapters, attachments, covers, names, flags and tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import ffmpeg

from ..media.process import arguments, read_output, safe_input
from .films import Film, Stream, language, named
from .findings import Finding, judged, not_comparable, same
from .pairing import Announced, Pair, Pairing, is_text
from .times import FrameTimes

_CUE_TOLERANCE_S = 0.005
_CHAPTER_TOLERANCE_S = 0.025
_FLAGS = ("default", "forced", "comment", "dub", "original", "hearing_impaired", "visual_impaired", "lyrics", "karaoke")
# They describe the source's container or its coded size, not the film.
_OWN_TAGS = frozenset(["major_brand", "minor_version", "compatible_brands", "encoder", "duration"])
_TIMEOUT_S = 300.0
_BLURAY = "hdmv_pgs_subtitle"
_CUE = re.compile(r"(\d+):(\d+):([\d,]+) --> (\d+):(\d+):([\d,]+)\r?\n(.*?)(?=\n\n\d+\n|\s*\Z)", re.DOTALL)


@dataclass(frozen=True)
class Cue:
    """A subtitle: its content (text, or a digest of a bitmap's packet) and when it appears after the first frame."""

    content: str | bytes
    start_s: float


def check_subtitles(
    source: Film, result: Film, pairing: Pairing, wanted: FrameTimes, made: FrameTimes, *, is_part: bool
) -> Finding:
    """Every cue is there, with its text or picture, at its time."""
    problems = []
    origins = float(wanted.seconds(0)), float(made.seconds(0))
    for track, copy in pairing.subtitles:
        before, after = _cues(source, track, copy, origins[0]), _cues(result, copy, track, origins[1])
        if is_part:
            end = float(wanted.seconds(len(wanted) - 1) - wanted.seconds(0) + wanted.step)
            before = [cue for cue in before if -_CUE_TOLERANCE_S <= cue.start_s < end]
            after = [cue for cue in after if cue.start_s >= -_CUE_TOLERANCE_S and cue.content]
        if [cue.content for cue in before] != [cue.content for cue in after]:
            problems.append((f"{len(before)} cues of {named(track)}", f"{len(after)}, not the same"))
        elif any(abs(a.start_s - b.start_s) > _CUE_TOLERANCE_S for a, b in zip(before, after, strict=True)):
            moved = max(abs(a.start_s - b.start_s) for a, b in zip(before, after, strict=True))
            problems.append((f"the cues of {named(track)} at their times", f"them {moved * 1000:.0f} ms off"))
    count = len(pairing.subtitles)
    return judged("subtitles_kept", problems, f"{count} tracks, every cue" if count else "none in both")


def check_chapters(source: Film, result: Film, *, is_part: bool) -> Finding:
    """Chapters with their names and times; a part has those that lie in it."""
    wanted, found = _chapters(source), _chapters(result)
    if is_part:
        titles = [title for title, _ in wanted]
        known = all(title in titles for title, _ in found)
        problems = [] if known else [("chapters of the source", ", ".join(str(title) for title, _ in found))]
        return judged("chapters_kept", problems, f"{len(found)} of {len(wanted)} lie in the part")
    problems = []
    if [title for title, _ in wanted] != [title for title, _ in found]:
        problems.append((f"{len(wanted)} chapters", f"{len(found)}, not the same"))
    elif any(abs(a[1] - b[1]) > _CHAPTER_TOLERANCE_S for a, b in zip(wanted, found, strict=True)):
        problems.append(("chapters at their times", "moved chapters"))
    return judged("chapters_kept", problems, f"{len(found)} chapters")


def check_attachments(source: Film, result: Film) -> Finding:
    """Fonts and covers are the source's, byte for byte."""
    wanted, found = _contents(source), _contents(result)
    # Those that are missing altogether are named by the rule on streams.
    problems = [
        (f"{name} as it is", "another content") for name in wanted if name in found and wanted[name] != found[name]
    ]
    covers = [_digests(film) for film in (source, result)]
    if len(covers[0]) == len(covers[1]) and covers[0] != covers[1]:
        problems.append(("the cover", "another picture"))
    return judged("attachments_kept", problems, f"{len(found)} attachments, {len(covers[1])} covers, the same bytes")


def check_labels(source: Film, result: Film, pairing: Pairing) -> Finding:
    """Language, title and flags of each track."""
    problems: list[tuple[str, str]] = []
    for pairs in (pairing.audio, pairing.subtitles):
        # MP4 plays a first track always: where the source prefers none, it may be flagged.
        free = not any(_flags(track) & {"default"} for track, _ in pairs)
        for track, made in pairs:
            problems += _label_problems(track, made, lenient_default=free)
    video: Pair = (source.video, result.video)
    if language(video[0]) not in ("und", language(video[1])):
        problems.append((f"language {language(video[0])} of the picture", language(video[1])))
    return judged("labels_kept", problems, "languages, titles and flags as in the source")


def check_tags(source: Film, result: Film, announced: Announced) -> Finding:
    """The container's tags about the film."""
    found = result.tags
    problems, left = [], []
    for key, value in source.tags.items():
        if key in _OWN_TAGS or _plain(found.get(key)) == _plain(value):
            continue
        if key not in found and announced.names(key):
            left.append(key)
        else:
            problems.append((f"{key}={value[:60]}", f"{found.get(key, 'none')[:60]}"))
    if problems:
        return judged("tags_kept", problems, "")
    count = sum(key not in _OWN_TAGS for key in source.tags) - len(left)
    return same("tags_kept", f"{count} tags", f"left out as announced: {', '.join(left)}" if left else "")


def check_starts_early(result: Film) -> Finding:
    """A player can start before it has all of the file."""
    rule = "starts_early"
    if not result.is_mp4:
        return same(rule, "Matroska plays from its first byte")
    kinds = _top_level_boxes(result)
    if b"moov" not in kinds:
        return not_comparable(rule, "it has no index box")
    early = b"mdat" not in kinds or kinds.index(b"moov") < kinds.index(b"mdat")
    return judged(rule, [] if early else [("the index first", "the index lies at the end")], "index first")


def _cues(film: Film, stream: Stream, partner: Stream, origin_s: float) -> list[Cue]:
    if is_text(stream) and is_text(partner):
        node = ffmpeg.output(safe_input(film.path, copyts=None)[str(stream["index"])], "pipe:1", format="srt")
        text = read_output(arguments(node, "error"), subject=film.name, timeout_s=_TIMEOUT_S).decode("utf-8", "replace")
        found = [(_clock_s(cue[:3]), re.sub(r"<[^>]+>|\{\\[^}]*\}", "", cue[6]).strip()) for cue in _CUE.findall(text)]
        return [Cue(words, start - origin_s) for start, words in found]
    if stream.get("codec_name") == _BLURAY:
        return _display_sets(film, stream, origin_s)
    packets = film.packets[stream["index"]]
    times = [packets.time(number) for number in range(len(packets))]
    return [
        Cue(digest, float(time) - origin_s if time is not None else 0.0)
        for digest, time in zip(packets.digests, times, strict=True)
    ]


def _display_sets(film: Film, stream: Stream, origin_s: float) -> list[Cue]:
    """Blu-ray subtitles, whose parts are packets of their own in broadcasts and discs and one packet in Matroska."""
    source = safe_input(film.path, copyts=None)[str(stream["index"])]
    options = {"format": "framehash", "hash": "sha256", "c": "copy", "copyinkf": None, "bsf:0": "pgs_frame_merge"}
    command = arguments(ffmpeg.output(source, "pipe:1", **options), "error")
    lines = read_output(command, subject=film.name, timeout_s=_TIMEOUT_S).decode("ascii", "replace").splitlines()
    base = next((line.partition(": ")[2] for line in lines if line.startswith("#tb 0: ")), "1/90000")
    rows = [line.split(",") for line in lines if line[:1] not in ("#", "")]
    return [Cue(row[5].strip(), float(int(row[2]) * Fraction(base)) - origin_s) for row in rows]


def _clock_s(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds = parts
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _chapters(film: Film) -> list[tuple[str | None, float]]:
    chapters = film.document.get("chapters", [])
    return [(entry.get("tags", {}).get("title"), float(entry["start_time"])) for entry in chapters]


def _contents(film: Film) -> dict[str, str]:
    """Digest of each attachment by its file name."""
    return {
        str(stream.get("tags", {}).get("filename")): str(stream.get("extradata_hash"))
        for stream in film.of_kind("attachment")
    }


def _digests(film: Film) -> list[list[bytes]]:
    return [film.packets[stream["index"]].digests for stream in film.covers if stream["index"] in film.packets]


def _flags(stream: Stream) -> set[str]:
    return {flag for flag in _FLAGS if stream.get("disposition", {}).get(flag)}


def _label_problems(track: Stream, made: Stream, *, lenient_default: bool) -> list[tuple[str, str]]:
    problems, tags = [], made.get("tags", {})
    if language(track) != language(made):
        problems.append((f"language {language(track)} of {named(track)}", language(made)))
    title = track.get("tags", {}).get("title")
    if title and title not in (tags.get("title"), tags.get("name"), tags.get("handler_name")):
        problems.append((f"title {title} of {named(track)}", str(tags.get("title", "none"))))
    wanted, found = _flags(track), _flags(made)
    if found != wanted and not (lenient_default and found - {"default"} == wanted):
        words = [" ".join(sorted(flags)) or "no flags" for flags in (wanted, found)]
        problems.append((f"{words[0]} on {named(track)}", words[1]))
    return problems


def _plain(value: str | None) -> str | None:
    """Times of recording without zeros behind the second, and once where a file says it twice; the epoch is none."""
    if not value or not re.match(r"\d{4}-\d\d-\d\dT", value):
        return value
    return re.sub(r"\.0+Z$", "Z", value.partition(";")[0]).replace("1970-01-01T00:00:00Z", "") or None


def _top_level_boxes(film: Film) -> list[bytes]:
    """Types of the outermost boxes of an MP4 file, in order (ISO/IEC 14496-12, 4.2)."""
    kinds: list[bytes] = []
    size = film.path.stat().st_size
    with film.path.open("rb") as file:
        start = 0
        while start + 8 <= size and len(kinds) < 100_000:
            file.seek(start)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            kinds.append(head[4:8])
            if length < 8:
                break
            start += length
    return kinds
