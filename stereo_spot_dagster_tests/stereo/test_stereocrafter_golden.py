"""StereoCrafter gives the numbers of the published code, with its tiny random networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from stereo_spot_dagster.domain.models import StereoCrafterOptions
from stereo_spot_dagster.stereo.diffusion import autoencoder
from stereo_spot_dagster.stereo.diffusion.noise import SequenceNoise
from stereo_spot_dagster.stereo.diffusion.pictures import antialiased_resize, clip_pictures, embed
from stereo_spot_dagster.stereo.inpaint.chunk_models import PublishedModel
from stereo_spot_dagster.stereo.inpaint.chunks import ChunkRules, ShotInpainting
from stereo_spot_dagster.stereo.inpaint.video_inpainting import VideoInpainting, latent_mask

from .golden_data import Arrays, golden, spied_steps, stereocrafter_networks

PUBLISHED = StereoCrafterOptions.reference().model_copy(update={"steps": 3, "tile_count": 1})
PUBLISHED_RULES = ChunkRules(overlap=2, fade=False, full_tail=False, paste=False, match_colour=False)


class SpiedModel(PublishedModel):
    """Keeps the latents of each chunk."""

    def __init__(self, options: StereoCrafterOptions) -> None:
        self.latents: list[Tensor] = []
        self.tiles: list[Tensor] = []
        self.chunks: list[range] = []
        super().__init__(stereocrafter_networks(), options)

    def complete(self, pictures: Any, masks: Any, frames: Sequence[int]) -> Any:
        self.chunks.append(range(frames[0], frames[-1] + 1))
        return super().complete(pictures, masks, frames)

    def _latents(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        self.latents.append(super()._latents(pictures, mask, frames))
        return self.latents[-1]

    def _tile(self, pictures: Tensor, mask: Tensor, frames: Sequence[int]) -> Tensor:
        self.tiles.append(super()._tile(pictures, mask, frames))
        return self.tiles[-1].clone()


def close(actual: Any, expected: NDArray, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=atol)


def signed(case: Arrays) -> Tensor:
    return torch.from_numpy(case["frames_u8"]).permute(0, 3, 1, 2).float() / 255 * 2 - 1


def masks_of(case: Arrays) -> NDArray[np.float32]:
    return case["mask_u8"].astype(np.float32) / 255


def test_the_resize_before_clip_blurs_first() -> None:
    case = golden("stereocrafter_tiny/antialias_resize")
    picture = torch.from_numpy(case["image_u8"]).float()
    picture = picture.permute(2, 0, 1)[None] if picture.ndim == 3 else picture[None, None]
    made = antialiased_resize(picture / 255 * 2 - 1, 224, 224)
    close(made.reshape(case["resized"].shape), case["resized"], 2e-5)


@pytest.mark.parametrize("name", ["a_single_chunk", "a2_ramp_noiseaug"])
def test_conditions_are_the_published_ones(name: str) -> None:
    case = golden(f"stereocrafter_tiny/{name}")
    pictures, networks = signed(case), stereocrafter_networks()
    if "clip_pixel_values_s4" in case:
        close(clip_pictures(pictures[:1])[..., ::4, ::4], case["clip_pixel_values_s4"], 2e-5)
    strength = float(case["added_time_ids"][0, 2])
    noisy = pictures + strength * torch.from_numpy(case.get("pixel_noise", np.zeros((), np.float32)))
    with torch.inference_mode():
        with networks.using("image_encoder") as encoder:
            close(embed(encoder, pictures[:1]), case["image_embeddings"][1], 2e-5)
        with networks.using("autoencoder") as network:
            close(autoencoder.encode(network, noisy), case["frame_latents"][1], 2e-4)
    mask = torch.from_numpy(masks_of(case))[:, None]
    close(latent_mask(mask, "nearest"), case["mask_latents"][1], 0)


def test_one_chunk_gives_the_published_latents_and_pictures() -> None:
    case = golden("stereocrafter_tiny/a_single_chunk")
    model = SpiedModel(PUBLISHED.model_copy(update={"seed": 1234}))
    made = model.complete(case["frames_u8"], masks_of(case), range(6))
    close(model.latents[0], case["final_latents"][0], 2e-4)
    off = np.abs(np.rint(made[[0, 5]] * 255) - case["frames0_5_out_u8"])
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


def test_frames_that_are_decoded_together_are_mixed_as_published() -> None:
    case = golden("stereocrafter_tiny/a_single_chunk")
    latents = torch.from_numpy(case["final_latents"][0])
    with torch.inference_mode(), stereocrafter_networks().using("autoencoder") as network:
        pairs = torch.cat([autoencoder.decode(network, part) for part in latents.split(2)])
        together = autoencoder.decode(network, latents)
    close(pairs.transpose(0, 1), case["decoded_chunk2"][0], 5e-4)
    close(together[1:3].transpose(0, 1), case["decoded_chunk6_frames1_2"][0], 5e-4)


def test_guidance_may_rise_over_the_frames() -> None:
    case = golden("stereocrafter_tiny/a2_ramp_noiseaug")
    options = PUBLISHED.model_copy(update={"guidance": 1.0})
    model = VideoInpainting(stereocrafter_networks(), options)
    told = tuple(case["added_time_ids"][0].tolist())
    noisy = signed(case) + told[2] * torch.from_numpy(case["pixel_noise"])

    with torch.inference_mode():
        made = model.denoised(
            noisy,
            torch.from_numpy(masks_of(case))[:, None],
            torch.from_numpy(case["noise_latents"][0]),
            told=told,
            last_guidance=3.0,
            embedded=signed(case)[:1],
        )
    close(made, case["final_latents"][0], 2e-4)
    with torch.inference_mode():
        whole = model.decoded(made)
    close(whole.transpose(0, 1), np.clip(case["decoded"][0] / 2 + 0.5, 0, 1), 2.5e-4)


def test_each_step_gives_the_published_numbers() -> None:
    case = golden("stereocrafter_tiny/a_single_chunk")
    networks = stereocrafter_networks()
    with spied_steps(networks) as steps:
        SpiedModel(PUBLISHED.model_copy(update={"seed": 1234})).complete(case["frames_u8"], masks_of(case), range(6))
    scheduler = networks.scheduler
    close(scheduler.timesteps, case["timesteps"], 1e-6)
    close(scheduler.sigmas, case["sigmas"], 1e-4)
    close(steps.before[0], case["latents_init"][0], 2e-3)
    # The published code runs both halves at once, the one without the condition first.
    close(torch.cat([steps.given[1], steps.given[0]]), case["unet_in_step0"], 2e-4)
    for step, expected in enumerate(case["unet_out"]):
        close(torch.cat([steps.returned[2 * step + 1], steps.returned[2 * step]]), expected, 2e-4)
    for step, expected in enumerate(case["latents_after_step"]):
        close(steps.after[step], expected[0], 2e-4 if step else 2e-3)


@pytest.mark.parametrize("name", ["a_single_chunk", "a2_ramp_noiseaug"])
def test_the_denoiser_gives_the_published_numbers_for_the_published_input(name: str) -> None:
    case = golden(f"stereocrafter_tiny/{name}")
    ids = torch.from_numpy(case["added_time_ids"])
    with torch.inference_mode(), stereocrafter_networks().using("unet") as unet:
        made = unet(
            torch.from_numpy(case["unet_in_step0"]),
            torch.tensor(case["timesteps"][0]),
            encoder_hidden_states=torch.from_numpy(case["image_embeddings"]),
            added_time_ids=ids,
        ).sample
    close(made, case["unet_out"][0], 3e-5)


def test_tiles_are_merged_as_published() -> None:
    case = golden("stereocrafter_tiny/b_tiled")
    model = SpiedModel(PUBLISHED.model_copy(update={"seed": 77, "tile_count": 2}))
    made = model.complete(case["frames_u8"], masks_of(case), range(3))
    for tile, expected in zip(model.tiles, case["tile_latents"], strict=True):
        close(tile, expected[0], 2e-4)
    close(model.latents[0], case["blended_latents"], 2e-4)
    close(made.transpose(3, 0, 1, 2)[..., ::4, ::4], np.clip(case["decoded_s4"][0] / 2 + 0.5, 0, 1), 2.5e-4)
    off = np.abs(np.rint(made[2] * 255) - case["frame2_out_u8"])
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


class Grid:
    """The splatting grid of the published script, cut as the inpainting script cuts it."""

    def __init__(self, case: Arrays) -> None:
        grid = case["grid_u8"]
        height, width = (side // 2 for side in grid.shape[1:3])
        rows, columns = height // 128 * 128, width // 128 * 128
        self.left = grid[:, :rows, :columns]
        masks = grid[:, height : height + rows, :columns].astype(np.float32) / 255
        self.masks = masks.mean(axis=-1, dtype=np.float32)
        self.pictures = np.ascontiguousarray(grid[:, height : height + rows, width : width + columns])


def run(grid: Grid, frames: int) -> tuple[SpiedModel, NDArray[np.float32]]:
    model = SpiedModel(PUBLISHED.model_copy(update={"seed": 2024, "steps": 8, "chunk": 6}))
    shot = ShotInpainting(model, PUBLISHED_RULES, first_frame=0)
    made = []
    for picture, mask in zip(grid.pictures[:frames], grid.masks[:frames], strict=True):
        made += shot.push(picture, mask)
    return model, np.stack(made + shot.finish())


@pytest.mark.slow
@pytest.mark.parametrize("frames", [15, 13, 11])
def test_chunks_of_a_clip_and_its_tail_are_the_published_ones(frames: int) -> None:
    whole = golden("stereocrafter_tiny/c_chunks_N15")
    tail = whole if frames == 15 else golden(f"stereocrafter_tiny/c_chunks_N{frames}_tail")
    model, made = run(Grid(whole), frames)
    starts = [(chunk.start, len(chunk)) for chunk in model.chunks]
    assert starts == [(int(first), int(count)) for _, first, count, _ in tail["schedule"]]
    assert made.shape == (frames, 128, 128, 3)
    expected = whole["right_u8"] if frames == 15 else np.concatenate([whole["right_u8"][:10], tail["right_tail_u8"]])
    off = np.abs(np.rint(made * 255) - expected)
    assert off.max() <= 2
    assert (off > 0).mean() < 0.10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"), [*(("N15", number) for number in range(4)), ("N13_tail", -1), ("N11_tail", -1)]
)
def test_each_chunk_given_the_published_pictures_before_it(name: str, number: int) -> None:
    whole, case = (golden(f"stereocrafter_tiny/c_chunks_{each}") for each in ("N15", name))
    grid, chunk = Grid(whole), "last" if number < 0 else f"chunk{number}"
    _, first, count, reused = (int(value) for value in case["schedule"][number])
    pictures = grid.pictures[first : first + count].copy()
    pictures[:reused] = whole["right_u8"][first : first + reused]
    model = VideoInpainting(stereocrafter_networks(), PUBLISHED.model_copy(update={"steps": 8}))
    mask = torch.from_numpy(grid.masks[first : first + count])[:, None]
    close(latent_mask(mask, "nearest")[:, 0], case[f"{chunk}_mask_latents"].reshape(count, 16, 16), 0)
    shown = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    with torch.inference_mode():
        with stereocrafter_networks().using("image_encoder") as encoder:
            close(embed(encoder, shown[:1]), case[f"{chunk}_image_embedding"][1], 2e-5)
        made = model.denoised(shown, mask, torch.from_numpy(case[f"{chunk}_noise_latents"][0]))
    close(made, case[f"{chunk}_final_latents"][0], 2e-4)


def test_the_seed_draws_the_published_noise() -> None:
    case = golden("stereocrafter_tiny/a_single_chunk")
    noise = SequenceNoise(1234)
    close(noise.of_pictures(range(6), 128, 128).flatten()[:16], case["pixel_noise_head"], 0)
    close(noise.of_latents(range(6), 4, 16, 16), case["noise_latents"][0], 0)
