"""The command line as a user types it: real processes, real files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ffmpeg
import pytest

from stereo_spot_dagster.convert.progress import video_progress
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.video import Driver
from stereo_spot_dagster.media.probe import describe
from stereo_spot_dagster.media.process import file_url, run

QUICK = ("--preset", "ultrafast", "--crf", "28")


class CommandLine:
    """Runs ``stereo-spot`` with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {"STEREO_SPOT_HOME": str(home), "COLUMNS": "200"}
        self.environment.pop("DAGSTER_HOME", None)

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "stereo_spot_dagster.cli", *(str(word) for word in words)]

    def __call__(self, *words: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            input=stdin,
            check=False,
        )

    @property
    def workspace(self) -> Workspace:
        return Workspace.local(self.home)

    def only_video(self) -> str:
        (video,) = os.listdir(self.home / "videos")
        return video


@pytest.fixture
def stereo_spot(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a moving picture with a tone."""
    return make_clip(tmp_path_factory.mktemp("clips") / "holiday.mp4", seconds=2)


@pytest.fixture(scope="session")
def converted_home(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A home in which the clip was converted."""
    home = tmp_path_factory.mktemp("converted") / "home"
    done = CommandLine(home)("convert", clip, *QUICK)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def converted(tmp_path: Path, converted_home: Path) -> CommandLine:
    """A command line with a copy of that home."""
    shutil.copytree(converted_home, tmp_path / "home")
    return CommandLine(tmp_path / "home")


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "long.mp4", seconds=16)


def make_clip(target: Path, *, seconds: int, size: str = "192x108") -> Path:
    picture = ffmpeg.input(f"testsrc2=size={size}:rate=25:duration={seconds}", format="lavfi")
    sound = ffmpeg.input(f"sine=frequency=440:duration={seconds}", format="lavfi")
    options = {"vcodec": "libx264", "preset": "veryfast", "pix_fmt": "yuv420p", "acodec": "aac"}
    run(ffmpeg.output(picture, sound, file_url(target), **options), subject=target.name)
    return target


def test_convert_prints_the_result_as_the_last_line_and_exits_0(stereo_spot: CommandLine, clip: Path) -> None:
    done = stereo_spot("convert", clip, *QUICK)
    assert done.returncode == 0, done.stderr
    result = Path(done.stdout.splitlines()[-1])
    assert result == stereo_spot.home / "done" / "holiday_LRF_Full_SBS.mp4"
    streams = describe(result, "result")["streams"]
    assert [(s["codec_type"], s.get("width")) for s in streams] == [("video", 384), ("audio", None)]


def test_each_layout_asked_for_becomes_a_file_of_its_name(stereo_spot: CommandLine, clip: Path, tmp_path: Path) -> None:
    layouts = ("half-sbs", "anaglyph-gray", "left-right")
    words = [word for layout in layouts for word in ("--layout", layout)]
    done = stereo_spot("convert", clip, "-o", tmp_path / "out", *words, *QUICK)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["holiday_LR.mp4", "holiday_left.mp4", "holiday_redcyan_gray.mp4", "holiday_right.mp4"]
    assert [Path(line).name for line in done.stdout.splitlines()] == [
        "holiday_LR.mp4",
        "holiday_redcyan_gray.mp4",
        "holiday_left.mp4",
        "holiday_right.mp4",
    ]


