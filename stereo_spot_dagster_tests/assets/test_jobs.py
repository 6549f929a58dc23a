"""Run config of the jobs, and the words of steps that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.definitions import defs
from stereo_spot_dagster.domain.settings import ConversionSettings

from ..e2e.clips import make_clip
from .graph import Graph, failure_words


def execute(job: str, op: str, home: Path, config: dict[str, Any]) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(
        run_config={"ops": {op: {"config": config}}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        resources={"studio": Studio(home=str(home))},
        raise_on_error=False,
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"layouts": ["sideways"]}, "half-sbs"), ({"divergence": 99.0}, "divergence"), ({"preset": "warp"}, "ultrafast")],
)
def test_a_wrong_value_in_run_config_is_refused_naming_the_setting(
    tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=8)
    result = execute("convert_video", "convert", tmp_path / "home", {"source": str(clip), "settings": settings})
    assert not result.success
    assert failure_words(result).startswith("run config: setting")
    assert named in failure_words(result)


def test_a_misspelt_setting_in_run_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="colour"):
        execute("add_video", "hand_in", tmp_path / "home", {"source": "x.mp4", "settings": {"colour": "red"}})


def test_a_missing_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    result = execute("add_video", "hand_in", tmp_path / "home", {"source": str(tmp_path / "none.mp4")})
    assert failure_words(result) == "none.mp4: there is no such file. Name a video file."


def test_run_config_has_every_setting_with_its_default_in_plain_words(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=8)
    assert execute("add_video", "hand_in", tmp_path / "home", {"source": str(clip)}).success
    workspace = Workspace.local(tmp_path / "home")
    (video,) = known_videos(workspace)
    assert workspace.submission(video).settings == ConversionSettings()
    assert workspace.submission(video).origin == "launchpad"


def test_joining_too_early_says_which_segments_are_missing(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4"))
    assert graph.run(["source_video", "segments"], video).success
    early = graph.run(["final_video"], video)
    assert "2 of 2 segments are not finished (segments 0, 1)" in failure_words(early)


def test_stereo_without_depth_says_what_to_do(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4"))
    assert graph.run(["source_video", "segments"], video).success
    early = graph.run(["stereo_segments"], f"{video}.00000")
    assert "Materialize depth_segments too" in failure_words(early)


def test_a_broken_file_fails_in_its_own_words_and_is_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(bytes(range(256)) * 40)
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(tmp_path / "broken.mp4")
    result = graph.run(["source_video", "segments"], video)
    assert failure_words(result).startswith("broken.mp4: ")
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    refusal = graph.workspace.refusal(video)
    assert refusal is not None
    assert refusal.reason == failure_words(result)


def test_a_person_gets_depth_estimated_anew_and_a_sensor_does_not(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=16))
    graph.convert_all(video)
    (depth,) = (graph.home / "videos" / video / "depth").glob("*/*.mkv")
    first = depth.stat().st_ino
    assert graph.run(["depth_segments", "stereo_segments"], f"{video}.00000").success
    assert depth.stat().st_ino == first
    assert graph.run(["depth_segments", "stereo_segments"], f"{video}.00000", by_hand=True).success
    assert depth.stat().st_ino != first


def test_a_run_that_a_person_started_is_found_by_the_videos_name(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=16))
    assert graph.run(["source_video"], video, by_hand=True).success
    assert len(graph.instance.get_runs(dg.RunsFilter(tags={"stereo_spot/video": video}))) == 1
