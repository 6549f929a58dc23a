"""Each rule notices its own kind of damage, and no rule another's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stereo_spot_dagster.verify import RULES

from .conftest import Gallery
from .films import (
    HDR_COLOR,
    RIGHT,
    broken_rules,
    compare,
    ffmpeg,
    hdr,
    make_result,
    marked,
    packed,
    put_index_last,
    remux,
)

Breakage = Callable[[Gallery, Path], Path]


def encoded(*words: str) -> Breakage:
    """The film packed in another way."""
    return lambda gallery, folder: make_result(gallery.films["mkv"], folder / "broken.mkv", *words)


def copied(*words: str, kind: str = "mkv") -> Breakage:
    """The good result with its streams copied in another way."""
    return lambda gallery, folder: marked(remux(gallery.good[kind], folder / f"broken.{kind}", *words))


def unmarked(gallery: Gallery, folder: Path) -> Path:
    words = ("-i", gallery.films["mkv"], *packed(), "-map", "0:a", "-map", "0:s", "-map", "0:t", "-c:a", "copy")
    ffmpeg(*words, "-c:s", "copy", "-c:v", "libx264", "-preset", "ultrafast", folder / "broken.mkv")
    return folder / "broken.mkv"


def late_sound(gallery: Gallery, folder: Path) -> Path:
    good, target = gallery.good["mkv"], folder / "broken.mkv"
    words = ["-itsoffset", "0.05", "-i", good, "-i", good, "-map", "1:v:0", "-map", "0:a", "-map", "1:s", "-map", "1:t"]
    ffmpeg(*words, "-map_metadata", "1", "-map_chapters", "1", "-c", "copy", target)
    return target


def turned(gallery: Gallery, folder: Path) -> Path:
    target = folder / "broken.mp4"
    words = ("-display_rotation:v:0", "90", "-i", gallery.good["mp4"], "-map", "0:v", "-map", "0:a", "-map", "0:s")
    ffmpeg(*words, "-c", "copy", target)
    return marked(target)


def other_font(gallery: Gallery, folder: Path) -> Path:
    font = folder / "font.ttf"
    font.write_bytes(bytes(2048))
    words = ("-map", "-0:t", "-attach", str(font), "-metadata:s:t:0", "mimetype=font/ttf")
    return copied(*words)(gallery, folder)


def index_last(gallery: Gallery, folder: Path) -> Path:
    target = folder / "broken.mp4"
    shutil.copyfile(gallery.good["mp4"], target)
    put_index_last(target)
    return target


def hdr_result(*words: str, last: str = "null") -> Breakage:
    def broken(gallery: Gallery, folder: Path) -> Path:
        return make_result(gallery.films["hdr"], folder / "broken.mp4", *packed(last=last, color=HDR_COLOR), *words)

    return broken


def shuffled(graph: str) -> Breakage:
    return encoded(*packed(left=graph))


DELETE = "sidedata=delete:MASTERING_DISPLAY_METADATA,sidedata=delete:CONTENT_LIGHT_LEVEL"
# What is broken: (the rule that shall notice it, how it is broken, which film it is a result of).
BREAKAGES: dict[str, tuple[str, Breakage, str]] = {
    "a frame dropped": ("final_frame_count", encoded(*packed(last="select=not(eq(n\\,20))")), "mkv"),
    "a frame doubled": ("final_frame_count", encoded(*packed(last="loop=loop=1:size=1:start=20")), "mkv"),
    "two frames swapped": ("left_eye", shuffled("shuffleframes=0 1 2 3 5 4 6 7 8 9"), "mkv"),
    "the eyes swapped": ("left_eye", encoded(*packed(order="[r][l]hstack")), "mkv"),
    "one frame late": ("left_eye", shuffled("tpad=start=1:start_mode=clone"), "mkv"),
    "brighter": ("left_eye", shuffled("lutyuv=y=val+6"), "mkv"),
    "another range of samples": ("left_eye", shuffled("scale=in_range=tv:out_range=pc,format=yuv420p"), "mkv"),
    "another matrix of samples": ("left_eye", shuffled("scale=in_color_matrix=bt601:out_color_matrix=bt709"), "mkv"),
    "the right eye twice": ("left_eye", shuffled(RIGHT), "mkv"),
    "one frame a tick late": ("frame_times", copied("-bsf:v", "setts=ts=TS+eq(N\\,5)"), "mkv"),
    "one frame a tick late in MP4": ("frame_times", copied("-bsf:v", "setts=ts=TS+eq(N\\,5)", kind="mp4"), "mp4"),
    "a last frame that stays": (
        "duration",
        copied("-bsf:v", "setts=ts=TS:duration=if(eq(N\\,49)\\,DURATION*30\\,DURATION)", kind="mp4"),
        "mp4",
    ),
    "a sound packet lost": ("audio_identical", copied("-bsf:a", "noise=drop=eq(n\\,40)"), "mkv"),
    "another sound codec": ("audio_identical", copied("-c:a", "ac3"), "mkv"),
    "sound 50 ms late": ("audio_in_step", late_sound, "mkv"),
    "no subtitles": ("streams_carried", copied("-map", "-0:s"), "mkv"),
    "a subtitle moved": ("subtitles_kept", copied("-bsf:s", "setts=ts=TS+40*eq(N\\,1)"), "mkv"),
    "no chapters": ("chapters_kept", copied("-map_chapters", "-1"), "mkv"),
    "no language": ("labels_kept", copied("-metadata:s:a:0", "language="), "mkv"),
    "another default": ("labels_kept", copied("-disposition:a:0", "0"), "mkv"),
    "another title": ("tags_kept", copied("-metadata", "title=Another film"), "mkv"),
    "another font": ("attachments_kept", other_font, "mkv"),
    "full range in the tags": ("color_tags", encoded(*packed(last="setparams=range=pc")), "mkv"),
    "another matrix in the tags": (
        "color_tags",
        encoded(*packed(last="setparams=colorspace=smpte170m"), "-colorspace", "smpte170m"),
        "mkv",
    ),
    "another size": ("frame_size", encoded(*packed(last="scale=200:54,setsar=1")), "mkv"),
    "another pixel aspect": ("pixel_aspect", encoded(*packed(last="setsar=4/3")), "mkv"),
    "turned once more": ("orientation", turned, "mp4"),
    "no mark of the eyes": ("signalling_3d", unmarked, "mkv"),
    "the index last": ("starts_early", index_last, "mp4"),
    "8 bits of 10": ("sample_format", hdr_result(*hdr("yuv420p")), "hdr"),
    "no HDR10 data": ("hdr_kept", hdr_result(*hdr(params=""), last=DELETE), "hdr"),
}


@pytest.mark.parametrize("damage", BREAKAGES)
def test_a_broken_result_breaks_exactly_its_rule(gallery: Gallery, damage: str, tmp_path: Path) -> None:
    rule, breakage, kind = BREAKAGES[damage]
    report = compare(gallery.films[kind], breakage(gallery, tmp_path), tmp_path)
    assert broken_rules(report) == [rule], [finding.sentence for finding in report.differences]


def test_a_result_with_broken_pictures_does_not_decode(gallery: Gallery, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    data = bytearray(gallery.good["mp4"].read_bytes())
    middle = data.index(b"mdat") + 6000
    data[middle : middle + 3000] = bytes(3000)
    broken.write_bytes(data)
    assert "decodes" in broken_rules(compare(gallery.films["mp4"], broken, tmp_path))


@pytest.mark.other_ffmpeg
@pytest.mark.parametrize("kind", ["mkv", "mp4", "hdr"])
def test_a_good_result_breaks_no_rule(gallery: Gallery, kind: str, tmp_path: Path) -> None:
    report = compare(gallery.films[kind], gallery.good[kind], tmp_path)
    assert report.differences == ()
    assert [finding.rule for finding in report.findings] == list(RULES)


def test_every_rule_has_a_breakage_here() -> None:
    assert {rule for rule, _, _ in BREAKAGES.values()} | {"decodes"} == set(RULES)
