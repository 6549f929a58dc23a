from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.domain.errors import ProofFailed
from stereo_spot_dagster.media.cut import copy_cuts, prove_cut
from stereo_spot_dagster.media.frames import read_pictures
from stereo_spot_dagster.media.plan import plan_segments

from ..e2e.evidence import Evidence
from .conftest import Studio
from .flat import Cut, Scanned, cut_by_copy, cut_by_mezzanine, look

pytestmark = pytest.mark.other_ffmpeg

OPEN_GOP = "keyint=20:bframes=3:b-pyramid=normal:open-gop=1"


def pictures_of(cut: Cut, scanned: Scanned, target_frames: int) -> int:
    """How many pictures the segments' own frames come to when they are read and proved one by one."""
    count = 0
    for segment, found in zip(plan_segments(scanned.seen.frames, target_frames, 5), cut.files, strict=True):
        crcs = cut.frames.crc[segment.first_needed : segment.end_frame]
        for planes in read_pictures(found.path, cut.picture, skip=found.skip_frames, crcs=crcs, name="clip"):
            assert planes[0].shape == (cut.picture.height, cut.picture.width)
            count += 1
        count -= segment.overlap_frames
    return count


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_scan_has_each_frame_with_its_own_time(studio: Studio, scratch: Path, container: str) -> None:
    clip = studio.h264(f"closed.{container}", "keyint=20:bframes=2")
    scanned = look(clip, scratch)
    truth = Evidence(clip).frame_times
    assert [scanned.seen.frames.time_base.seconds(int(pts)) for pts in scanned.seen.frames.pts] == truth
    assert len(truth) == 60
    assert scanned.seen.uniform


def test_a_variable_rate_is_kept_frame_by_frame(studio: Studio, scratch: Path) -> None:
    jitter = "settb=1/90000,setpts='N*3003+mod(N*N*37,900)+gte(N,30)*38700'"
    words = ["-vf", jitter, "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"]
    clip = studio.h264("vfr.mkv", "keyint=20:bframes=2", *words)
    scanned = look(clip, scratch)
    assert [scanned.seen.frames.time_base.seconds(int(p)) for p in scanned.seen.frames.pts] == Evidence(
        clip
    ).frame_times
    assert len(np.unique(np.diff(scanned.seen.frames.pts))) > 5


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("closed.mp4", "keyint=20:bframes=2"),
        ("open.mkv", OPEN_GOP),
        ("one-key.mp4", "keyint=600:bframes=2"),
        ("all-keys.mp4", "keyint=1"),
    ],
)
def test_copied_cuts_hold_exactly_the_planned_pictures(studio: Studio, scratch: Path, name: str, params: str) -> None:
    scanned = look(studio.h264(name, params), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 5)
    assert len(segments) == 4
    cut = cut_by_copy(scanned, segments, scratch)
    assert pictures_of(cut, scanned, 16) == 60


def test_a_cut_is_a_copy_and_not_a_new_encode(studio: Studio, scratch: Path) -> None:
    clip = studio.h264("closed.mp4", "keyint=20:bframes=2")
    scanned = look(clip, scratch)
    cut = cut_by_copy(scanned, plan_segments(scanned.seen.frames, 20, 0), scratch)
    source = {packet.sha256 for packet in Evidence(clip).packets[0]}
    sizes = [len(found.path.read_bytes()) for found in cut.files]
    assert sum(sizes) < 2 * clip.stat().st_size + 4000 * len(sizes)
    assert len(source) == 60


def test_intra_refresh_fails_the_proof_and_its_mezzanine_passes_it(studio: Studio, scratch: Path) -> None:
    clip = studio.h264("refresh.mp4", "keyint=20:intra-refresh=1:bframes=0")
    scanned = look(clip, scratch)
    segments = plan_segments(scanned.seen.frames, 16, 5)
    with pytest.raises(ProofFailed, match="does not hold the planned frames"):
        cut_by_copy(scanned, segments, scratch)
    cut = cut_by_mezzanine(scanned, segments, scratch)
    np.testing.assert_array_equal(cut.frames.crc, scanned.seen.frames.crc)
    assert pictures_of(cut, scanned, 16) == 60


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p", "gray"])
def test_a_mezzanine_is_lossless_in_every_sample_format(studio: Studio, scratch: Path, pix_fmt: str) -> None:
    clip = studio.clip(f"{pix_fmt}.mkv", "-c:v", "ffv1", "-g", "30", "-pix_fmt", pix_fmt, frames=30)
    scanned = look(clip, scratch)
    cut = cut_by_mezzanine(scanned, plan_segments(scanned.seen.frames, 16, 5), scratch)
    np.testing.assert_array_equal(cut.frames.crc, scanned.seen.frames.crc)


def test_a_cut_file_with_another_picture_fails_the_proof(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    other = studio.h264("other.mp4", "keyint=20:bframes=2", "-vf", "negate")
    forged = look(other, scratch)
    paths = copy_cuts(other, forged.report, forged.seen.packets, forged.seen.frames, segments, scratch)
    assert paths is not None
    with pytest.raises(ProofFailed):
        prove_cut(paths[1], segments[1], cut.frames, scanned.picture, scratch, "clip")


def test_a_damaged_cut_file_fails_the_proof(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    victim = cut.files[1].path
    data = bytearray(victim.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    victim.write_bytes(data)
    with pytest.raises(ProofFailed):
        prove_cut(victim, segments[1], cut.frames, scanned.picture, scratch, "clip")


def test_a_cut_file_of_another_segment_fails_the_proof(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    with pytest.raises(ProofFailed):
        prove_cut(cut.files[0].path, segments[3], cut.frames, scanned.picture, scratch, "clip")


def test_a_worker_notices_a_picture_that_is_not_the_planned_one(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    crcs = cut.frames.crc[:16].copy()
    crcs[9] ^= 1
    reader = read_pictures(cut.files[0].path, cut.picture, skip=0, crcs=crcs, name="clip")
    with pytest.raises(ProofFailed, match="frame 9"):
        list(reader)


def test_a_worker_notices_missing_pictures(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    crcs = np.concatenate((cut.frames.crc[: segments[0].frames], np.zeros(30, np.uint32)))
    with pytest.raises(ProofFailed):
        list(read_pictures(cut.files[0].path, cut.picture, skip=0, crcs=crcs, name="clip"))
