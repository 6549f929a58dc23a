from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from stereo_spot_dagster.domain import video as videos
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import VideoKey, content_identity, output_stem, slug, video_key

names = st.text(min_size=1, max_size=300)
key_rule = TypeAdapter(VideoKey)


@given(names, st.text("0123456789abcdef", min_size=32, max_size=32))
def test_any_file_name_gives_a_valid_key(name: str, identity: str) -> None:
    key = video_key(name, identity, ConversionSettings())
    assert key_rule.validate_python(key) == key


@given(names)
def test_a_slug_is_safe_in_paths_and_partition_keys(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", slug(name))


def test_the_key_follows_content_and_settings_not_the_name() -> None:
    default, other = ConversionSettings(), ConversionSettings(crf=30)
    first, again = video_key("a.mp4", "00" * 16, default), video_key("b.mp4", "00" * 16, default)
    assert first[-8:] == again[-8:]
    assert video_key("a.mp4", "11" * 16, default)[-8:] != first[-8:]
    assert video_key("a.mp4", "00" * 16, other)[-8:] != first[-8:]


@given(names)
def test_an_output_name_is_one_plain_path_part(name: str) -> None:
    stem = output_stem(name)
    assert stem
    assert stem == Path(stem).name
    assert not stem.startswith(("-", "."))
    assert not set(stem) & set('/\\:*?"<>|%')
    assert stem.isprintable()
    assert len(stem.encode()) <= 160


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Urlaub ä 2024.mp4", "Urlaub ä 2024"),
        ("-y.mp4", "y"),
        ("../../etc/passwd", "passwd"),
        ("concat:a|b,c.mp4", "concat_a_b,c"),
        ("clip%03d.mp4", "clip_03d"),
        ("a\nb.mp4", "a_b"),
        ("東京🎬.mkv", "東京🎬"),
    ],
)
def test_output_names_stay_recognisable(name: str, expected: str) -> None:
    assert output_stem(name) == expected


def test_identity_is_that_of_size_and_content(tmp_path: Path) -> None:
    first, copy, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_bytes(b"x" * 1000)
    copy.write_bytes(b"x" * 1000)
    other.write_bytes(b"x" * 999 + b"y")
    assert content_identity(first) == content_identity(copy)
    assert content_identity(first) != content_identity(other)
    assert len(content_identity(first)) == 32


@pytest.mark.parametrize("position", ["first", "last"])
def test_a_large_file_is_known_by_samples_that_include_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: str
) -> None:
    monkeypatch.setattr(videos, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(videos, "_SAMPLE_BYTES", 64)
    path = tmp_path / "large"
    path.write_bytes(os.urandom(100_000))
    before = content_identity(path)
    with path.open("r+b") as file:
        file.seek(0 if position == "first" else 99_999)
        old = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([old[0] ^ 1]))
    assert content_identity(path) != before
