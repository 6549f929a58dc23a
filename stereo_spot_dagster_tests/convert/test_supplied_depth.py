"""Depth that a user supplies with a video: which kinds are taken, what their values mean, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.convert.depth import estimate_depth, existing_depth, read_depth
from stereo_spot_dagster.convert.intake import identify, submit, take_in
from stereo_spot_dagster.convert.planning import existing_plan, make_plan
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import SourceRecord
from stereo_spot_dagster.media.frames import PictureWriter
from stereo_spot_dagster.media.process import file_url, run

WIDTH, HEIGHT, FRAMES = 96, 54, 30
SIZE = (64, 36)


def true_depth(frames: int = FRAMES, size: tuple[int, int] = SIZE) -> NDArray[np.float64]:
    """``[T, h, w]`` in 0..1: a ramp that moves, with both ends of the range in it."""
    x, t = np.arange(size[0]) / (size[0] - 1), np.arange(frames)
    ramp = (x[None, :] + 0.02 * t[:, None]) % 1.0
    ramp[:, 0], ramp[:, -1] = 0, 1
    return np.repeat(ramp[:, None, :], size[1], axis=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture = ffmpeg.input(f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration={FRAMES / 25}", format="lavfi")
    run(ffmpeg.output(picture, file_url(target), vcodec="libx264", pix_fmt="yuv420p", g=10), subject="clip")
    return target


def write_video(path: Path, depth: NDArray[np.float64], pix_fmt: str, codec: str, **options: object) -> Path:
    """A depth video whose samples are made here, so that no conversion of ffmpeg's is trusted."""
    full = options.pop("full", pix_fmt.startswith("gray") or pix_fmt == "rgb24")
    bits = 16 if "16" in pix_fmt else 10 if "10" in pix_fmt else 8
    low, span = (0, (1 << bits) - 1) if full else (16 << (bits - 8), 219 << (bits - 8))
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    luma = np.rint(low + span * depth).astype(kind)
    size = f"{depth.shape[2]}x{depth.shape[1]}"
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt=pix_fmt, s=size, framerate=25)
    if not pix_fmt.startswith("gray") and pix_fmt != "rgb24":
        # Said on both sides, else ffmpeg converts the one into the other.
        source = source.filter("setparams", range="pc" if full else "tv")
        options["color_range"] = "pc" if full else "tv"
    node = ffmpeg.output(source, file_url(path), vcodec=codec, pix_fmt=pix_fmt, **options)
    chroma = np.full(luma[0].size // 2, 1 << (bits - 1), kind)
    with PictureWriter(node, name="depth") as writer:
        for picture in luma:
            if pix_fmt == "rgb24":
                writer.write([np.repeat(picture[..., None], 3, axis=-1)])
            else:
                writer.write([picture] if pix_fmt.startswith("gray") else [picture, chroma])
    return path


def write_pngs(folder: Path, depth: NDArray[np.float64], kind: type) -> Path:
    folder.mkdir()
    for number, picture in enumerate(depth):
        samples = np.rint(picture * np.iinfo(kind).max).astype(kind)
        cv2.imwrite(str(folder / f"{number:05d}.png"), samples)
    return folder


def write_npz(path: Path, array: NDArray, **others: NDArray) -> Path:
    np.savez_compressed(path, depth=array, **others)
    return path


def settings_of(path: Path, **values: object) -> ConversionSettings:
    return ConversionSettings(depth=f"file:{path}", segment_frames=16, preset="ultrafast", **values)  # type: ignore[arg-type]


def taken_in(home: Path, clip: Path, settings: ConversionSettings) -> tuple[Workspace, SourceRecord]:
    workspace = Workspace.local(home)
    submission = identify(clip, settings)
    submit(workspace, submission)
    return workspace, take_in(workspace, submission)


def stored_depth(home: Path, clip: Path, settings: ConversionSettings) -> NDArray[np.float32]:
    """``[T, h, w]`` depth of all segments."""
    workspace, source = taken_in(home, clip, settings)
    plan = make_plan(workspace, source)
    maps = []
    for segment in plan.segments:
        estimate_depth(workspace, settings, plan, workspace.frames(plan), segment)
        record = existing_depth(workspace, plan, segment)
        assert record
        maps += list(read_depth(Path(workspace.store.locate(record.key)), record))
    return np.stack(maps)


VIDEOS = {
    "gray 8 bit": ("gray", "ffv1", {}, 1 / 255),
    "gray 10 bit": ("gray10le", "ffv1", {}, 1 / 1023),
    "gray 16 bit": ("gray16le", "ffv1", {}, 1e-4),
    "8 bit TV range": ("yuv420p", "libx264", {"qp": 0}, 1 / 219),
    "8 bit full range": ("yuv420p", "libx264", {"qp": 0, "full": True}, 1 / 255),
    "10 bit TV range": ("yuv420p10le", "ffv1", {}, 1 / 876),
    "10 bit full range": ("yuv420p10le", "ffv1", {"full": True}, 1 / 1023),
    "colour": ("rgb24", "ffv1", {}, 1 / 255),
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_depth_video_of_any_kind_is_taken_for_what_it_means(tmp_path: Path, clip: Path, kind: str) -> None:
    pix_fmt, codec, options, step = VIDEOS[kind]
    path = tmp_path / "depth.mkv"
    if pix_fmt == "rgb24":
        # FFV1 keeps RGB as bgr0.
        source = write_video(tmp_path / "rgb.nut", true_depth(), "rgb24", "rawvideo")
        run(ffmpeg.output(ffmpeg.input(file_url(source)), file_url(path), vcodec="ffv1", pix_fmt="bgr0"), subject="x")
    else:
        write_video(path, true_depth(), pix_fmt, codec, **options)
    found = stored_depth(tmp_path / "home", clip, settings_of(path))
    np.testing.assert_allclose(found, true_depth(), atol=0.75 * step + 2e-5)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_folder_of_pictures_is_taken_in_order_of_names(tmp_path: Path, clip: Path, kind: type) -> None:
    folder = write_pngs(tmp_path / "depth", true_depth(), kind)
    (folder / "notes.txt").write_text("not a picture")
    found = stored_depth(tmp_path / "home", clip, settings_of(folder))
    np.testing.assert_allclose(found, true_depth(), atol=0.51 / np.iinfo(kind).max + 2e-5)


@pytest.mark.parametrize(
    ("scale", "shift", "kind"),
    [
        (1, 0, np.float32),
        (1, 0, np.float16),
        (40, -7, np.float32),
        (255, 0, np.uint8),
        (65535, 0, np.uint16),
        (10_000, -5_000, np.int32),
    ],
)
def test_an_array_is_taken_as_shares_or_stretched(
    tmp_path: Path, clip: Path, scale: float, shift: float, kind: type
) -> None:
    values = true_depth() * scale + shift
    values = values.astype(kind) if np.issubdtype(kind, np.floating) else np.rint(values).astype(kind)
    found = stored_depth(tmp_path / "home", clip, settings_of(write_npz(tmp_path / "d.npz", values)))
    np.testing.assert_allclose(found, true_depth(), atol=0.003)


def test_depth_of_a_part_of_the_video_is_that_of_these_frames(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth().astype(np.float32))
    settings = settings_of(path, start_s=0.4, end_s=1.0)
    found = stored_depth(tmp_path / "home", clip, settings)
    np.testing.assert_allclose(found, true_depth()[10:25], atol=2e-5)


def test_depth_that_is_larger_than_the_video_is_reduced_to_its_size(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth(size=(192, 108)).astype(np.float32))
    assert stored_depth(tmp_path / "home", clip, settings_of(path)).shape == (FRAMES, HEIGHT, WIDTH)


def test_depth_in_several_pieces_in_the_store_is_read_across_them(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stereo_spot_dagster.convert.supplied_depth.PIECE_FRAMES", 7)
    path = write_npz(tmp_path / "d.npz", true_depth().astype(np.float32))
    found = stored_depth(tmp_path / "home", clip, settings_of(path, start_s=0.2))
    np.testing.assert_allclose(found, true_depth()[5:], atol=2e-5)


def test_after_intake_the_users_file_is_not_needed_and_the_video_converts(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth().astype(np.float32))
    workspace = Workspace.local(tmp_path / "home")
    submission = identify(clip, settings_of(path))
    steps = conversion_steps(workspace, submission)
    next(steps)
    path.unlink()
    assert [type(step).__name__ for step in steps][-1] == "FinishedVideo"
    plan = workspace.plan(submission.video)
    source = workspace.source(submission.video)
    assert source.supplied_depth
    assert plan.depth_digest == source.supplied_depth.sha256[:16]
    assert existing_plan(workspace, source) == plan


def test_the_same_depth_has_the_same_name_in_whatever_file_it_comes(tmp_path: Path, clip: Path) -> None:
    samples = np.rint(true_depth() * 65535).astype(np.uint16)
    folder = write_pngs(tmp_path / "depth", true_depth(), np.uint16)
    records = [
        taken_in(tmp_path / name, clip, settings_of(path))[1].supplied_depth
        for name, path in (("a", write_npz(tmp_path / "d.npz", samples)), ("b", folder))
    ]
    assert records[0]
    assert records[1]
    assert records[0].sha256 == records[1].sha256


def test_other_depth_under_the_same_name_is_another_video(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth().astype(np.float32))
    first = identify(clip, settings_of(path)).video
    assert identify(clip, settings_of(path)).video == first
    write_npz(path, 1 - true_depth().astype(np.float32))
    assert identify(clip, settings_of(path)).video != first


def test_a_relative_path_is_kept_as_an_absolute_one(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth().astype(np.float32))
    monkeypatch.chdir(tmp_path)
    assert identify(clip, settings_of(Path("d.npz"))).settings.depth == f"file:{path}"


def test_a_source_that_was_taken_in_before_there_was_supplied_depth_still_loads(tmp_path: Path, clip: Path) -> None:
    _, source = taken_in(tmp_path / "home", clip, ConversionSettings(depth="cues"))
    old = source.model_dump(mode="json")
    del old["supplied_depth"]
    assert SourceRecord.model_validate(old).supplied_depth is None


def test_another_number_of_pictures_is_refused_with_both_numbers(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth(29).astype(np.float32))
    workspace, source = taken_in(tmp_path / "home", clip, settings_of(path))
    with pytest.raises(InputRefused, match="it has 30 frames, and its depth has 29 pictures"):
        make_plan(workspace, source)


def test_depth_of_another_shape_is_refused(tmp_path: Path, clip: Path) -> None:
    path = write_npz(tmp_path / "d.npz", true_depth(size=(64, 40)).astype(np.float32))
    with pytest.raises(InputRefused, match="64x40 pixels, which is not the shape of the video \\(96x54\\)"):
        taken_in(tmp_path / "home", clip, settings_of(path))


def test_depth_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(InputRefused, match="no such depth file or folder"):
        identify(clip, settings_of(tmp_path / "nothing.npz"))


def npz_claiming(path: Path, header: bytes, name: str = "depth.npy") -> Path:
    """An .npz whose array has a header of the test's own, and hardly any data."""
    buffer = io.BytesIO()
    buffer.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(1000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, buffer.getvalue())
    return path


HOSTILE = {
    "a billion pictures": (b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 54, 96)}", "1000000000"),
    "huge pictures": (b"{'descr': '<f4', 'fortran_order': False, 'shape': (30, 540000, 960000)}", "960000x540000"),
    "Python objects": (b"{'descr': '|O', 'fortran_order': False, 'shape': (30, 54, 96)}", "object"),
    "text": (b"{'descr': '<U4', 'fortran_order': False, 'shape': (30, 54, 96)}", "<U4"),
    "a missing end": (b"{'descr': '<f4', 'fortran_order': False, 'shape': (30, 54, 96)}", "ends after 0 of 30"),
    "two dimensions": (b"{'descr': '<f4', 'fortran_order': False, 'shape': (30, 54)}", "frames, height, width"),
    "columns first": (b"{'descr': '<f4', 'fortran_order': True, 'shape': (30, 54, 96)}", "ascontiguousarray"),
    "code": (b"__import__('os').system('true')", "cannot be read"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_array_that_lies_about_itself_is_refused_without_being_unpacked(
    tmp_path: Path, clip: Path, kind: str
) -> None:
    header, words = HOSTILE[kind]
    with pytest.raises(InputRefused, match=words):
        taken_in(tmp_path / "home", clip, settings_of(npz_claiming(tmp_path / "d.npz", header)))


def test_a_pickle_in_an_npz_is_never_loaded(tmp_path: Path, clip: Path) -> None:
    np.savez(tmp_path / "d.npz", depth=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputRefused, match="object"):
        taken_in(tmp_path / "home", clip, settings_of(tmp_path / "d.npz"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, clip: Path, value: float) -> None:
    depth = true_depth().astype(np.float32)
    depth[3, 4, 5] = value
    with pytest.raises(InputRefused, match="not finite"):
        taken_in(tmp_path / "home", clip, settings_of(write_npz(tmp_path / "d.npz", depth)))


def test_values_whose_distance_is_no_number_are_refused(tmp_path: Path, clip: Path) -> None:
    depth = (2 * true_depth() - 1) * 1.5e308
    with pytest.raises(InputRefused, match=r"too far apart \(-1\.5e\+308 to 1\.5e\+308\)"):
        taken_in(tmp_path / "home", clip, settings_of(write_npz(tmp_path / "d.npz", depth)))


def test_other_files_are_refused_with_what_they_lack(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "other.npz", disparity=true_depth())
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.mkv").write_text("not a video")
    for name, words in {
        "text.npz": "not an .npz file",
        "other.npz": "no array called 'depth'",
        "empty": "no PNG picture",
        "words.mkv": "text file",
    }.items():
        with pytest.raises(InputRefused, match=words):
            taken_in(tmp_path / "home", clip, settings_of(tmp_path / name))


def test_pictures_of_a_folder_must_be_whole_and_of_one_size(tmp_path: Path, clip: Path) -> None:
    folder = write_pngs(tmp_path / "depth", true_depth(), np.uint8)
    cv2.imwrite(str(folder / "00007.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(InputRefused, match=r"00007\.png: it has another size"):
        taken_in(tmp_path / "a", clip, settings_of(folder))
    data = (folder / "00008.png").read_bytes()
    (folder / "00007.png").write_bytes(data[:40])
    with pytest.raises(InputRefused, match=r"00007\.png: it is damaged"):
        taken_in(tmp_path / "b", clip, settings_of(folder))


@pytest.mark.parametrize(("pix_fmt", "step"), [("gbrp10le", 1 / 1023), ("rgb48le", 1e-4)])
def test_a_colour_video_of_more_bits_is_taken_exactly(tmp_path: Path, clip: Path, pix_fmt: str, step: float) -> None:
    gray = write_video(tmp_path / "gray.mkv", true_depth(), "gray16le", "ffv1")
    coloured, path = ffmpeg.input(file_url(gray)).filter("format", pix_fmt), tmp_path / "depth.mkv"
    run(ffmpeg.output(coloured, file_url(path), vcodec="ffv1", pix_fmt=pix_fmt), subject="x")
    found = stored_depth(tmp_path / "home", clip, settings_of(path))
    np.testing.assert_allclose(found, true_depth(), atol=2.5 * step)
