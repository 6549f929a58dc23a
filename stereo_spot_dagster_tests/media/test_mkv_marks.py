from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest

from stereo_spot_dagster.domain.errors import ProofFailed
from stereo_spot_dagster.media.mkv_marks import PLACEHOLDER, mark_anaglyph, set_pixel_aspect

from ..e2e.evidence import Evidence
from .conftest import Studio


def muxed(studio: Studio, target: Path, *words: str) -> Path:
    """A clip muxed by the bundled ffmpeg, which can write every mark, with nothing in it by chance."""
    clip = studio.h264("closed.mp4", "keyint=20:bframes=2")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", str(clip), "-c", "copy"]
    subprocess.run([*command, "-fflags", "+bitexact", *words, str(target)], check=True, timeout=60)
    return target


def mode(word: str) -> tuple[str, str]:
    return ("-metadata:s:v:0", f"stereo_mode={word}")


def test_a_marked_file_is_to_the_byte_what_an_ffmpeg_writes_that_knows_the_mark(studio: Studio, scratch: Path) -> None:
    marked = muxed(studio, scratch / "marked.mkv", *mode(PLACEHOLDER))
    wanted = muxed(studio, scratch / "wanted.mkv", *mode("anaglyph_cyan_red")).read_bytes()
    assert marked.read_bytes() != wanted
    mark_anaglyph(marked)
    assert marked.read_bytes() == wanted


def test_a_file_without_a_place_for_the_mark_is_named_and_left_alone(studio: Studio, scratch: Path) -> None:
    plain = muxed(studio, scratch / "plain.mkv")
    before = plain.read_bytes()
    for content in (before, before[:300], b"", b"no Matroska at all"):
        plain.write_bytes(content)
        with pytest.raises(ProofFailed, match=r"plain\.mkv: has no place"):
            mark_anaglyph(plain)
        assert plain.read_bytes() == content


@pytest.mark.parametrize("aspect", [Fraction(32, 27), Fraction(8, 9), Fraction(64, 45), Fraction(12, 11)])
@pytest.mark.parametrize("packing", ["mono", "left_right", "top_bottom"])
def test_the_shape_of_pixels_is_said_exactly(studio: Studio, scratch: Path, aspect: Fraction, packing: str) -> None:
    """As widescreen DVDs have it, ffmpeg rounds it to the next whole pixel."""
    made = muxed(studio, scratch / "wide.mkv", "-aspect", "1.7", *mode(packing))
    assert Evidence(made).video["sample_aspect_ratio"] != f"{aspect.numerator}:{aspect.denominator}"
    assert set_pixel_aspect(made, aspect)
    assert Evidence(made).video["sample_aspect_ratio"] == f"{aspect.numerator}:{aspect.denominator}"


def test_a_file_that_says_no_size_to_show_is_left_alone(studio: Studio, scratch: Path) -> None:
    path = scratch / "no.mkv"
    path.write_bytes(b"no Matroska at all")
    assert not set_pixel_aspect(path, Fraction(4, 3))
    assert path.read_bytes() == b"no Matroska at all"
