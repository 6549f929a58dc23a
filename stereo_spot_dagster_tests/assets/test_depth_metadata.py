"""What a person sees of a segment's depth in the UI."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from stereo_spot_dagster.assets.depth_segments import materialization
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.depth import DepthRecord

RECORD = DepthRecord(
    video="film-00000000",
    segment=3,
    model="depthcrafter",
    key="videos/film-00000000/depth/depthcrafter-1/00003_00100.mkv",
    width=1024,
    height=576,
    frames=100,
    low=0.0,
    median=0.4,
    high=1.0,
    seconds=50.0,
    frames_per_second=2.0,
    device="NVIDIA A10G",
    peak_memory_mb=11_800.4,
    notes=("the window was halved: too little memory",),
)


def shown(record: DepthRecord, home: Path) -> dict[str, object]:
    metadata = materialization(Studio(home=str(home)), record, b"").metadata or {}
    return {name: value.value if isinstance(value, dg.MetadataValue) else value for name, value in metadata.items()}


def test_depth_says_on_what_it_ran_how_fast_and_what_happened(tmp_path: Path) -> None:
    said = shown(RECORD, tmp_path)
    assert said["device"] == "NVIDIA A10G"
    assert said["peak_gpu_memory_mb"] == 11_800
    assert said["frames_per_second"] == 2.0
    assert "the window was halved" in str(said["notes"])


def test_records_that_were_stored_before_these_were_known_still_load() -> None:
    old = RECORD.model_dump(mode="json", exclude={"device", "peak_memory_mb", "notes"})
    loaded = DepthRecord.model_validate(old)
    assert (loaded.device, loaded.peak_memory_mb, loaded.notes) == ("CPU", 0.0, ())
