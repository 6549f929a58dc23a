"""Tiny random models in folders laid out like the published ones: the real loaders, in seconds, without a download.

python -m stereo_spot_dagster_tests.tiny_models DIR
STEREO_SPOT_MODELS=DIR stereo-spot convert ... --depth depthcrafter --inpaint stereocrafter --accept-noncommercial
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Channels must be multiples of 32, the group size of the normalisation; of two levels, so that the time counts.
_UNET = {
    "out_channels": 4,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "layers_per_block": 1,
    "num_attention_heads": (2, 4),
    "cross_attention_dim": 32,
    "transformer_layers_per_block": 1,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
    "sample_size": 8,
}
# The published scheduler's own settings: they cost nothing.
_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "interpolation_type": "linear",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "use_karras_sigmas": True,
}


def make_tiny_models(folder: Path, seed: int = 0) -> Path:
    """Write ``svd``, ``depthcrafter``, ``stereocrafter`` and ``depth-anything-v2-small`` below ``folder``."""
    import torch

    torch.manual_seed(seed)
    _save_base(folder / "svd")
    for name, channels in (("depthcrafter", 8), ("stereocrafter", 9)):
        _save_unet(folder / name, channels)
    _save_depth_anything(folder / "depth-anything-v2-small")
    return folder


def _save_base(folder: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    clip = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=37,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=224,
        patch_size=32,
    )
    CLIPVisionModelWithProjection(clip).save_pretrained(folder / "image_encoder", variant="fp16")
    AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
        layers_per_block=1,
        latent_channels=4,
    ).save_pretrained(folder / "vae", variant="fp16")
    EulerDiscreteScheduler(**_SCHEDULER).save_pretrained(folder / "scheduler")
    _write_json(folder / "model_index.json", {"_class_name": "StableVideoDiffusionPipeline"})
    _write_json(
        folder / "feature_extractor" / "preprocessor_config.json", {"image_processor_type": "CLIPImageProcessor"}
    )


def _save_unet(folder: Path, in_channels: int) -> None:
    from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel

    UNetSpatioTemporalConditionModel(in_channels=in_channels, **_UNET).save_pretrained(folder)


def _save_depth_anything(folder: Path) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=98,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[16, 32, 48, 64],
        fusion_hidden_size=16,
        head_hidden_size=16,
        patch_size=14,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    processor = {
        "do_resize": True,
        "size": {"height": 518, "width": 518},
        "ensure_multiple_of": 14,
        "keep_aspect_ratio": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "rescale_factor": 1 / 255,
        "image_processor_type": "DPTImageProcessor",
    }
    _write_json(folder / "preprocessor_config.json", processor)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    print(make_tiny_models(Path(sys.argv[1])))
