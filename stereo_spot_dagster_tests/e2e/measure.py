"""Measures a file that we made: the same record that the corpus has for each of its files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from .clips import BAR_HEIGHT, BITS, FRAME_RATE
from .evidence import Evidence, sha256_of
from .judge import packets_digest

_TURNED = (90, -90, 270, -270)


def measured(path: Path, shows: Sequence[int], verdict: str, mention: str) -> dict[str, Any]:
    """The record of a file.

    Args:
        path: the file.
        shows: the numbers that its frames show, known from how it was made.
        verdict: as in the corpus.
        mention: a regular expression for the words of a refusal.
    """
    record: dict[str, Any] = {
        "name": path.name,
        "verdict": verdict,
        "sha256": sha256_of(path),
        "error": {"mention": [mention]},
        "barcode": {"bits": BITS, "bar_h": BAR_HEIGHT, "frame_h": 90},
    }
    if verdict != "refuse":
        record["truth"] = _truth(Evidence(path), list(shows))
    return record


def _truth(evidence: Evidence, shows: list[int]) -> dict[str, Any]:
    return {
        "video": _video(evidence, shows),
        "audio": [_track(evidence, stream) for stream in evidence.of_kind("audio")],
        "subtitles": [_labels(stream) for stream in evidence.of_kind("subtitle")],
        "chapters": [
            {"title": chapter["tags"].get("title"), "start": chapter["start_time"]}
            for chapter in evidence.document["chapters"]
        ],
        "attachments": [{"filename": stream["tags"]["filename"]} for stream in evidence.of_kind("attachment")],
        "cover_art": evidence.covers,
        "tags": {key: value for key, value in _tags(evidence.document["format"]).items() if key == "title"},
        "nb_programs": evidence.document["format"]["nb_programs"],
    }


def _video(evidence: Evidence, shows: list[int]) -> dict[str, Any]:
    video = evidence.video
    tick, times = Fraction(video["time_base"]), evidence.decoded_times()
    untimed = all(packet.time_s is None for packet in evidence.packets[video["index"]])
    side_data = {entry["side_data_type"]: entry for entry in video.get("side_data_list", [])}
    width, height, sar = video["width"], video["height"], video.get("sample_aspect_ratio", "1:1")
    if side_data.get("Display Matrix", {}).get("rotation") in _TURNED:
        width, height, sar = height, width, ":".join(reversed(sar.split(":")))
    return (
        video
        | {
            "frames": len(shows),
            "barcodes": shows,
            "r_frame_rate": f"{FRAME_RATE}/1",
            "pts": None if untimed else [int(time / tick) for time in times if time is not None],
            "upright_size": [width, height],
            "upright_sar": sar,
            "sbs_size": [2 * width, height],
            "interlaced_frames": len(shows) if video.get("field_order") in ("tt", "bb", "tb", "bt") else 0,
            "rgb_grid": evidence.rgb_grid(width, height).tolist(),
        }
        | {key: video.get(key) for key in ("color_space", "color_transfer", "color_primaries")}
    )


def _track(evidence: Evidence, stream: dict[str, Any]) -> dict[str, Any]:
    return _labels(stream) | {"packets_sha256": packets_digest(evidence.packets[stream["index"]])}


def _labels(stream: dict[str, Any]) -> dict[str, Any]:
    language = _tags(stream).get("language")
    return {
        "index": stream["index"],
        "codec": stream["codec_name"],
        "language": None if language == "und" else language,
        "title": _tags(stream).get("title"),
        "disposition": [name for name, value in stream["disposition"].items() if value],
    }


def _tags(described: dict[str, Any]) -> dict[str, str]:
    return described.get("tags", {})
