"""Ten small files of different containers and codecs, and seeded ways to damage them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from ..e2e.clips import ffmpeg_words, make_master

FRAMES = 8
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "4", "-pix_fmt", "yuv420p")
_RECIPES: dict[str, tuple[str, ...]] = {
    "plain.mp4": (*_X264, "-bf", "2", "-c:a", "aac"),
    "fragments.mp4": (*_X264, "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "sound.mkv": (*_X264, "-c:a", "libopus", "-metadata", "title=A film"),
    "net.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libvorbis"),
    "old.avi": ("-c:v", "mpeg4", "-bf", "1", "-c:a", "libmp3lame"),
    "tape.ts": (*_X264, "-c:a", "aac"),
    "edit.mov": ("-c:v", "prores", "-c:a", "pcm_s16le", "-timecode", "01:00:00:00"),
    "disc.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"),
    "tube.flv": (*_X264, "-c:a", "aac"),
    "phone.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
}


def make_originals(folder: Path) -> list[Path]:
    """The ten files, with numbered frames of 96 x 64 pixels and sound."""
    master = make_master(folder / "master.mkv", frames=FRAMES, width=96, height=64)
    made = []
    for name, words in _RECIPES.items():
        path = folder / name
        sound = ("-f", "lavfi", "-i", "sine=r=44100:d=0.32")
        ffmpeg_words(
            "-i", master, *sound, "-map", "0:v", "-map", "1:a", *words, "-shortest", "-f", _FORMATS[path.suffix], path
        )
        made.append(path)
    return made


_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm", ".avi": "avi", ".ts": "mpegts", ".mov": "mov"}
_FORMATS |= {".mpg": "mpeg", ".flv": "flv"}


def mutated(originals: Sequence[bytes], which: int, seed: int) -> tuple[str, bytes]:
    """A damaged copy of one of the files.

    Args:
        originals: all files; some damages splice two.
        which: number of the file to damage.
        seed: decides everything; the same seed gives the same damage.

    Returns:
        Name of the kind of damage, and the damaged bytes.
    """
    chance = random.Random(f"{which}:{seed}")
    kind = chance.choice(list(_KINDS))
    return kind, _KINDS[kind](chance, bytearray(originals[which]), originals)


def _flip_bits(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    for _number in range(chance.choice((1, 1, 2, 8, 40))):
        data[_place(chance, data)] ^= 1 << chance.randrange(8)
    return bytes(data)


def _flip_header_bits(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    """In MP4 the header may also lie at the end."""
    for _number in range(chance.choice((1, 2, 4))):
        place = chance.randrange(min(len(data), 1500))
        data[place if chance.random() < 0.6 else -1 - place] ^= 1 << chance.randrange(8)
    return bytes(data)


def _set_bytes(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    place, length = _place(chance, data), chance.choice((1, 2, 4, 8, 64))
    data[place : place + length] = bytes([chance.choice((0x00, 0xFF, 0x7F, 0x80))]) * length
    return bytes(data)


def _truncate(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    return bytes(data[: _place(chance, data)])


def _edit_length(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    """Another 32 bit number in front of something that looks like the name of a box or chunk."""
    names = [place for place in range(4, len(data) - 4) if data[place : place + 4].isalnum()]
    if not names:
        return bytes(data)
    place = chance.choice(names) - 4
    length = chance.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(1 << 16)))
    data[place : place + 4] = length.to_bytes(4, "big")
    return bytes(data)


def _repeat_chunk(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(chance, data)
    return bytes(data[:end] + data[start:end] + data[end:])


def _remove_chunk(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(chance, data)
    return bytes(data[:start] + data[end:])


def _swap_chunks(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    start, end = _chunk(chance, data)
    middle = (start + end) // 2
    return bytes(data[:start] + data[middle:end] + data[start:middle] + data[end:])


def _splice_header(chance: random.Random, data: bytearray, originals: Sequence[bytes]) -> bytes:
    """The beginning of another file in front of the rest of this one."""
    other = chance.choice(originals)
    cut = chance.choice((16, 64, 512, 2000))
    return other[:cut] + bytes(data[cut:] if chance.random() < 0.5 else data)


def _insert_noise(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> bytes:
    place = _place(chance, data)
    return bytes(data[:place]) + chance.randbytes(chance.choice((1, 3, 188, 3000))) + bytes(data[place:])


def _place(chance: random.Random, data: bytearray) -> int:
    return chance.randrange(len(data))


def _chunk(chance: random.Random, data: bytearray) -> tuple[int, int]:
    start = _place(chance, data)
    return start, min(len(data), start + chance.choice((1, 4, 32, 188, 1000, 4000)))


_Damage = Callable[[random.Random, bytearray, Sequence[bytes]], bytes]
_KINDS: dict[str, _Damage] = {
    "flipped bits": _flip_bits,
    "flipped header bits": _flip_header_bits,
    "other bytes": _set_bytes,
    "cut off": _truncate,
    "wrong length": _edit_length,
    "repeated chunk": _repeat_chunk,
    "removed chunk": _remove_chunk,
    "swapped chunks": _swap_chunks,
    "foreign header": _splice_header,
    "noise": _insert_noise,
}
