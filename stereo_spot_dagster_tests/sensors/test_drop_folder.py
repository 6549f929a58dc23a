"""Which files are taken from the drop folder, when, and with which settings."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.intake import identify, submit
from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.sensors import dropped_files as files
from stereo_spot_dagster.sensors.drop_folder import drop_folder
from stereo_spot_dagster.sensors.dropped_files import Memory, dropped_files, settings_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drop = tmp_path / "home" / "drop"
    drop.mkdir(parents=True)
    return drop


class Sensor:
    """The drop-folder sensor, ticking as the daemon ticks it, on a clock of its own."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace = Workspace.local(home)
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self._now = 1_000.0
        monkeypatch.setattr("stereo_spot_dagster.sensors.drop_folder.time.time", lambda: self._now)

    def tick(self, *, after_s: float = 6.0) -> dg.SensorResult:
        self._now += after_s
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = drop_folder(context, studio=Studio(home=str(self.workspace.home)))
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor = result.cursor
        return result

    def take(self) -> dg.SensorResult:
        """Two ticks: a file is seen, and has stayed the same."""
        self.tick()
        return self.tick()


@pytest.fixture
def sensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    return Sensor(folder.parent, monkeypatch)


def keys_of(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def test_a_file_is_taken_when_it_has_stayed_the_same(folder: Path, sensor: Sensor) -> None:
    (folder / "film.mp4").write_bytes(b"one")
    assert keys_of(sensor.tick()) == []
    (folder / "film.mp4").write_bytes(b"one two")
    assert keys_of(sensor.tick()) == []
    assert keys_of(sensor.tick(after_s=2.0)) == []
    assert keys_of(sensor.tick(after_s=4.0)) == known_videos(sensor.workspace)
    assert len(known_videos(sensor.workspace)) == 1


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="only Linux tells which files are open")
def test_a_file_that_is_open_for_writing_is_left_alone(folder: Path, sensor: Sensor) -> None:
    with (folder / "film.mp4").open("wb") as file:
        file.write(b"one")
        file.flush()
        assert keys_of(sensor.take()) == []
    with (folder / "film.mp4").open("rb"):
        assert len(keys_of(sensor.tick())) == 1


def test_a_file_is_taken_once_even_when_the_cursor_is_lost(folder: Path, sensor: Sensor) -> None:
    (folder / "film.mp4").write_bytes(b"one")
    first = keys_of(sensor.take())
    sensor.cursor = None
    sensor.take()
    os.utime(folder / "film.mp4")
    sensor.take()
    assert known_videos(sensor.workspace) == first


def test_a_sidecar_that_makes_no_sense_refuses_its_video_and_keeps_no_other_from_its_turn(
    folder: Path, sensor: Sensor
) -> None:
    for name, text in {"odd": b"divergence: !!bool maybe", "endless": b"depth: file:x\n" + bytes(1 << 20)}.items():
        (folder / f"{name}.mp4").write_bytes(name.encode())
        (folder / f"{name}.yaml").write_bytes(text)
    (folder / "plain.mp4").write_bytes(b"plain")
    (taken,) = keys_of(sensor.take())
    assert taken is not None
    assert taken.startswith("plain-")
    refusals = [sensor.workspace.refusal(video) for video in known_videos(sensor.workspace)]
    reasons = " ".join(refusal.reason for refusal in refusals if refusal)
    assert "odd.yaml: it cannot be read as YAML" in reasons
    assert "endless.yaml: it is too long to be settings" in reasons


def test_other_content_of_the_same_name_is_another_video(folder: Path, sensor: Sensor) -> None:
    (folder / "film.mp4").write_bytes(b"one")
    sensor.take()
    (folder / "film.mp4").write_bytes(b"two")
    sensor.take()
    assert len(known_videos(sensor.workspace)) == 2


def test_partial_downloads_hidden_files_links_and_notes_are_passed_over(folder: Path, tmp_path: Path) -> None:
    for name in ("film.mp4.part", ".film.mp4", "film.nfo", "film.yaml", "film.mkv"):
        (folder / name).write_bytes(b"x")
    for foreign in ("filmM01.XML", "film.mkv.md5", "film.de.vtt", "poster.PNG", "Thumbs.db", "cut.edl", "all.zip"):
        (folder / foreign).write_bytes(b"x")
    (folder / "link.mp4").symlink_to(tmp_path / "elsewhere")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "film.mp4").write_bytes(b"x")
    assert [file.path.name for file in dropped_files(folder)] == ["film.mkv"]


def test_a_folder_of_a_layouts_name_chooses_the_layout_and_a_sidecar_the_rest(folder: Path) -> None:
    (folder / "half-sbs").mkdir()
    (folder / "half-sbs" / "film.mp4").write_bytes(b"x")
    (folder / "half-sbs" / "film.yaml").write_text("crf: 30\n")
    settings = settings_for(dropped_files(folder)[0], folder.parent / "presets")
    assert settings.layouts == (Layout.HALF_SBS,)
    assert settings.crf == 30


def test_a_preset_file_gives_the_settings_of_its_folder(folder: Path) -> None:
    (folder.parent / "presets").mkdir()
    (folder.parent / "presets" / "cinema.yaml").write_text("layouts: [full-tb]\ndivergence: 3\n")
    (folder / "cinema").mkdir()
    (folder / "cinema" / "film.mp4").write_bytes(b"x")
    settings = settings_for(dropped_files(folder)[0], folder.parent / "presets")
    assert settings.layouts == (Layout.FULL_TB,)
    assert settings.divergence == 3


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("divergence: 99", "divergence"),
        ("layouts: [sideways]", "layouts"),
        ("colour: red", "colour"),
        ("- a list", "no settings"),
        ("crf: [", "YAML"),
    ],
)
def test_a_wrong_sidecar_is_named_with_what_is_wrong_in_it(folder: Path, words: str, named: str) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text(words)
    with pytest.raises(InvalidSettings) as problem:
        settings_for(dropped_files(folder)[0], folder.parent / "presets")
    assert named in str(problem.value)
    assert "film.yaml" in str(problem.value)


