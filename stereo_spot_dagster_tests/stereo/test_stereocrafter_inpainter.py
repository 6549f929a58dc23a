"""StereoCrafter fills the holes of real warps, of any size and format, and touches nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.models import StereoCrafterOptions
from stereo_spot_dagster.stereo.diffusion.networks import Networks
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint.chunk_models import TiledModel
from stereo_spot_dagster.stereo.inpaint.composite import coded_rgb, composite
from stereo_spot_dagster.stereo.inpaint.stereocrafter import StereoCrafterInpainter
from stereo_spot_dagster.stereo.inpaint.video_inpainting import latent_mask
from stereo_spot_dagster.stereo.warp.base import SynthesizedView
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer

from .golden_data import stereocrafter_networks
from .model_stubs import StubModel, out_of_memory

COLOR = ColorSpace()
SIZES = [(130, 70), (64, 64), (37, 141)]
FORMATS = [
    PixelFormat(8, 1, 1),
    PixelFormat(10, 1, 1),
    PixelFormat(8, 1, 0),
    PixelFormat(10, 0, 0),
    PixelFormat(8, gray=True),
    PixelFormat(10, gray=True),
]
QUICK = StereoCrafterOptions(steps=1, chunk=4, overlap=1)


def view(
    number: int, width: int = 60, height: int = 44, picture: PixelFormat = FORMATS[0], near: float = 8.0
) -> SynthesizedView:
    """A near square before a textured background, warped: a hole beside the square, and one at the picture's edge."""
    rng = np.random.default_rng(number)
    top = picture.max_value
    planes = tuple(
        rng.integers(top // 5, top * 4 // 5, shape).astype(picture.dtype)
        for shape in picture.plane_shapes(width, height)
    )
    disparity = np.full((height, width), 2.0 if near else 0.0, np.float32)
    disparity[height // 4 : height * 3 // 4, width // 4 : width // 2] = near
    return ExactSynthesizer().synthesize(Frame(planes, picture), disparity)


def run(
    views: Sequence[SynthesizedView],
    options: StereoCrafterOptions = QUICK,
    *,
    first: int = 0,
    scenes: Sequence[int] = (0,),
    inpainter: StereoCrafterInpainter | None = None,
) -> list[Frame]:
    inpainter = inpainter or StereoCrafterInpainter(stereocrafter_networks(), options)
    inpainter.reset(COLOR, first)
    made = []
    for number, each in enumerate(views):
        made += inpainter.push(each, number in scenes)
    return made + inpainter.finish()


def same(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(*pair)
        for frames in zip(one, other, strict=True)
        for pair in zip(frames[0].planes, frames[1].planes, strict=True)
    )


def quick(**changed: Any) -> StereoCrafterOptions:
    return StereoCrafterOptions.model_validate({**QUICK.model_dump(), **changed})


def chroma_holes(hole: NDArray[np.bool_], picture: PixelFormat) -> NDArray[np.bool_]:
    rows, columns = 1 << picture.chroma_y, 1 << picture.chroma_x
    padded = np.pad(hole, ((0, -hole.shape[0] % rows), (0, -hole.shape[1] % columns)), constant_values=True)
    return padded.reshape(padded.shape[0] // rows, rows, -1, columns).all(axis=(1, 3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", FORMATS, ids=lambda picture: picture.ffmpeg_name)
def test_size_format_and_visible_samples_stay_and_holes_are_filled(size: tuple[int, int], picture: PixelFormat) -> None:
    given = view(0, *size, picture)
    (made,) = run([given])
    assert made.format == picture
    hole = given.occlusion >= 128
    assert 0 < hole.mean() < 0.5
    masks = [hole, *[chroma_holes(hole, picture)] * 2]
    for before, after, mask in zip(given.frame.planes, made.planes, masks, strict=False):
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        np.testing.assert_array_equal(after[~mask], before[~mask])
    other = run([given], quick(seed=1))[0]
    assert not np.array_equal(made.planes[0][hole], other.planes[0][hole])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_frames_comes_out_in_order(count: int) -> None:
    views = [view(number) for number in range(count)]
    made = run(views)
    assert len(made) == count
    for given, frame in zip(views, made, strict=True):
        visible = given.occlusion < 128
        np.testing.assert_array_equal(frame.planes[0][visible], given.frame.planes[0][visible])


def test_a_shot_does_not_depend_on_the_shot_before() -> None:
    shot = [view(number) for number in range(10, 15)]
    first = run([view(0), view(1), *shot], scenes=(0, 2))
    second = run([view(2), view(3), *shot], scenes=(0, 2))
    assert same(first[2:], second[2:])
    assert same(run(shot, first=2), first[2:])
    assert not same(run([view(0), view(1), *shot])[2:], first[2:])


def test_the_same_frames_of_the_video_give_the_same_bytes_again() -> None:
    views = [view(number) for number in range(5)]
    inpainter = StereoCrafterInpainter(stereocrafter_networks(), QUICK)
    made = run(views, first=30, inpainter=inpainter)
    assert same(run(views, first=30, inpainter=inpainter), made)
    assert not same(run(views, first=31, inpainter=inpainter), made)


@pytest.mark.parametrize("cut", [4, 8])
def test_a_segment_that_begins_with_an_independent_chunk_gives_what_the_whole_gives(cut: int) -> None:
    options = quick(overlap=0)
    views = [view(number) for number in range(10)]
    whole = run(views, options)
    assert same([*run(views[:cut], options), *run(views[cut:], options, first=cut, scenes=())], whole)


def test_thin_holes_reach_the_network_by_default_and_are_lost_as_published() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 3:8] = 1
    assert latent_mask(mask, "max")[0, 0].sum() == 8
    assert latent_mask(mask, "nearest").sum() == 0
    seen: dict[str, float] = {}
    networks = stereocrafter_networks()
    for mode in ("max", "nearest"):
        with spied_samples(networks) as samples:
            TiledModel(networks, quick(mask=mode)).complete(
                np.zeros((1, 64, 64, 3), np.uint8), mask[0].numpy(), range(1)
            )
        seen[mode] = float(samples[0][0, 0, 8].sum())
    assert seen == {"max": 8, "nearest": 0}


class spied_samples:
    """What the denoiser is given."""

    def __init__(self, networks: Networks) -> None:
        self._unet = networks.unet

    def __enter__(self) -> list[torch.Tensor]:
        samples: list[torch.Tensor] = []
        self._handle = self._unet.register_forward_pre_hook(lambda _, arguments: samples.append(arguments[0].clone()))
        return samples

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


def test_pictures_without_holes_never_reach_the_networks() -> None:
    views = [view(number, near=0.0) for number in range(5)]
    views = [SynthesizedView(each.frame, np.zeros_like(each.occlusion), each.disparity_px) for each in views]
    with out_of_memory(stereocrafter_networks(), 0, RuntimeError) as sizes:
        made = run(views)
    assert sizes == []
    assert same(made, [each.frame for each in views])


def wide(holes: Sequence[tuple[int, int]]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    masks = np.zeros((2, 128, 448), np.float32)
    for begin, end in holes:
        masks[:, 30:60, begin:end] = 1
    pictures = np.random.default_rng(0).integers(100, 120, (*masks.shape, 3), np.uint8)
    pictures[masks >= 0.5] = 0
    return pictures, masks


def test_tiles_without_holes_are_skipped_and_show_what_was_seen() -> None:
    networks = stereocrafter_networks()
    options = quick(tile_side=256, tile_overlap=64)
    pictures, masks = wide([(5, 15)])
    with out_of_memory(networks, 0, RuntimeError) as sizes:
        made = TiledModel(networks, options).complete(pictures, masks, range(2))
    assert sizes == [(1, 2, 9, 16, 32)]
    np.testing.assert_allclose(made[:, :, 256:], pictures[:, :, 256:] / np.float32(255), atol=1e-6)
    with out_of_memory(networks, 0, RuntimeError) as sizes:
        TiledModel(networks, options.model_copy(update={"paste": "all"})).complete(pictures, masks, range(2))
    assert len(sizes) == 2


def test_there_are_as_many_tiles_along_each_side_as_asked_for() -> None:
    networks = stereocrafter_networks()
    pictures, masks = np.zeros((1, 192, 192, 3), np.uint8), np.ones((1, 192, 192), np.float32)
    with out_of_memory(networks, 0, RuntimeError) as sizes:
        TiledModel(networks, quick(tile_count=2, tile_overlap=64)).complete(pictures, masks, range(1))
    assert [size[-2:] for size in sizes] == [(16, 16)] * 4


def test_a_hole_at_the_edge_is_a_hole_beyond_it_too() -> None:
    networks = stereocrafter_networks()
    pictures, masks = np.full((1, 40, 64, 3), 200, np.uint8), np.zeros((1, 40, 64), np.float32)
    masks[:, 32:, :] = 1
    pictures[masks >= 0.5] = 0
    with spied_samples(networks) as samples:
        TiledModel(networks, QUICK).complete(pictures, masks, range(1))
    # 40 rows are 5 of latents; the mirror image of the hole's 8 rows is the next one.
    np.testing.assert_array_equal(samples[0][0, 0, 8, :, 0], [0, 0, 0, 0, 1, 1, 0, 0])


BASE = quick(chunk=3, overlap=1, tile_overlap=64)


@pytest.fixture(scope="module")
def by_default() -> list[Frame]:
    return run([view(number, 136, 130) for number in range(4)], BASE)


@pytest.mark.parametrize(
    "changed",
    [
        {"paste": "all"},
        {"edges": "crop"},
        {"joint": "hard"},
        {"match_colour": False},
        {"noise": "sequence"},
        {"mask": "nearest"},
        {"guidance": 1.5},
        {"tile_count": 2},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_option_has_an_effect_and_keeps_size_and_number(changed: dict[str, Any], by_default: list[Frame]) -> None:
    views = [view(number, 136, 130) for number in range(4)]
    made = run(views, quick(**{**BASE.model_dump(), **changed}))
    assert len(made) == 4
    assert all(frame.format == each.frame.format for frame, each in zip(made, views, strict=True))
    assert all(frame.planes[0].shape == (130, 136) for frame in made)
    assert not same(made, by_default)


def test_all_pixels_come_from_the_model_where_that_is_asked_for() -> None:
    given = view(0)
    (made,) = run([given], quick(paste="all"))
    visible = given.occlusion < 128
    assert (made.planes[0][visible] != given.frame.planes[0][visible]).mean() > 0.5


def test_what_is_cut_off_is_filled_from_the_background() -> None:
    given = view(0, 200, 150)
    inpainter = StereoCrafterInpainter(stereocrafter_networks(), quick(edges="crop", paste="all"))
    (made,) = run([given], inpainter=inpainter)
    background = inpainter._background.fill(given)
    outside = np.ones((150, 200), bool)
    outside[:128, :128] = False
    assert (given.occlusion[outside] >= 128).any()
    np.testing.assert_array_equal(made.planes[0][outside], background.planes[0][outside])
    small = run([view(0, 130, 70)], inpainter=inpainter)
    assert same(small, [inpainter._background.fill(view(0, 130, 70))])
    assert inpainter.notes() == ("pictures under 128 px were left to the background: choose edges=pad",)


def test_tiles_that_the_published_way_cannot_make_are_refused_in_words() -> None:
    with pytest.raises(InvalidSettings, match="tile_count=3"):
        run([view(0, 256, 256)], quick(edges="crop", tile_count=3))


def test_the_published_preset_runs_on_a_picture_of_any_size() -> None:
    reference = StereoCrafterOptions.reference().model_copy(update={"steps": 1, "chunk": 2, "overlap": 1})
    views = [view(number, 150, 130) for number in range(3)]
    assert [frame.planes[0].shape for frame in run(views, reference)] == [(130, 150)] * 3


@pytest.mark.parametrize("picture", FORMATS, ids=lambda picture: picture.ffmpeg_name)
def test_colours_survive_the_way_to_the_model_and_back(picture: PixelFormat) -> None:
    """A model that gives back what lies under the hole: what is pasted differs by rounding only."""
    height, width = 71, 131
    level = picture.max_value // 2
    planes = tuple(
        np.full(shape, level + at * picture.max_value // 32, picture.dtype)
        for at, shape in enumerate(picture.plane_shapes(width, height))
    )
    whole = Frame(planes, picture)
    hole = np.zeros((height, width), np.uint8)
    hole[20:50, 30:70] = 255
    made = composite(whole, hole, coded_rgb(whole, COLOR), COLOR, all_pixels=False, area=(height, width))
    for before, after in zip(whole.planes, made.planes, strict=True):
        assert np.abs(after.astype(int) - before.astype(int)).max() <= 1


def test_frames_wait_for_at_most_two_chunks() -> None:
    inpainter = StereoCrafterInpainter(stereocrafter_networks(), quick(chunk=8, overlap=2), StubModel(8))
    inpainter.reset(COLOR)
    given, owed, most = view(0, 32, 16), 0, 0
    for _ in range(200):
        owed += 1 - len(inpainter.push(given, scene_start=False))
        most = max(most, owed)
    assert most <= 16
    assert len(inpainter.finish()) == owed
