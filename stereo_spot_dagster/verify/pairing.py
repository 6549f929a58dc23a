"""Which stream of the result is which stream of the source, and which ones have no partner."""

from __future__ import annotations

from dataclasses import dataclass

from .films import Film, Stream, language, named
from .findings import Finding, different, same

_TEXT = frozenset(["subrip", "srt", "mov_text", "webvtt", "text", "ass", "ssa"])
_LOSSLESS = "flac"
_SAMPLES = "pcm_"
Pair = tuple[Stream, Stream]


@dataclass(frozen=True)
class Announced:
    """Losses that were said before the work: they are no differences.

    Attributes:
        streams: indexes of source streams.
        words: the warnings.
        damaged: indexes of sound streams of which only what decodes is kept.
    """

    streams: frozenset[int] = frozenset()
    words: tuple[str, ...] = ()
    damaged: frozenset[int] = frozenset()

    def names(self, word: str) -> bool:
        return any(word.lower() in warning.lower() for warning in self.words)


@dataclass(frozen=True)
class Pairing:
    """The streams of both files beside the film.

    Attributes:
        audio, subtitles: (of the source, of the result), in order.
        missing: streams of the source without a partner.
        extra: streams of the result without one.
        left_out: streams of the source that were announced to be left out.
    """

    audio: tuple[Pair, ...]
    subtitles: tuple[Pair, ...]
    missing: tuple[Stream, ...]
    extra: tuple[Stream, ...]
    left_out: tuple[Stream, ...]


def pair_streams(source: Film, result: Film, announced: Announced) -> Pairing:
    """Find the partners: in order where the numbers agree, else by language and codec."""
    own = _own_program(source)

    def wanted(kind: str) -> list[Stream]:
        return [s for s in source.of_kind(kind) if s["index"] in own and s["index"] not in announced.streams]

    audio, lost, added = _pair(wanted("audio"), result.of_kind("audio"))
    subtitles, silent, more = _pair(wanted("subtitle"), result.of_kind("subtitle"))
    others = [s for s in result.of_kind("video") if s is not result.video]
    covers = source.covers[len(result.covers) :] + source.of_kind("attachment")[len(_attachments(result)) :]
    left = [s for kind in ("video", "data") for s in source.of_kind(kind) if _is_lost(source, result, s)]
    foreign = [s for kind in ("audio", "subtitle") for s in source.of_kind(kind) if s["index"] not in own]
    spare = result.covers[len(source.covers) :]
    candidates = lost + silent + covers + left + foreign
    missing = [s for s in candidates if s["index"] not in announced.streams and not _is_empty(source, s)]
    told = [s for s in source.streams if s["index"] in announced.streams and (s in left or not _is_aside(s))]
    extra = added + more + others + spare
    return Pairing(tuple(audio), tuple(subtitles), tuple(missing), tuple(extra), tuple(told))


def check_streams(source: Film, result: Film, pairing: Pairing) -> Finding:
    """Every stream of the source is in the result but those that were announced, and nothing else is."""
    rule = "streams_carried"
    numbers = f"{len(pairing.audio)} sound, {len(pairing.subtitles)} subtitle tracks, {len(result.covers)} covers"
    numbers += f", {len(_attachments(result))} attachments"
    if pairing.missing or pairing.extra:
        lost = ", ".join(named(stream) for stream in pairing.missing)
        added = ", ".join(named(stream) for stream in pairing.extra)
        words = [f"{lost} missing"] if lost else []
        words += [f"{added} that the source does not have"] if added else []
        return different(rule, "the source's streams", " and ".join(words))
    left = [named(stream) for stream in pairing.left_out]
    return same(rule, numbers, f"left out as announced: {', '.join(left)}" if left else "")


def is_text(stream: Stream) -> bool:
    return stream.get("codec_name") in _TEXT


def is_lossless(stream: Stream) -> bool:
    """True for sound in the forms that a result may have it in where its container has no place for the source's."""
    return str(stream.get("codec_name")).startswith((_LOSSLESS, _SAMPLES))


def _pair(wanted: list[Stream], found: list[Stream]) -> tuple[list[Pair], list[Stream], list[Stream]]:
    """(pairs, those of ``wanted`` that are missing, those of ``found`` that are more)."""
    if len(wanted) == len(found):
        return list(zip(wanted, found, strict=True)), [], []
    pairs, missing, left = [], [], list(found)
    for stream in wanted:
        place = next((number for number, other in enumerate(left) if _could_be(stream, other)), None)
        if place is None:
            missing.append(stream)
        else:
            pairs.append((stream, left.pop(place)))
    return pairs, missing, left


def _could_be(stream: Stream, other: Stream) -> bool:
    codecs = stream.get("codec_name"), other.get("codec_name")
    alike = codecs[0] == codecs[1] or is_lossless(other) or (is_text(stream) and is_text(other))
    return alike and language(stream) == language(other)


def _own_program(film: Film) -> set[int]:
    """Indexes of the streams of the film's own program: all of them, unless it is a broadcast of several."""
    members = [{int(s["index"]) for s in program.get("streams", [])} for program in film.document.get("programs", [])]
    own = {index for program in members if film.video["index"] in program for index in program}
    foreign = set().union(*members) - own if own else set()
    return {stream["index"] for stream in film.streams} - foreign


def _attachments(film: Film) -> list[Stream]:
    return film.of_kind("attachment")


def _is_empty(film: Film, stream: Stream) -> bool:
    """True for a track without a single packet, which some containers do not keep; attachments have none ever."""
    packets = film.packets.get(stream["index"])
    return stream.get("codec_type") != "attachment" and packets is not None and len(packets) == 0


def _is_aside(stream: Stream) -> bool:
    return stream.get("codec_type") in ("video", "data")


def _is_lost(source: Film, result: Film, stream: Stream) -> bool:
    """True for a further video or data track whose content is nowhere in the result."""
    if stream is source.video:
        return False
    tag = stream.get("codec_tag_string")
    if tag == "text" and source.document.get("chapters"):
        return False  # QuickTime keeps chapter titles in a text track: the rule on chapters looks at them.
    if tag == "tmcd":
        codes = {entry.get("tags", {}).get("timecode") for entry in [*result.streams, result.document["format"]]}
        return stream.get("tags", {}).get("timecode") not in codes
    return True
