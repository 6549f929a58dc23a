"""Uploads that try to make ffmpeg read another file or open a socket, as (name, content) by kind."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from .boxes import ABOVE_DATA_REFERENCES, box, replaced

SECRET = b"the secret words of a file that no upload may ever reach"


def text_lures(canary: Path, port: int) -> dict[str, str]:
    """Texts that name ``canary`` and a port of this machine, in every way that some demuxer follows."""
    url, web = f"file:{canary}", f"http://127.0.0.1:{port}/segment.ts"
    return {
        "HLS playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXTINF:2,\n{web}\n#EXT-X-ENDLIST\n",
        "HLS playlist with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{web}"\n#EXTINF:2,\n'
        f"{url}\n#EXT-X-ENDLIST\n",
        "HLS that concatenates": f"#EXTM3U\n#EXTINF:2,\nconcat:{web}|{url}\n#EXT-X-ENDLIST\n",
        "HLS of a part of a file": f"#EXTM3U\n#EXTINF:2,\nsubfile,,start,0,end,64,,:{canary}\n#EXT-X-ENDLIST\n",
        "concat script": f"ffconcat version 1.0\nfile '{canary}'\nfile '{web}'\n",
        "DASH manifest": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
        f'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{web}</BaseURL></Representation>'
        f'<Representation id="2" bandwidth="2"><BaseURL>{url}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "IMF composition": '<?xml version="1.0"?>'
        '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
        f"<Id>urn:uuid:1</Id><ContentTitle>x</ContentTitle><EditRate>25 1</EditRate><Path>{canary}</Path>"
        "<SegmentList/></CompositionPlaylist>",
        "session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "QuickTime reference in text": f"RTSPtext\nrtsp://127.0.0.1:{port}/film\n",
        "Windows reference": f'<ASX version="3.0"><Entry><Ref href="{web}"/><Ref href="{url}"/></Entry></ASX>\n'
        f"[Reference]\nRef1={web}\n",
        "playlist of a music player": f"[playlist]\nNumberOfEntries=1\nFile1={canary}\n",
        "metadata of ffmpeg": f";FFMETADATA1\ntitle={url}\n",
        "subtitles that name files": f"[Script Info]\nScriptType: v4.00+\n[Fonts]\nfontname: {canary}\n[Events]\n"
        "Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{\\fn" + str(canary) + "}x\n",
        "VobSub index": "# VobSub index file, v7\nsize: 720x576\nid: en, index: 0\n"
        f"timestamp: 00:00:00:000, filepos: 0\n# {url}\n",
        "AviSynth script": f'AviSource("{canary}")\n',
        "filter graph": f"movie={canary}[out0]\n",
        "SMIL": f'<smil><body><video src="{web}"/><video src="{url}"/></body></smil>',
    }


def binary_lures(film: bytes, canary: Path, port: int) -> dict[str, tuple[str, bytes]]:
    """Containers that name ``canary`` or a port, as (file name, bytes).

    Args:
        film: a true MP4 with its index in front.
        canary: the file that must not be opened.
        port: where nobody may call.
    """
    web = f"http://127.0.0.1:{port}/film.mp4"
    return {
        "MP4 whose samples lie at a URL": ("film.mp4", _external(film, b"url ", web.encode() + b"\0")),
        "MP4 whose samples lie in another file": (
            "film.mp4",
            _external(film, b"url ", f"file://{canary}".encode() + b"\0"),
        ),
        "QuickTime with an alias": ("film.mov", _external(film, b"alis", _alias(canary))),
        "QuickTime that refers to another film": (
            "film.mov",
            _reference_movie(web) + _reference_movie(f"file://{canary}"),
        ),
        "Matroska with linked segments": ("film.mkv", _linked_matroska(canary)),
        "zip with a playlist": ("film.mp4", _zipped(canary)),
    }


def _external(film: bytes, kind: bytes, where: bytes) -> bytes:
    """The film with its first data reference, which said "in this file", replaced."""
    return replaced(film, b"dref", struct.pack(">II", 0, 1) + box(kind, bytes(4), where), ABOVE_DATA_REFERENCES)


def _alias(path: Path) -> bytes:
    """An alias record of the classic Macintosh that names an absolute path in the ways that readers know."""
    words, name = str(path).encode(), path.name.encode()[:63]
    record = struct.pack(">4sHH H 28s I 2s H I", b"\0" * 4, 150, 2, 0, b"\4root".ljust(28, b"\0"), 0, b"H+", 0, 0)
    record += struct.pack(">B63s", len(name), name) + b"\0" * 16 + struct.pack(">hh", 10, 10) + b"\0" * 16
    for tag in (2, 18):
        record += struct.pack(">hH", tag, len(words)) + words + b"\0" * (len(words) % 2)
    return record + struct.pack(">hH", -1, 0)


def _reference_movie(url: str) -> bytes:
    data = box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(url) + 1), url.encode() + b"\0")
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", data)))


def _element(identity: str, content: bytes) -> bytes:
    return bytes.fromhex(identity) + struct.pack(">Q", 1 << 56 | len(content)) + content


def _linked_matroska(canary: Path) -> bytes:
    """A segment that says that its neighbours lie in other files, and chapters that play parts of those."""
    header = _element("1A45DFA3", _element("4282", b"matroska"))
    name = str(canary).encode()
    info = _element("1549A966", _element("3C83AB", name) + _element("3E83BB", name) + _element("3CB923", bytes(16)))
    atom = _element("B6", _element("91", b"\0") + _element("6E67", bytes(16)) + _element("6EBC", b"\1"))
    chapters = _element("1043A770", _element("45B9", _element("45DD", b"\1") + atom))
    return header + _element("18538067", info + chapters)


def _zipped(canary: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("list.ffconcat", f"ffconcat version 1.0\nfile '{canary}'\n")
    return packed.getvalue()