def test_a_video_with_a_wrong_sidecar_is_refused_and_accepted_when_it_is_corrected(
    folder: Path, sensor: Sensor
) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text("divergence: 99")
    assert keys_of(sensor.take()) == []
    (refused,) = known_videos(sensor.workspace)
    refusal = sensor.workspace.refusal(refused)
    assert refusal is not None
    assert "film.yaml: setting 'divergence'" in refusal.reason
    (folder / "film.yaml").write_text("divergence: 3")
    accepted = keys_of(sensor.take())
    assert known_videos(sensor.workspace) == accepted
    assert accepted != [refused]


def test_a_video_whose_wrong_sidecar_is_taken_away_is_accepted(folder: Path, sensor: Sensor) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text("divergence: 99")
    sensor.take()
    (folder / "film.yaml").unlink()
    assert len(keys_of(sensor.take())) == 1


def test_an_unknown_preset_folder_is_refused_with_the_way_to_make_it(folder: Path, sensor: Sensor) -> None:
    (folder / "sideways").mkdir()
    (folder / "sideways" / "film.mp4").write_bytes(b"x")
    sensor.take()
    refusal = sensor.workspace.refusal(known_videos(sensor.workspace)[0])
    assert refusal is not None
    assert "drop/sideways" in refusal.reason
    assert "presets/sideways.yaml" in refusal.reason


def test_the_memory_of_a_thousand_finished_files_stays_small(folder: Path) -> None:
    memory = Memory.parse(None)
    names = [f"a film with a long name {number}.mp4" for number in range(1000)]
    dropped = [files.DroppedFile(folder / name, "", "1:2", 0.0) for name in names]
    for file in dropped:
        memory.mark_done(file)
    assert len(str(memory)) < 15_000
    assert not any(Memory.parse(str(memory)).is_ready(file, 1e12) for file in dropped)


@pytest.mark.parametrize("cursor", [None, "", "not json", "[]", '{"waiting": 3}', '{"waiting": {"a": 1}, "done": ""}'])
def test_a_cursor_that_makes_no_sense_is_an_empty_memory(cursor: str | None) -> None:
    assert str(Memory.parse(cursor)) == str(Memory({}, set(), ""))


def test_a_video_handed_in_otherwise_is_taken_without_a_file_in_the_folder(folder: Path, sensor: Sensor) -> None:
    (folder.parent / "elsewhere.mp4").write_bytes(b"x")
    submission = identify(folder.parent / "elsewhere.mp4", ConversionSettings())
    submit(sensor.workspace, submission)
    assert keys_of(sensor.tick()) == [submission.video]


def test_one_video_with_broken_records_does_not_stop_the_others(folder: Path, sensor: Sensor) -> None:
    broken = sensor.workspace.home / "videos" / "aaa-00000000"
    broken.mkdir(parents=True)
    (broken / "submission.json").write_text("{")
    (folder / "film.mp4").write_bytes(b"one")
    assert len(keys_of(sensor.take())) == 1


def test_a_sidecar_may_name_depth_that_lies_beside_it(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film-depth.mkv").write_bytes(b"y")
    (folder / "film.yaml").write_text("depth: file:film-depth.mkv\n")
    (file,) = dropped_files(folder)
    assert file.path.name == "film.mp4"
    assert settings_for(file, folder.parent / "presets").depth == f"file:{folder / 'film-depth.mkv'}"


def test_a_folder_of_depth_pictures_is_no_preset_and_is_waited_for(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text("depth: file:pictures\n")
    (folder / "pictures").mkdir()
    (before,) = dropped_files(folder)
    (folder / "pictures" / "1.png").write_bytes(b"y")
    (after,) = dropped_files(folder)
    assert before.path == after.path == folder / "film.mp4"
    assert before.state != after.state


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../secret.npz", "a/b.npz", "..", ".", "", ".hidden.npz", "a\\b.npz", "not-there.npz"]
)
def test_a_sidecar_cannot_reach_other_files_of_the_machine(folder: Path, named: str) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text(f"depth: 'file:{named}'\n")
    with pytest.raises(InvalidSettings, match="beside"):
        settings_for(dropped_files(folder)[0], folder.parent / "presets")


def test_a_sidecar_cannot_name_a_link_or_a_network(folder: Path, tmp_path: Path) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (tmp_path / "secret.npz").write_bytes(b"y")
    (folder / "link.npz").symlink_to(tmp_path / "secret.npz")
    (folder / "film.yaml").write_text("depth: file:link.npz\n")
    with pytest.raises(InvalidSettings, match=r"there is no file or folder 'link\.npz' beside it"):
        settings_for(dropped_files(folder)[0], folder.parent / "presets")
    (folder / "film.yaml").write_text("depth: onnx:net.onnx\n")
    with pytest.raises(InvalidSettings, match="may not name a network"):
        settings_for(dropped_files(folder)[0], folder.parent / "presets")


def test_a_video_is_taken_when_the_depth_that_its_sidecar_names_has_come(folder: Path, sensor: Sensor) -> None:
    (folder / "film.mp4").write_bytes(b"x")
    (folder / "film.yaml").write_text("depth: file:film.npz\n")
    assert keys_of(sensor.take()) == []
    (folder / "film.npz").write_bytes(b"y")
    assert len(keys_of(sensor.take())) == 1
