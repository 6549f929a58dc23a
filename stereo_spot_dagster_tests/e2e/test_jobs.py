"""Jobs and assets started with Dagster's own commands, without a daemon."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from .clips import make_clip
from .stack import Home

pytestmark = pytest.mark.slow

MODULE = ("-m", "stereo_spot_dagster.definitions")
CONFIG = """
ops:
  {op}:
    config:
      source: {source}
      settings: {{layouts: [half-sbs], preset: ultrafast, segment_frames: 16}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.make(tmp_path / "home")


def write_config(home: Home, op: str, source: Path) -> str:
    config = home.path / "config.yaml"
    config.write_text(CONFIG.format(op=op, source=source))
    return str(config)


def materializations(home: Home) -> Counter[tuple[str, str]]:
    names = ("source_video", "segments", "depth_segments", "stereo_segments", "final_video")
    with home.instance() as instance:
        return Counter(
            (name, str(record.partition_key))
            for name in names
            for record in instance.fetch_materializations(dg.AssetKey(name), limit=100).records
        )


def test_one_command_converts_a_video_in_a_fresh_instance(home: Home) -> None:
    config = write_config(home, "convert", make_clip(home.path / "clip.mp4"))
    done = home.run("dagster", "job", "execute", *MODULE, "-j", "convert_video", "-c", config)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in home.done.iterdir()] == ["clip_LR.mp4"]
    (video,) = (home.path / "videos").iterdir()
    per_video = [(asset, video.name) for asset in ("source_video", "segments", "final_video")]
    per_segment = [(asset, f"{video.name}.0000{n}") for asset in ("depth_segments", "stereo_segments") for n in (0, 1)]
    assert materializations(home) == Counter(per_video + per_segment)


def test_a_video_that_was_handed_in_is_materialized_step_by_step(home: Home) -> None:
    config = write_config(home, "hand_in", make_clip(home.path / "clip.mp4", frames=16))
    handed_in = home.run("dagster", "job", "execute", *MODULE, "-j", "add_video", "-c", config)
    assert handed_in.returncode == 0, handed_in.stderr[-2000:]
    (folder,) = (home.path / "videos").iterdir()
    steps = {
        "source_video,segments": folder.name,
        "depth_segments,stereo_segments": f"{folder.name}.00000",
        "final_video": folder.name,
    }
    for assets, partition in steps.items():
        done = home.run("dagster", "asset", "materialize", *MODULE, "--select", assets, "--partition", partition)
        assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in home.done.iterdir()] == ["clip_LR.mp4"]
    assert set(materializations(home).values()) == {1}


def test_the_definitions_load_for_dg_with_five_assets_in_three_groups(home: Home) -> None:
    checked = home.run("dg", "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = home.run("dg", "list", "defs", "--json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    found = json.loads(listed.stdout)
    assert {asset["asset_key"]: asset["group_name"] for asset in found["assets"]} == {
        "source_video": "intake",
        "segments": "intake",
        "depth_segments": "conversion",
        "stereo_segments": "conversion",
        "final_video": "delivery",
    }
    assert all(asset["description"] and asset["kinds"] and asset["owners"] for asset in found["assets"])
    edges = {asset["asset_key"]: asset["dependency_keys"] for asset in found["assets"]}
    assert edges == {
        "source_video": [],
        "segments": ["source_video"],
        "depth_segments": ["segments"],
        "stereo_segments": ["depth_segments"],
        "final_video": ["stereo_segments"],
    }
    sensors = {"drop_folder", "fan_out", "join", "failed_video_alert", "stuck_video_alert"}
    assert {sensor["name"] for sensor in found["sensors"]} == sensors
    assert {"add_video", "convert_video"} <= {job["name"] for job in found["jobs"]}
