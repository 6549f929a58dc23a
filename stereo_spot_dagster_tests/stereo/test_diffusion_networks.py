"""Weights are loaded whole or not at all, and the networks are those that were published."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stereo_spot_dagster.domain.errors import WeightsBroken
from stereo_spot_dagster.domain.models import DepthCrafterOptions
from stereo_spot_dagster.stereo.depth.depthcrafter import DepthCrafterDepth
from stereo_spot_dagster.stereo.devices import Device
from stereo_spot_dagster.stereo.diffusion import autoencoder
from stereo_spot_dagster.stereo.diffusion.networks import Networks

from .golden_data import CPU, FOLDER

BASE = FOLDER / "stereocrafter_tiny"
UNET = "diffusion_pytorch_model.safetensors"
PARTS = {"unet": UNET, "vae": UNET, "image_encoder": "model.safetensors"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy to damage."""
    copy = tmp_path / "base"
    copy.mkdir()
    for name in ("unet", "vae", "image_encoder", "scheduler"):
        shutil.copytree(BASE / name, copy / name)
    return copy


def load(base: Path, channels: int = 9) -> Networks:
    return Networks.load(base, base / "unet", channels, CPU)


def test_whole_weights_are_loaded_number_by_number(base: Path) -> None:
    networks = load(base)
    for name, file in PARTS.items():
        stored = load_file(base / name / file)
        loaded = networks._parts["autoencoder" if name == "vae" else name].state_dict()
        for key, value in stored.items():
            assert torch.equal(loaded[key], value.to(loaded[key].dtype)), key


def test_the_denoiser_of_another_model_is_named() -> None:
    with pytest.raises(WeightsBroken, match=r"takes 8 channels \(a depth or plain video model\), not 9"):
        Networks.load(BASE, FOLDER / "depthcrafter_tiny" / "unet", 9, CPU)
    with pytest.raises(WeightsBroken, match=r"takes 9 channels \(a StereoCrafter model\), not 8"):
        Networks.load(BASE, BASE / "unet", 8, CPU)


@pytest.mark.parametrize("part", list(PARTS))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_file_that_was_cut_short_is_refused(base: Path, part: str, share: float) -> None:
    path = base / part / PARTS[part]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsBroken, match="cannot be loaded") as caught:
        load(base)
    assert part in str(caught.value)


@pytest.mark.parametrize("part", list(PARTS))
def test_a_missing_weight_is_named_and_never_made_up(base: Path, part: str) -> None:
    path = base / part / PARTS[part]
    weights = load_file(path)
    # Not the first layer of a denoiser: that one is looked at anyway.
    lost = sorted(key for key, value in weights.items() if value.ndim >= 2)[-1]
    del weights[lost]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(WeightsBroken) as caught:
        load(base)
    assert lost in str(caught.value)
    assert part in str(caught.value)


@pytest.mark.parametrize("part", list(PARTS))
def test_a_weight_of_another_shape_is_refused(base: Path, part: str) -> None:
    path = base / part / PARTS[part]
    weights = load_file(path)
    changed = sorted(key for key, value in weights.items() if value.ndim >= 2)[-1]
    weights[changed] = torch.cat([weights[changed], weights[changed]])
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(WeightsBroken) as caught:
        load(base)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "gone", ["unet/config.json", f"vae/{UNET}", "scheduler/scheduler_config.json", "image_encoder"]
)
def test_a_missing_file_is_an_error_that_names_the_folder(base: Path, gone: str) -> None:
    path = base / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(WeightsBroken) as caught:
        load(base)
    assert str(base) in str(caught.value)


@pytest.mark.parametrize("broken", ["unet/config.json", "image_encoder/config.json", "scheduler/scheduler_config.json"])
def test_a_configuration_that_is_no_json_is_an_error(base: Path, broken: str) -> None:
    (base / broken).write_text("{", encoding="utf-8")
    with pytest.raises(WeightsBroken):
        load(base)


def test_half_precision_files_are_found_by_their_names(base: Path) -> None:
    networks = load(base)
    for name in ("vae", "image_encoder"):
        part = networks._parts["autoencoder" if name == "vae" else name]
        for file in (base / name).glob("*.safetensors"):
            file.unlink()
        part.to(torch.float16).save_pretrained(base / name, variant="fp16")
        assert [file.name for file in (base / name).glob("*.fp16.safetensors")]
    halved = load(base)
    assert halved._parts["autoencoder"].dtype == torch.float32
    stored = load_file(base / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    for key, value in halved._parts["autoencoder"].state_dict().items():
        assert torch.equal(value, stored[key].float()), key


def test_the_real_configurations_have_the_published_numbers_of_weights() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
    from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    crossing = "CrossAttn{}BlockSpatioTemporal"
    unet = {
        "out_channels": 4,
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (crossing.format("Down"),) * 3 + ("DownBlockSpatioTemporal",),
        "up_block_types": ("UpBlockSpatioTemporal",) + (crossing.format("Up"),) * 3,
        "layers_per_block": 2,
        "num_attention_heads": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 768,
        "transformer_layers_per_block": 1,
        "num_frames": 25,
        "sample_size": 96,
    }
    vision = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
        projection_dim=1024,
        hidden_act="gelu",
    )
    with torch.device("meta"):
        stereo = UNetSpatioTemporalConditionModel(in_channels=9, **unet)
        depth = UNetSpatioTemporalConditionModel(in_channels=8, **unet)
        vae = AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
            sample_size=768,
        )
        encoder = CLIPVisionModelWithProjection(vision)
    counts = [sum(weight.numel() for weight in part.parameters()) for part in (stereo, depth, vae, encoder)]
    assert counts == [1_524_625_962, 1_524_623_082, 97_742_847, 632_076_800]
    assert len(stereo.state_dict()) == len(depth.state_dict()) == 1428
    assert tuple(stereo.conv_in.weight.shape) == (320, 9, 3, 3)


def test_half_precision_networks_encode_in_single_precision_and_say_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.models import modeling_utils

    said: list[str] = []
    monkeypatch.setattr(modeling_utils.logger, "warning", lambda message, *_: said.append(message))
    half = Networks.load(base, base / "unet", 9, Device("cpu", "CPU", "fp16"))
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        with half.using("autoencoder") as network:
            made = autoencoder.encode(network, pictures)
        assert network.dtype == made.dtype == torch.float16
        with load(base).using("autoencoder") as network:
            whole = autoencoder.encode(network, pictures)
    # Weights and result are rounded to half precision, the sums between are not: measured 0.002.
    assert (made.float() - whole).abs().max() < 0.01
    assert said == []


def test_compiled_networks_estimate_the_same_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    # Dynamo traces them as for any backend; this one makes no C++ of them, which would take minutes.
    compiled, plainly = list[str](), torch.nn.Module.compile

    def compile_eagerly(network: torch.nn.Module) -> None:
        compiled.append(type(network).__name__)
        plainly(network, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_eagerly)
    shown = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    made = []
    for device in (CPU, replace(CPU, compile=True)):
        networks = Networks.load(BASE, FOLDER / "depthcrafter_tiny" / "unet", 8, device)
        estimator = DepthCrafterDepth(networks, DepthCrafterOptions(window=6, overlap=2, steps=2))
        made.append(np.concatenate([estimator.process(shown, np.arange(9) == 0), estimator.finish()]))
    assert compiled == ["UNetSpatioTemporalConditionModel", "TemporalDecoder"]
    assert np.ptp(made[0]) > 0.1
    np.testing.assert_allclose(made[1], made[0], atol=1e-5)
