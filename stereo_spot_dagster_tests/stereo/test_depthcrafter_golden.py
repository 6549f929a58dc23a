"""DepthCrafter gives the numbers of the published code, with its tiny random networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stereo_spot_dagster.domain.models import DepthCrafterOptions
from stereo_spot_dagster.stereo.depth.depthcrafter import DepthCrafterDepth
from stereo_spot_dagster.stereo.diffusion.networks import FrameContext, Networks
from stereo_spot_dagster.stereo.diffusion.noise import RollingNoise

from .golden_data import Arrays, Steps, depthcrafter_networks, golden, spied_steps

REFERENCE = DepthCrafterOptions(
    steps=3, guidance=1.2, window=6, overlap=2, noise="rolling", joint="hard", decode_chunk=8
)


class SpiedDepth(DepthCrafterDepth):
    """Keeps what the estimator computes on the way."""

    def __init__(self, networks: Networks, options: DepthCrafterOptions, noise: Any) -> None:
        self.starts: list[Tensor] = []
        self.finals: list[Tensor] = []
        self.latents: list[Tensor] = []
        self.conditions: list[Tensor] = []
        self.embeddings: list[Tensor] = []
        self.steps: list[Steps] = []
        super().__init__(networks, options, noise)

    def _denoised(self, count: int) -> Tensor:
        self.conditions.append(torch.stack(self._conditions))
        self.embeddings.append(torch.stack(self._embeddings))
        with spied_steps(self._networks) as steps:
            made = super()._denoised(count)
        self.steps.append(steps)
        self.finals.append(made.clone())
        return made

    def _decoded(self, latents: Tensor) -> Tensor:
        self.latents.append(latents)
        return super()._decoded(latents)


def run(case: Arrays, options: DepthCrafterOptions, seed: int) -> tuple[SpiedDepth, np.ndarray]:
    frames = case["frames_u8"]
    spied = SpiedDepth(
        depthcrafter_networks(), options, lambda: RollingNoise(seed, options.overlap, clip_frames=len(frames))
    )
    starts = np.zeros(len(frames), bool)
    starts[0] = True
    depth = np.concatenate([spied.process(frames, starts), spied.finish()])
    return spied, (depth - depth.min()) / (depth.max() - depth.min())


def close(actual: Any, expected: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=atol)


@pytest.mark.parametrize(("name", "guidance"), [("a_single_window_cfg", 1.2), ("a_single_window_nocfg", 1.0)])
def test_a_single_window_gives_the_published_numbers(name: str, guidance: float) -> None:
    case = golden(f"depthcrafter_tiny/{name}")
    spied, depth = run(case, REFERENCE.model_copy(update={"guidance": guidance}), seed=101)
    if "video_embeddings" in case:
        close(spied.embeddings[0], case["video_embeddings"], 2e-5)
        close(spied.conditions[0], case["video_latents"], 2e-4)
    close(spied._networks.scheduler.timesteps, case["timesteps"], 1e-6)
    close(spied.steps[0].before[0], case["win0_start_latents"][0], 2e-3)
    for step, expected in enumerate(case["latents_after_step"]):
        close(spied.steps[0].after[step], expected[0], 2e-4 if step else 2e-3)
    close(spied.finals[0], case["final_latents"][0], 2e-4)
    close(depth, case["depth"], 1e-4)


@pytest.mark.parametrize(
    ("name", "overlap", "guidance"), [("b_windows12_ov2", 2, 1.2), ("b_windows12_ov3_nocfg", 3, 1.0)]
)
def test_stitched_windows_give_the_published_numbers(name: str, overlap: int, guidance: float) -> None:
    case = golden(f"depthcrafter_tiny/{name}")
    options = REFERENCE.model_copy(update={"overlap": overlap, "guidance": guidance})
    spied, depth = run(case, options, seed=202)
    assert len(spied.finals) == int(case.get("n_windows", 3))
    for number, made in enumerate(spied.finals):
        close(spied.steps[number].before[0], case[f"win{number}_start_latents"][0], 2e-3)
        close(made, case[f"win{number}_final_latents"][0], 2e-4)
    close(torch.cat(spied.latents), case["final_latents"][0], 2e-4)
    close(depth, case["depth"], 1e-4)


def test_the_depth_step_of_stereocrafter_gives_the_published_numbers() -> None:
    case = golden("depthcrafter_tiny/c_infer_postproc")
    options = DepthCrafterOptions.reference().model_copy(update={"window": 6, "overlap": 2})
    spied, depth = run(case, options, seed=42)
    close(torch.cat(spied.latents), case["final_latents"][0], 2e-4)
    close(depth, case["depth_no_resize"], 1e-4)


def test_stored_noise_and_seeded_noise_are_the_same() -> None:
    case = golden("depthcrafter_tiny/b_windows12_ov2")
    noise = RollingNoise(202, 2, clip_frames=12)
    close(noise.of_pictures(range(12), 64, 64), case["pixel_noise"], 0)
    close(noise.of_latents(range(6), 4, 8, 8), case["noise_latents"][0], 0)


def test_the_denoiser_gives_the_published_numbers_for_the_published_input() -> None:
    case = golden("depthcrafter_tiny/a_single_window_cfg")
    networks = depthcrafter_networks()
    context = FrameContext(networks.unet)
    timesteps = np.repeat(case["timesteps"], 2)
    ids = torch.from_numpy(case["added_time_ids"])
    for made_of, embeddings, timestep, expected in zip(
        case["unet_in"], case["unet_emb"], timesteps, case["unet_out"], strict=True
    ):
        with context.of(torch.from_numpy(embeddings[0])) as hidden, torch.inference_mode():
            made = networks.unet(
                torch.from_numpy(made_of), torch.tensor(timestep), encoder_hidden_states=hidden, added_time_ids=ids
            ).sample
        close(made, expected, 3e-5)
