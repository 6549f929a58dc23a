"""No upload makes ffmpeg open another file or a socket: a named pipe and a port tell if one does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stereo_spot_dagster.media.tools import find_tools

from ..assets.graph import Graph, failure_words, materialized
from ..e2e.clips import ffmpeg_words, make_clip
from .conftest import Canary, Listener
from .lures import SECRET, binary_lures, text_lures

ENDINGS = (".mp4", ".mkv", ".mov", ".avi")
TEXTS = list(text_lures(Path("x"), 1))
FILES = [
    "MP4 whose samples lie at a URL",
    "MP4 whose samples lie in another file",
    "QuickTime with an alias",
    "QuickTime that refers to another film",
    "Matroska with linked segments",
    "zip with a playlist",
]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A true MP4 with its index in front."""
    folder = tmp_path_factory.mktemp("film")
    made = make_clip(folder / "late.mp4", frames=8)
    ffmpeg_words("-i", made, "-map", "0:v", "-c", "copy", "-movflags", "faststart", folder / "film.mp4")
    return (folder / "film.mp4").read_bytes()


def bytes_that_came_out(home: Path, upload: Path) -> list[Path]:
    """Files of a home folder that hold the secret."""
    files = [path for path in home.rglob("*") if path.is_file() and path != upload]
    return [path for path in files if SECRET in path.read_bytes()]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_that_names_other_files_is_refused_and_opens_none(
    kind: str, tmp_path: Path, canary: Canary, listener: Listener
) -> None:
    graph = Graph(tmp_path / "home")
    for ending in ENDINGS:
        upload = tmp_path / f"holiday{ending}"
        upload.write_text(text_lures(canary.path, listener.port)[kind])
        video = graph.hand_in(upload)
        taken = graph.run(["source_video"], video)
        assert not taken.success
        assert materialized(taken) == set()
        assert failure_words(taken).startswith(f"holiday{ending}: it is ")
        refusal = graph.workspace.refusal(video)
        assert refusal is not None
        assert refusal.reason == failure_words(taken)
    assert (canary.openings, listener.calls) == (0, 0)
    assert bytes_that_came_out(tmp_path / "home", upload) == []


@pytest.mark.parametrize("kind", FILES)
def test_a_container_that_names_other_files_opens_none_and_gives_nothing_of_them(
    kind: str, film: bytes, tmp_path: Path, canary: Canary, listener: Listener
) -> None:
    graph = Graph(tmp_path / "home")
    name, content = binary_lures(film, canary.path, listener.port)[kind]
    for ending in {Path(name).suffix, ".mp4", ".mkv"}:
        upload = tmp_path / f"holiday{ending}"
        upload.write_bytes(content)
        video = graph.hand_in(upload)
        taken = graph.run(["source_video", "segments"], video)
        assert not taken.success
        assert failure_words(taken).startswith(f"holiday{ending}: ")
        assert graph.workspace.refusal(video) is not None
    assert (canary.openings, listener.calls) == (0, 0)
    assert bytes_that_came_out(tmp_path / "home", upload) == []


def test_the_pipe_and_the_port_do_tell_when_ffmpeg_follows_a_playlist(
    tmp_path: Path, canary: Canary, listener: Listener
) -> None:
    """Without our whitelists: the proof that the tests above can fail."""
    for kind in ("HLS playlist", "concat script"):
        lure = tmp_path / "lure.m3u8"
        lure.write_text(text_lures(canary.path, listener.port)[kind])
        form = "hls" if kind.startswith("HLS") else "concat"
        command = [find_tools().ffmpeg, "-nostdin", "-v", "error", "-f", form]
        command += ["-safe", "0"] if form == "concat" else ["-allowed_extensions", "ALL", "-extension_picky", "0"]
        command += ["-protocol_whitelist", "file,http,tcp", "-i", str(lure), "-f", "null", "-"]
        subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert canary.openings > 0
    assert listener.calls > 0


@pytest.mark.parametrize("name", ["frame%03d.png", "frame%03d.mp4", "frame*.mp4", "frame[0-9].mp4"])
def test_a_pattern_as_a_name_opens_no_neighbour(name: str, film: bytes, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"frame{number:03d}{Path(name).suffix}").write_bytes(film)
        (tmp_path / f"frame{number}.mp4").write_bytes(film)
    graph = Graph(tmp_path / "home")
    upload = tmp_path / name
    upload.write_text("no film")
    taken = graph.run(["source_video"], graph.hand_in(upload))
    assert failure_words(taken) == (f"{name}: it is a text file, not a video (no video data found). Drop a video file.")


ADDRESSES = [
    "http://127.0.0.1:{port}/a.mp4",
    "file:{canary}",
    "subfile,,start,0,end,9,,:{canary}",
    "concat:{canary}|{canary}",
    "data:video;base64,AAAA",
    "pipe:0",
    "lavfi:testsrc",
]


@pytest.mark.parametrize("scheme", ADDRESSES)
def test_an_address_as_a_path_is_only_the_name_of_a_file(
    scheme: str, film: bytes, tmp_path: Path, canary: Canary, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person types it, and as the name of a film that is really there."""
    monkeypatch.chdir(tmp_path)
    name = scheme.format(port=listener.port, canary="canary.mp4")
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film)
    graph = Graph(tmp_path / "home")
    assert graph.run(["source_video"], graph.hand_in(path)).success
    assert (canary.openings, listener.calls) == (0, 0)