def test_an_output_file_name_decides_name_and_container(stereo_spot: CommandLine, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "films" / "mine.mkv"
    done = stereo_spot("convert", clip, "-o", target, *QUICK)
    assert (done.returncode, done.stdout.strip()) == (0, str(target))
    assert "matroska" in describe(target, "result")["format"]["format_name"]


def test_a_refused_file_exits_2_with_one_sentence_and_leaves_nothing(stereo_spot: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "notes.mp4"
    broken.write_text("These are my notes.")
    done = stereo_spot("convert", broken, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip() == (
        "notes.mp4: it is a text file, not a video (no video data found). Drop a video file."
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(stereo_spot: CommandLine, tmp_path: Path) -> None:
    done = stereo_spot("convert", tmp_path / "nowhere.mp4")
    assert done.returncode == 2
    assert "nowhere.mp4: there is no such file" in done.stderr


def test_a_traceback_appears_only_with_debug(stereo_spot: CommandLine, tmp_path: Path) -> None:
    words = ("convert", tmp_path / "nowhere.mp4")
    assert "Traceback" not in stereo_spot(*words).stderr
    assert "Traceback" in stereo_spot("--debug", *words).stderr


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--divergence", "50", "setting 'divergence'"),
        ("--crf", "99", "setting 'crf'"),
        ("--start", "soon", "it is not a time"),
        ("--layout", "imax", "imax"),
    ],
)
def test_a_wrong_setting_is_named(stereo_spot: CommandLine, clip: Path, option: str, value: str, words: str) -> None:
    done = stereo_spot("convert", clip, option, value)
    assert done.returncode == 2
    assert words in done.stderr


def test_one_bad_file_of_a_folder_does_not_stop_the_rest(stereo_spot: CommandLine, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (folder / "b.mp4").write_bytes(b"not a film at all")
    make_clip(folder / "c.mp4", seconds=1)
    (folder / "readme.txt").write_text("no film")
    done = stereo_spot("convert", folder, *QUICK)
    assert done.returncode == 1
    assert [Path(line).name for line in done.stdout.splitlines()] == ["a_LRF_Full_SBS.mp4", "c_LRF_Full_SBS.mp4"]
    assert "Summary" in done.stderr
    assert "b.mp4" in done.stderr


def test_the_same_conversion_again_does_nothing_anew(converted: CommandLine, clip: Path) -> None:
    segments = list((converted.home / "videos").rglob("stereo/**/*.mp4"))
    stamps = [path.stat().st_mtime_ns for path in segments]
    again = converted("convert", clip, *QUICK)
    assert Path(again.stdout.strip()) == converted.home / "done" / "holiday_LRF_Full_SBS.mp4"
    assert segments
    assert [path.stat().st_mtime_ns for path in segments] == stamps


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_conversion_goes_on_from_its_finished_segments(
    stereo_spot: CommandLine, long_clip: Path, stop: signal.Signals
) -> None:
    words = ("convert", long_clip, *QUICK, "--segment-frames", "50")
    with subprocess.Popen(
        stereo_spot.command(*words),
        env=stereo_spot.environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Whoever runs the tests in the background of a shell has interrupts ignored, and so would our child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        finished = _wait_for_segments(stereo_spot, 2)
        os.killpg(process.pid, stop)
        process.wait(timeout=30)
    assert process.returncode != 0
    stamps = {path: path.stat().st_mtime_ns for path in finished}
    assert len(video_progress(stereo_spot.workspace, stereo_spot.only_video()).missing) > 0
    done = stereo_spot(*words)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == stamps
    video = next(s for s in describe(Path(done.stdout.strip()), "x")["streams"] if s["codec_type"] == "video")
    assert int(video["nb_frames"]) == 400


def test_retune_renders_again_without_estimating_depth(converted: CommandLine, clip: Path) -> None:
    video = converted.only_video()
    depth = {path: path.stat().st_mtime_ns for path in (converted.home / "videos").rglob("depth/**/*.mkv")}
    before = next((converted.home / "done").iterdir()).read_bytes()
    done = converted("retune", video, "--divergence", "4")
    assert done.returncode == 0, done.stderr
    assert depth
    assert {path: path.stat().st_mtime_ns for path in (converted.home / "videos").rglob("depth/**/*.mkv")} == depth
    (result,) = (converted.home / "done").iterdir()
    assert result.read_bytes() != before
    assert converted.workspace.source(video).settings.divergence == 4


def test_retune_refuses_settings_that_need_other_frames(converted: CommandLine, clip: Path) -> None:
    done = converted("retune", converted.only_video(), "--start", "1")
    assert done.returncode == 2
    assert "start_s: it cannot be changed without converting anew" in done.stderr


def test_status_shows_state_and_reason(converted: CommandLine, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"")
    converted("convert", broken)
    table = converted("status").stdout
    assert "holiday.mp4" in table
    assert "finished" in table
    assert "1/1" in table
    assert "refused" in table
    assert "the file is empty (0 bytes)" in table
    one = converted("status", next(v for v in os.listdir(converted.home / "videos") if v.startswith("holiday")))
    assert "holiday_LRF_Full_SBS.mp4" in one.stdout


def test_an_unknown_video_is_an_error_with_a_remedy(stereo_spot: CommandLine) -> None:
    done = stereo_spot("status", "nobody-00000000")
    assert done.returncode == 1
    assert done.stderr.strip() == "nobody-00000000: it was never submitted. See: stereo-spot status."


def test_remove_asks_first_and_then_leaves_neither_files_nor_partitions(converted: CommandLine, clip: Path) -> None:
    video = converted.only_video()
    refused = converted("remove", video, stdin="n\n")
    assert refused.returncode == 1
    assert video in os.listdir(converted.home / "videos")
    done = converted("remove", video, "--yes")
    assert done.returncode == 0, done.stderr
    assert os.listdir(converted.home / "videos") == []
    assert converted("status").stdout.startswith("No videos yet")
    assert list((converted.home / "done").iterdir()), "delivered results stay"


def test_submit_without_a_daemon_says_that_it_waits(stereo_spot: CommandLine, clip: Path) -> None:
    done = stereo_spot("submit", clip, "--divergence", "3")
    assert done.returncode == 0
    assert "No daemon is running" in done.stderr
    submission = stereo_spot.workspace.submission(done.stdout.strip())
    assert (submission.driver, submission.settings.divergence) == (Driver.SENSORS, 3)
    assert "waiting for the daemon" in stereo_spot("status").stdout


def test_retry_converts_a_submitted_video_here_when_no_daemon_runs(stereo_spot: CommandLine, clip: Path) -> None:
    video = stereo_spot("submit", clip, *QUICK).stdout.strip()
    done = stereo_spot("retry", video)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()
    assert stereo_spot.workspace.submission(video).driver is Driver.SENSORS


def test_a_part_of_a_video_is_cut_by_its_timestamps(stereo_spot: CommandLine, clip: Path) -> None:
    done = stereo_spot("convert", clip, *QUICK, "--start", "0.4", "--end", "1.2")
    assert done.returncode == 0, done.stderr
    video = next(s for s in describe(Path(done.stdout.strip()), "x")["streams"] if s["codec_type"] == "video")
    assert int(video["nb_frames"]) == 20


def test_doctor_names_what_works_and_what_is_optional(stereo_spot: CommandLine) -> None:
    done = stereo_spot("doctor")
    assert done.returncode == 0, done.stdout
    for thing in ("ffmpeg", "encoder HEVC 10 bit", "media store", "Dagster storage", "daemon"):
        assert thing in done.stdout


def test_doctor_fails_without_a_usable_ffmpeg(stereo_spot: CommandLine) -> None:
    stereo_spot.environment["STEREO_SPOT_FFMPEG"] = "/bin/true"
    done = stereo_spot("doctor")
    assert done.returncode == 1
    assert "broken" in done.stdout
    assert "libx264" in done.stdout


def _wait_for_segments(stereo_spot: CommandLine, count: int) -> list[Path]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [p for p in (stereo_spot.home / "videos").rglob("stereo/**/*.mp4") if not p.name.startswith(".")]
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError("no segment was finished in a minute")
