from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import ffmpeg
import pytest

from stereo_spot_dagster.domain.errors import FfmpegFailed, ToolTimeout
from stereo_spot_dagster.media.process import (
    Child,
    arguments,
    file_url,
    last_words,
    read_output,
    repeated,
    run,
    safe_input,
    scratch_folder,
)

from .conftest import Studio

PARENT = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(f'{p.pid:9}', flush=True);"
PARENT += "time.sleep(60)"


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_leaving_by_an_error_kills_the_child_and_its_own_children() -> None:
    child = Child([sys.executable, "-c", PARENT], subject="a", stdout=True, timeout_s=60)
    child.__enter__()
    said = bytearray(10)
    child.read_into(memoryview(said))
    grandchild = int(said)
    assert is_alive(grandchild)
    child.__exit__(RuntimeError, RuntimeError(), None)
    deadline = time.monotonic() + 5
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(grandchild)


def test_a_child_that_takes_too_long_is_stopped() -> None:
    started = time.monotonic()
    with (
        pytest.raises(ToolTimeout, match="a: ffmpeg took too long"),
        Child(["sleep", "60"], subject="a", timeout_s=0.5),
    ):
        pass
    assert time.monotonic() - started < 10


def test_a_child_that_stalls_is_stopped() -> None:
    with pytest.raises(ToolTimeout), Child(["sleep", "60"], subject="a", stall_s=0.5):
        pass


def test_a_chatty_child_cannot_block() -> None:
    noise = "import sys; [sys.stderr.write('x' * 1000) for _ in range(2000)]; sys.exit(3)"
    child = Child([sys.executable, "-c", noise], subject="a", timeout_s=30)
    with pytest.raises(FfmpegFailed) as raised, child:
        pass
    assert len(raised.value.messages) == 64 * 1024


def test_a_command_that_says_too_much_is_not_believed() -> None:
    with pytest.raises(FfmpegFailed, match="too large to be true"):
        read_output([sys.executable, "-c", "print('x' * 5000000)"], subject="a", timeout_s=30, limit_bytes=1000)


@pytest.mark.parametrize(
    "name", ["-y", "-i clip.mp4", "concat:a|b,c.mp4", "clip%03d.mp4", "a'b\"c\n.mp4", "[x];*?.mp4"]
)
def test_no_file_name_is_taken_for_an_option_or_an_address(studio: Studio, tmp_path: Path, name: str) -> None:
    source, copy = tmp_path / name, tmp_path / f"copy-{name}.mkv"
    source.write_bytes(studio.h264("short.mp4", frames=10).read_bytes())
    run(ffmpeg.output(safe_input(source)["v:0"], file_url(copy), c="copy", format="matroska"), subject="a")
    assert copy.stat().st_size > 1000
    assert sorted(os.listdir(tmp_path)) == sorted([name, copy.name])


def test_an_option_can_be_given_several_times() -> None:
    options = repeated("metadata:s:t:0", ["mimetype=image/jpeg", "filename=a#1"])
    words = arguments(ffmpeg.output(ffmpeg.input("a")["v:0"], "b", **options))
    position = words.index("-metadata:s:t:0")
    assert words[position : position + 4] == [
        "-metadata:s:t:0",
        "mimetype=image/jpeg",
        "-metadata:s:t:0",
        "filename=a#1",
    ]


def test_the_last_telling_line_is_the_cause() -> None:
    said = "[h264 @ 0x1] [x @ 0x2] no frame!\nError while filtering: x\nConversion failed!\n"
    assert last_words(said) == "no frame!"
    assert last_words("Conversion failed!\n") == "Conversion failed!"
    assert last_words("") == ""


def test_a_scratch_folder_is_gone_whatever_happens(tmp_path: Path) -> None:
    def work() -> None:
        with scratch_folder(tmp_path / "deep" / "scratch") as folder:
            (folder / "x").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert list((tmp_path / "deep" / "scratch").iterdir()) == []
