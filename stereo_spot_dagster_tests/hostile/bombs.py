"""Small files that claim, or unfold to, out of all measure much."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from ..e2e.clips import ffmpeg_words, make_master
from .boxes import box, grown_parents, inside, replaced


class Bombs:
    """Makes each bomb in a folder.

    Args:
        folder: where they and what they are made of lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._master = make_master(folder / "master.mkv", frames=8, width=96, height=64)
        self._film = folder / "film.mp4"
        words = ("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "faststart")
        ffmpeg_words("-i", self._master, *words, self._film)

    def huge_gif(self) -> tuple[str, bytes]:
        screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
        picture = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\2\x4c\1\0"
        return "holiday.gif", screen + picture * 3 + b";"

    def huge_raw_pictures(self) -> tuple[str, bytes]:
        return "holiday.y4m", b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(1000)

    def huge_vp8(self) -> tuple[str, bytes]:
        header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", 16383, 16383, 25, 1, 9, 0)
        frame = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(60)
        return "holiday.ivf", header + b"".join(struct.pack("<IQ", len(frame), n) + frame for n in range(9))

    def grows_in_the_middle(self, size: str) -> tuple[str, bytes]:
        """Small pictures first, then large ones, in one stream without a header of a container."""
        small, large = self._folder / "small.h264", self._folder / "large.h264"
        coded = ("-c:v", "libx264", "-preset", "ultrafast", "-f", "h264")
        ffmpeg_words("-i", self._master, *coded, small)
        ffmpeg_words("-f", "lavfi", "-i", f"color=s={size}:r=25", "-frames:v", "4", *coded, large)
        return "holiday.h264", small.read_bytes() + large.read_bytes()

    def billions_of_samples(self) -> tuple[str, bytes]:
        """The index says that every sample has one byte and that there are two billions of them."""
        film = self._film.read_bytes()
        sizes = struct.pack(">III", 0, 1, 0x7FFFFFFF)
        film = replaced(film, b"stsz", sizes)
        return "holiday.mp4", replaced(film, b"stts", struct.pack(">IIII", 0, 1, 0x7FFFFFFF, 1))

    def finest_clock(self) -> tuple[str, bytes]:
        """A clock of four billion ticks a second."""
        film = bytearray(self._film.read_bytes())
        place = film.index(b"mdhd") + 16
        struct.pack_into(">I", film, place, 0xFFFFFFFF)
        return "holiday.mp4", bytes(film)

    def fastest_avi(self) -> tuple[str, bytes]:
        """A billion pictures a second."""
        path = self._folder / "fast.avi"
        ffmpeg_words("-i", self._master, "-c:v", "mpeg4", path)
        data = bytearray(path.read_bytes())
        place = data.index(b"vids") + 20
        struct.pack_into("<II", data, place, 1, 1_000_000_000)
        return "holiday.avi", bytes(data)

    def many_streams(self, count: int) -> tuple[str, bytes]:
        film = self._film.read_bytes()
        start, end = inside(film, b"trak")
        more = film[start:end] * (count - 1)
        return "holiday.mp4", grown_parents(film[:end] + more + film[end:], start, (b"moov",), len(more))

    def many_chapters(self, count: int) -> tuple[str, bytes]:
        lines = [f"[CHAPTER]\nTIMEBASE=1/1000000\nSTART={n}\nEND={n + 1}\ntitle=x\n" for n in range(count)]
        titles, path = self._folder / "titles.txt", self._folder / "chapters.mkv"
        titles.write_text(";FFMETADATA1\n" + "".join(lines))
        ffmpeg_words("-i", self._master, "-i", titles, "-map", "0", "-map_chapters", "1", "-c", "copy", path)
        return "holiday.mkv", path.read_bytes()

    def long_title(self, characters: int) -> tuple[str, bytes]:
        titles, path = self._folder / "title.txt", self._folder / "title.mkv"
        titles.write_text(f";FFMETADATA1\ntitle={'x' * characters}\n")
        words = ("-f", "lavfi", "-i", "sine=d=0.3", "-i", self._master, "-f", "ffmetadata", "-i", titles)
        maps = ("-map", "1:v", "-map", "0:a", "-map_metadata", "2")
        ffmpeg_words(*words, *maps, "-c:v", "copy", "-c:a", "aac", path)
        return "holiday.mkv", path.read_bytes()

    def deep_boxes(self) -> tuple[str, bytes]:
        depth = 50_000
        nested = b"".join(struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth))
        return "holiday.mp4", box(b"ftyp", b"isom\0\0\2\0isom") + nested

    def deep_elements(self) -> tuple[str, bytes]:
        """Matroska tags within tags."""
        inner = b""
        for _ in range(3000):
            inner = bytes.fromhex("67C8") + struct.pack(">Q", 1 << 56 | len(inner)) + inner
        header = bytes.fromhex("1A45DFA3") + b"\x8b" + bytes.fromhex("4282") + b"\x88matroska"
        return "holiday.mkv", header + bytes.fromhex("18538067") + struct.pack(">Q", 1 << 56 | len(inner)) + inner

    def packed_index(self) -> tuple[str, bytes]:
        """A compressed QuickTime index that unfolds a thousandfold, and claims four gigabytes."""
        packed = zlib.compress(bytes(64 << 20), 9)
        data = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 0xFFFFFFF0), packed)
        return "holiday.mov", box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", data))
