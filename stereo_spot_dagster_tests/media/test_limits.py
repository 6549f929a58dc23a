"""What the children may use: kept by the kernel, for every one of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import FfmpegFailed, ToolTimeout
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.media import process
from stereo_spot_dagster.media.limits import ChildLimits, memory_of_this_machine, set_limits
from stereo_spot_dagster.media.process import Child
from stereo_spot_dagster.media.tools import find_tools

from .conftest import Studio

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process from outside")
LIMITS = ChildLimits(memory_bytes=400 << 20, cpu_s=60, file_bytes=1 << 20)


def run_python(code: str, limits: ChildLimits) -> None:
    with Child([sys.executable, "-c", code], subject="a.mp4", timeout_s=60, limits=limits) as child:
        child.finish()


def test_a_child_gets_no_more_memory_than_its_limit() -> None:
    run_python("import time; time.sleep(0.5); x = bytearray(200 << 20)", LIMITS)
    with pytest.raises(FfmpegFailed, match="MemoryError"):
        run_python("import time; time.sleep(0.5); x = bytearray(600 << 20)", LIMITS)


def test_a_child_that_computes_without_end_is_stopped_by_its_processor_time() -> None:
    with pytest.raises(FfmpegFailed, match=r"a\.mp4: ffmpeg failed: used more processor time than it may"):
        run_python("while True: pass", replace(LIMITS, cpu_s=1))


def test_a_child_that_writes_without_end_is_stopped_by_the_size_of_its_file(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); time.sleep(0.5)\n"
    code += f"open({str(tmp_path / 'x')!r}, 'wb').write(bytes(3 << 20))"
    with pytest.raises(FfmpegFailed, match="wrote a larger file than it may"):
        run_python(code, LIMITS)
    assert (tmp_path / "x").stat().st_size <= LIMITS.file_bytes


def test_a_child_opens_no_more_files_than_its_limit() -> None:
    code = "import time; time.sleep(0.5); files = [open('/dev/null') for _ in range(100)]"
    run_python(code, LIMITS)
    with pytest.raises(FfmpegFailed, match="Too many open files"):
        run_python(code, replace(LIMITS, open_files=50))


def test_limits_of_a_child_that_has_ended_are_no_error() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert set_limits(ended.pid, LIMITS) is None


def test_memory_of_this_machine_is_what_the_system_has_at_most() -> None:
    assert 256 << 20 < memory_of_this_machine() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_child_without_any_limit_of_time_is_not_started() -> None:
    with pytest.raises(ValueError, match="limit of time"):
        Child(["true"], subject="a")


def test_a_child_is_not_blamed_for_the_time_that_its_reader_takes() -> None:
    code = "import sys; [sys.stdout.buffer.write(bytes(1 << 20)) for _ in range(8)]"
    with Child([sys.executable, "-c", code], subject="a", stdout=True, stall_s=1.0) as child:
        block = memoryview(bytearray(1 << 20))
        assert child.read_into(block) == 1 << 20
        time.sleep(3.5)
        assert sum(child.read_into(block) for _ in range(7)) == 7 << 20
        child.finish()


def test_a_child_that_gives_nothing_while_it_is_waited_for_is_stopped() -> None:
    child = Child(["sleep", "60"], subject="a", stdout=True, stall_s=0.5)
    assert child.read_into(memoryview(bytearray(1))) == 0
    with pytest.raises(ToolTimeout):
        child.finish()


@pytest.mark.parametrize("name", ["open-gop.mkv", "sound.mp4"])
def test_every_ffmpeg_of_a_conversion_works_under_limits(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One source is cut by stream copy, the other needs a lossless copy: together they need every kind of child."""
    clip = studio.h264(name, "keyint=10:open-gop=1:bframes=3") if name == "open-gop.mkv" else studio.rich(name)
    limited: dict[int, str] = {}
    started: list[int] = []

    def spy(pid: int, limits: ChildLimits) -> None:
        set_limits(pid, limits)
        place = Path(f"/proc/{pid}/limits")
        limited[pid] = place.read_text() if place.exists() else ""

    class Popen(subprocess.Popen):
        def __init__(self, command: list[str], **options: object) -> None:
            super().__init__(command, **options)  # type: ignore[call-overload]
            media = any(word.startswith(("file:", "pipe:")) for word in command)
            started.extend([self.pid] if media and command[0].startswith(("ff", "/")) else [])

    monkeypatch.setattr(process, "set_limits", spy)
    monkeypatch.setattr(subprocess, "Popen", Popen)
    settings = ConversionSettings(preset="ultrafast", segment_frames=32, depth="cues")
    submission = identify(clip, settings)
    assert len(list(conversion_steps(Workspace.local(tmp_path / "home"), submission))) > 3
    assert find_tools().ffmpeg
    assert len(started) > 12
    assert set(started) == set(limited)
    unlimited = [
        line
        for said in limited.values()
        for line in said.splitlines()
        if line.startswith(("Max data size", "Max cpu time", "Max file size")) and "unlimited" in line
    ]
    assert unlimited == []
