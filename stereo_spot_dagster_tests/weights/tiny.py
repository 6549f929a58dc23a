"""Tiny weights with the names that matter."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save

from stereo_spot_dagster.weights import CATALOGUE, ModelWeights


def unet(channels: int) -> dict[str, bytes]:
    """A UNet's repository: ``config.json`` and weights with ``channels`` input channels."""
    names = ("time_embedding", "add_embedding", "down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_out")
    tensors = {f"{name}.weight": np.zeros((2, 2), np.float32) for name in names}
    tensors["conv_in.weight"] = np.zeros((4, channels, 3, 3), np.float32)
    config = json.dumps({"in_channels": channels}).encode()
    return {"config.json": config, "diffusion_pytorch_model.safetensors": save(tensors)}


def picture_model(seed: int = 0) -> dict[str, bytes]:
    """A single-picture depth model's repository, with a file that nobody needs."""
    values = np.random.default_rng(seed).standard_normal((64, 64)).astype(np.float32)
    tensors = {f"{name}.weight": values for name in ("backbone", "neck", "head")}
    return {
        "config.json": b'{"model_type": "depth_anything"}',
        "preprocessor_config.json": b"{}",
        "model.safetensors": save(tensors),
        "pytorch_model.bin": b"x" * 5000,
        "README.md": b"# read me",
    }


def svd() -> dict[str, bytes]:
    """The base model's repository, with its unneeded single file."""
    encoder = {"vision_model.a": np.zeros(2, np.float32), "visual_projection.weight": np.zeros(2, np.float32)}
    vae = {f"{name}.a": np.zeros(2, np.float32) for name in ("encoder", "decoder", "quant_conv")}
    return {
        "image_encoder/config.json": b'{"kind": "encoder"}',
        "image_encoder/model.fp16.safetensors": save(encoder),
        "vae/config.json": b'{"kind": "vae"}',
        "vae/diffusion_pytorch_model.fp16.safetensors": save(vae),
        "scheduler/scheduler_config.json": b"{}",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"0" * 4000,
        "svd_xt_1_1.safetensors": b"0" * 9000,
    }


def entry(name: str, **changes: object) -> ModelWeights:
    """An entry of the catalogue without the sizes and checksums of the real files."""
    known = CATALOGUE[name]
    files = tuple(file.model_copy(update={"size": 0, "sha256": ""}) for file in known.files)
    return known.model_copy(update={"files": files, **changes})
