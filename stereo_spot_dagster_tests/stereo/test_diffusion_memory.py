"""What is done at once fits into the memory, and becomes less when it does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.domain.errors import DeviceOutOfMemory
from stereo_spot_dagster.domain.models import DepthCrafterOptions, StereoCrafterOptions
from stereo_spot_dagster.stereo.depth.depthcrafter import DepthCrafterDepth
from stereo_spot_dagster.stereo.devices import is_out_of_memory
from stereo_spot_dagster.stereo.diffusion.memory import Load, Offload, fit
from stereo_spot_dagster.stereo.diffusion.networks import Networks
from stereo_spot_dagster.stereo.inpaint.chunk_models import ChunkTooLong, TiledModel, make_chunk_model

from .golden_data import CPU, FOLDER, depthcrafter_networks
from .model_stubs import out_of_memory

WHOLE = Load(1920, 1080, 23, 1024, 8, 1920)
ERRORS: list[Callable[[], BaseException]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    lambda: RuntimeError("CUDA out of memory"),
]


def ladder(load: Load) -> list[Load]:
    loads = [load]
    while smaller := loads[-1].smaller():
        loads.append(smaller)
        assert len(loads) < 40
    return loads


def test_first_fewer_frames_are_decoded_then_denoised_then_tiles_shrink_then_networks_leave() -> None:
    changed = []
    for before, after in zip(ladder(WHOLE), ladder(WHOLE)[1:], strict=False):
        names = {name for name in vars(before) if getattr(before, name) != getattr(after, name)}
        if not changed or changed[-1] != names:
            changed.append(names)
    order = [next(iter(sorted(names))) for names in changed]
    assert [name for at, name in enumerate(order) if name not in order[:at]] == [
        "decode_frames",
        "frames",
        "decode_side",
        "offload",
    ]
    assert ladder(WHOLE)[-1] == replace(
        WHOLE, frames=8, tile_side=512, decode_frames=2, decode_side=512, offload=Offload.LAYERS
    )


@given(
    width=st.integers(64, 4096),
    height=st.integers(64, 2304),
    frames=st.integers(1, 110),
    tile_side=st.one_of(st.none(), st.integers(128, 2048)),
    decode_frames=st.integers(1, 32),
    memory_gb=st.floats(0.5, 100),
)
@settings(max_examples=150, deadline=None)
def test_a_plan_keeps_to_the_memory_if_any_does(
    width: int, height: int, frames: int, tile_side: int | None, decode_frames: int, memory_gb: float
) -> None:
    load = Load(width, height, frames, tile_side, decode_frames, max(width, height))
    loads = ladder(load)
    planned = fit(load, memory_gb)
    if planned.estimate_gb > memory_gb:
        assert planned == loads[-1]
    else:
        assert planned in loads
        assert all(each.estimate_gb > memory_gb for each in loads[: loads.index(planned)])
    assert all(after.estimate_gb <= before.estimate_gb + 1e-9 for before, after in itertools.pairwise(loads))
    assert fit(load, None) == load


def test_a_tile_that_is_longer_than_asked_for_counts_as_long_as_it_is() -> None:
    # 1280 pixels are denoised at once: two tiles of about 1024 would be mostly overlap.
    assert Load(1280, 768, 23, 1024, 2, 512).estimate_gb == Load(1280, 768, 23, None, 2, 512).estimate_gb


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory: you tried to allocate", True),
        ("The size of tensor a (8) must match the size of tensor b (9)", False),
    ],
)
def test_libraries_say_in_their_own_words_that_memory_is_out(text: str, expected: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) is expected


def depth_maps(depth: DepthCrafterDepth, count: int) -> NDArray[np.float32]:
    shown = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    marked = np.arange(count) == 0
    return np.concatenate([depth.process(shown, marked), depth.finish()])


DEPTH = DepthCrafterOptions(window=20, overlap=8, steps=1)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("times", [1, 4])
def test_depth_goes_on_with_less_and_says_so(error: Callable[[], BaseException], times: int) -> None:
    networks = depthcrafter_networks()
    depth = DepthCrafterDepth(networks, DEPTH)
    with out_of_memory(networks, times, error) as sizes:
        made = depth_maps(depth, 30)
    assert made.shape == (30, 64, 64)
    assert np.isfinite(made).all()
    assert len(depth.notes()) == times
    assert all("out of memory: went on with" in note for note in depth.notes())
    # Decoded frames are given up twice before denoised ones.
    assert max(size[1] for size in sizes[times:]) == (20 if times <= 2 else 8)


class Forgetful(DepthCrafterDepth):
    """Runs out of memory at the second window, when frames are shared with the first already."""

    def _denoised(self, count: int) -> torch.Tensor:
        if self._anchor is not None and count > 8:
            raise torch.OutOfMemoryError("out of memory")
        return super()._denoised(count)


def test_a_window_that_became_shorter_than_what_it_shares_still_gives_every_frame_once() -> None:
    depth = Forgetful(depthcrafter_networks(), DEPTH)
    assert depth_maps(depth, 45).shape == (45, 64, 64)
    assert "8 frames at once" in depth.notes()[-1]


def test_what_was_too_much_in_one_segment_is_not_tried_in_the_next_and_is_noted_there() -> None:
    networks = depthcrafter_networks()
    depth = DepthCrafterDepth(networks, DEPTH)
    with out_of_memory(networks, 1, ERRORS[0]):
        depth_maps(depth, 3)
    depth.reset()
    with out_of_memory(networks, 0, ERRORS[0]) as sizes:
        depth_maps(depth, 3)
    assert len(sizes) == 1
    assert depth.notes() == ("out of memory in an earlier segment: works with 20 frames at once, decoding 4",)


class SmallDecoder(DepthCrafterDepth):
    """Its decoder takes at most four frames."""

    def __init__(self, networks: Networks, options: DepthCrafterOptions) -> None:
        super().__init__(networks, options)
        network = networks._parts["autoencoder"]
        self.sizes: list[int] = []
        real = network.decode

        def decode(latents: torch.Tensor, num_frames: int) -> object:
            self.sizes.append(num_frames)
            if num_frames > 4:
                raise torch.OutOfMemoryError("out of memory")
            return real(latents, num_frames=num_frames)

        network.decode = decode


def test_a_decoder_that_took_too_many_frames_takes_fewer_from_then_on() -> None:
    depth = SmallDecoder(depthcrafter_networks(), DEPTH)
    assert depth_maps(depth, 30).shape == (30, 64, 64)
    assert depth.sizes[0] == 8
    assert max(depth.sizes[1:]) <= 4
    assert len(depth.notes()) == 1


def test_with_nothing_left_to_give_up_the_error_says_what_to_set() -> None:
    networks = depthcrafter_networks()
    depth = DepthCrafterDepth(networks, DEPTH)
    with out_of_memory(networks, 1000, ERRORS[0]), pytest.raises(DeviceOutOfMemory) as caught:
        depth_maps(depth, 30)
    for words in ("depthcrafter", "STEREO_SPOT_DEVICE=cpu", "--depth", "--inpaint background"):
        assert words in str(caught.value)
    # The networks are whole again for whoever comes next.
    assert depth_maps(DepthCrafterDepth(networks, DEPTH), 3).shape == (3, 64, 64)


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    networks = depthcrafter_networks()
    wrong = lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied")  # noqa: E731
    with out_of_memory(networks, 1, wrong), pytest.raises(RuntimeError, match="mat1"):
        depth_maps(DepthCrafterDepth(networks, DEPTH), 3)


def inpainting(precision: str = "fp32", memory_gb: float | None = None) -> Networks:
    folder = FOLDER / "stereocrafter_tiny"
    return Networks.load(folder, folder / "unet", 9, replace(CPU, precision=precision, memory_gb=memory_gb))


OPTIONS = StereoCrafterOptions(steps=1, chunk=10, overlap=0)


def chunk_of(count: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], range]:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    masks = np.zeros((count, 64, 64), np.float32)
    masks[:, 8:40, 16:32] = 1
    return pictures, masks, range(count)


@pytest.mark.parametrize("error", ERRORS)
def test_chunks_become_shorter_when_the_memory_is_too_small(error: Callable[[], BaseException]) -> None:
    networks = inpainting()
    model = TiledModel(networks, OPTIONS)
    with out_of_memory(networks, 2, error):
        assert model.complete(*chunk_of(8)).shape == (8, 64, 64, 3)
        assert model.frames == 10
    with out_of_memory(networks, 1, error), pytest.raises(ChunkTooLong):
        model.complete(*chunk_of(10))
    assert model.frames == 8
    assert len(model.notes()) == 3


def test_a_chunk_is_refused_before_it_runs_when_the_plan_is_for_fewer_frames() -> None:
    model = TiledModel(inpainting(memory_gb=1.0), OPTIONS)
    with pytest.raises(ChunkTooLong):
        model.complete(*chunk_of(10))
    assert model.frames == 8
    assert "planned for 1.0 GB: 8 frames at once" in model.notes()[0]
    assert model.complete(*chunk_of(8)).shape == (8, 64, 64, 3)


def test_the_plan_is_made_anew_for_pictures_of_another_size() -> None:
    model = TiledModel(inpainting(memory_gb=40.0), OPTIONS)
    model.complete(*chunk_of(2))
    assert model._work.load.decode_side == 64
    pictures, masks, frames = chunk_of(2)
    model.complete(np.tile(pictures, (1, 1, 3, 1)), np.tile(masks, (1, 1, 3)), frames)
    assert model._work.load.decode_side == 192


def test_the_published_way_ends_with_an_error_that_says_what_to_set() -> None:
    networks = inpainting()
    model = make_chunk_model(networks, StereoCrafterOptions.reference())
    pictures, masks = np.zeros((1, 128, 128, 3), np.uint8), np.ones((1, 128, 128), np.float32)
    with out_of_memory(networks, 1, ERRORS[0]), pytest.raises(DeviceOutOfMemory, match="edges=pad"):
        model.complete(pictures, masks, range(1))


@pytest.mark.parametrize("offload", [Offload.NETWORKS, Offload.LAYERS])
def test_networks_that_wait_in_main_memory_give_the_same_numbers(offload: Offload) -> None:
    networks = inpainting()
    expected = TiledModel(networks, OPTIONS).complete(*chunk_of(2))
    for where in (offload, Offload.NONE, Offload.LAYERS, offload):
        model = TiledModel(networks, OPTIONS)
        model._work.plan(model._whole(64, 64))
        model._work.load = replace(model._work.load, offload=where)
        np.testing.assert_array_equal(model.complete(*chunk_of(2)), expected)


def test_depth_is_the_same_when_layers_come_and_go() -> None:
    networks = depthcrafter_networks()
    expected = depth_maps(DepthCrafterDepth(networks, DEPTH), 3)
    networks.place(Offload.LAYERS)
    depth = DepthCrafterDepth(networks, DEPTH)
    depth._work.run = lambda work: work()  # type: ignore[method-assign]
    np.testing.assert_array_equal(depth_maps(depth, 3), expected)
