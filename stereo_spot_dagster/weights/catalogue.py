"""The models whose weights are known: repository, revision, files, sizes and licence of each."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from pydantic import BaseModel

from ..domain.errors import InvalidSettings
from ..domain.models import PICTURE_MODELS

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_HUB_NAME = re.compile(r"^(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?$")
# What a transformers model of any name is made of. Pickles are left out: they can run code.
_TRANSFORMERS_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)


class WeightFile(BaseModel, frozen=True, extra="forbid"):
    """One file of a repository.

    Attributes:
        path: inside the repository.
        size: bytes, at the pinned revision; 0 where it is not known exactly.
        sha256: 64 hex digits, at the pinned revision; empty where not known.
        needs: prefixes of which the file must have at least one tensor each; empty for a file that has no tensors.
    """

    path: str
    size: int = 0
    sha256: str = ""
    needs: tuple[str, ...] = ()


class ModelWeights(BaseModel, frozen=True, extra="forbid"):
    """The weights of one model.

    Attributes:
        name: as settings and commands spell it.
        role: what the model is for, in words.
        repo: ``owner/name`` on the Hugging Face hub.
        revision: a commit, or ``main`` where none is known: the commit that is downloaded is then remembered.
        files: all files needed, and no others; empty where they are only known by ``patterns``.
        patterns: of the files to take, where they are not known one by one.
        size_bytes: of the download, about; 0 where it is not known.
        licence: its name.
        licence_url: where to read it.
        noncommercial: True if it forbids commercial use.
        gated: True if its terms have to be accepted on the hub first, with an account.
        needs: names of models this one cannot run without.
        in_channels: of the first convolution, for a UNet; 0 for other models.
    """

    name: str
    role: str
    repo: str
    revision: str = "main"
    files: tuple[WeightFile, ...] = ()
    patterns: tuple[str, ...] = ()
    size_bytes: int = 0
    licence: str
    licence_url: str
    noncommercial: bool = False
    gated: bool = False
    needs: tuple[str, ...] = ()
    in_channels: int = 0

    @property
    def page(self) -> str:
        """Address of the repository for people."""
        return f"https://huggingface.co/{self.repo}"

    @property
    def pinned(self) -> bool:
        """True if the revision is a commit, so that it always means the same bytes."""
        return bool(_COMMIT.match(self.revision))

    @property
    def size(self) -> str:
        """The size of the download in words."""
        if not self.size_bytes:
            return "size unknown"
        return f"{self.size_bytes / 1e9:.1f} GB" if self.size_bytes >= 1e9 else f"{self.size_bytes / 1e6:.0f} MB"

    def takes(self, path: str) -> bool:
        """True if the file of the repository is one of those needed."""
        if self.files:
            return any(file.path == path for file in self.files)
        return any(fnmatchcase(path, pattern) for pattern in self.patterns)


_UNET = (
    WeightFile(path="config.json"),
    WeightFile(
        path="diffusion_pytorch_model.safetensors",
        needs=(
            "conv_in.",
            "time_embedding.",
            "add_embedding.",
            "down_blocks.",
            "mid_block.",
            "up_blocks.",
            "conv_norm_out.",
            "conv_out.",
        ),
    ),
)
_DEPTH_ANYTHING = ("backbone.", "neck.", "head.")
_TENCENT = "Tencent, for research and education only"

_STABLE_VIDEO_DIFFUSION = ModelWeights(
    name="svd",
    role="picture encoder, VAE and scheduler of DepthCrafter and StereoCrafter",
    repo="stabilityai/stable-video-diffusion-img2vid-xt-1-1",
    revision="043843887ccd51926e3efed36270444a838e7861",
    # Its UNet and its single-file checkpoint, 12 GB together, are of no use here; half precision is enough.
    files=(
        WeightFile(path="image_encoder/config.json", size=685),
        WeightFile(
            path="image_encoder/model.fp16.safetensors",
            size=1_264_217_240,
            sha256="ae616c24393dd1854372b0639e5541666f7521cbe219669255e865cb7f89466a",
            needs=("vision_model.", "visual_projection."),
        ),
        WeightFile(path="vae/config.json", size=607),
        WeightFile(
            path="vae/diffusion_pytorch_model.fp16.safetensors",
            size=195_531_910,
            sha256="af602cd0eb4ad6086ec94fbf1438dfb1be5ec9ac03fd0215640854e90d6463a3",
            needs=("encoder.", "decoder.", "quant_conv."),
        ),
        WeightFile(path="scheduler/scheduler_config.json", size=533),
    ),
    size_bytes=1_459_750_975,
    licence="Stable Video Diffusion 1.1 Non-Commercial Community",
    licence_url="https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1",
    noncommercial=True,
    gated=True,
)
_DEPTHCRAFTER = ModelWeights(
    name="depthcrafter",
    role="depth of whole shots",
    repo="tencent/DepthCrafter",
    # The second release: it was trained for 5 steps without guidance, which the first one was not.
    revision="f2207fa67e799d3cac41b0a051bb051401137a5b",
    files=(
        _UNET[0],
        _UNET[1].model_copy(
            update={"sha256": "48feba12ce91f2ba2e7d3853bfcdd50ad45a4980be227f43f5add28baa451f94"},
        ),
    ),
    size_bytes=3_049_400_000,
    licence=_TENCENT,
    licence_url="https://github.com/Tencent/DepthCrafter/blob/main/LICENSE",
    noncommercial=True,
    needs=("svd",),
    in_channels=8,
)
_STEREOCRAFTER = ModelWeights(
    name="stereocrafter",
    role="occlusions of the second eye",
    repo="TencentARC/StereoCrafter",
    files=_UNET,
    size_bytes=3_049_400_000,
    licence=_TENCENT,
    licence_url="https://github.com/TencentARC/StereoCrafter",
    noncommercial=True,
    needs=("svd",),
    in_channels=9,
)


def _depth_anything(size: str, revision: str, weights: WeightFile, about: int, *, noncommercial: bool) -> ModelWeights:
    return ModelWeights(
        name=f"depth-anything-v2-{size.lower()}",
        role="depth of single pictures",
        repo=f"depth-anything/Depth-Anything-V2-{size}-hf",
        revision=revision,
        files=(WeightFile(path="config.json"), WeightFile(path="preprocessor_config.json"), weights),
        size_bytes=about,
        licence="CC-BY-NC-4.0" if noncommercial else "Apache-2.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/"
        if noncommercial
        else "https://www.apache.org/licenses/LICENSE-2.0",
        noncommercial=noncommercial,
    )


def _midas(kind: str, revision: str, weights: WeightFile, about: int) -> ModelWeights:
    repo = {"hybrid": "Intel/dpt-hybrid-midas", "large": "Intel/dpt-large"}[kind]
    return ModelWeights(
        name=f"midas-dpt-{kind}",
        role="depth of single pictures",
        repo=repo,
        revision=revision,
        files=(WeightFile(path="config.json"), WeightFile(path="preprocessor_config.json"), weights),
        size_bytes=about,
        licence="Apache-2.0",
        licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    )


_ENTRIES = (
    _depth_anything(
        "Small",
        "5426e4f0f36572d16453bbda7a8389317b1bef99",
        WeightFile(
            path="model.safetensors",
            size=99_173_660,
            sha256="3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70",
            needs=_DEPTH_ANYTHING,
        ),
        99_200_000,
        noncommercial=False,
    ),
    _depth_anything(
        "Base",
        "b1958afc87fb45a9e3746cb387596094de553ed8",
        WeightFile(path="model.safetensors", needs=_DEPTH_ANYTHING),
        390_000_000,
        noncommercial=True,
    ),
    _depth_anything(
        "Large",
        "7581137eff8d4e94f6e796d3baea0e9fa79b22d2",
        WeightFile(
            path="model.safetensors",
            size=1_341_322_868,
            sha256="4e01e34ed5549b529b70b92d53226bc370f03041977b390d3dde45d47f516cf9",
            needs=_DEPTH_ANYTHING,
        ),
        1_341_300_000,
        noncommercial=True,
    ),
    # This repository has no safetensors file; transformers reads the pickle without running code from it.
    _midas(
        "hybrid",
        "11eaf7a1cf4bd70740697dbc216f98980c0aeb03",
        WeightFile(
            path="pytorch_model.bin",
            size=489_648_389,
            sha256="b6c4d44f9d96ca3fa76dd3bbb153989a60b4ad5526559f3c598562a368d687ec",
        ),
        489_700_000,
    ),
    _midas(
        "large",
        "bc15f29aa3a80d532f2ed650b5e16ac48d8958f9",
        WeightFile(path="model.safetensors", size=1_367_456_044, needs=("dpt.", "neck.", "head.")),
        1_367_500_000,
    ),
    _DEPTHCRAFTER,
    _STEREOCRAFTER,
    _STABLE_VIDEO_DIFFUSION,
)
CATALOGUE: dict[str, ModelWeights] = {entry.name: entry for entry in _ENTRIES}
assert set(PICTURE_MODELS) <= set(CATALOGUE)


def find(name: str) -> ModelWeights:
    """The weights called ``name``: one of :data:`CATALOGUE`, or any ``owner/name[@revision]`` of the hub.

    Raises:
        InvalidSettings: it is neither.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    hub = _HUB_NAME.match(name)
    # A revision becomes part of a path in the cache.
    if not hub or ".." in name:
        known = ", ".join(CATALOGUE)
        raise InvalidSettings(name, "no model is called that", f"Use one of {known}, or an owner/name of the hub")
    repo = hub["repo"]
    return ModelWeights(
        name=name,
        role="depth of single pictures",
        repo=repo,
        revision=hub["revision"] or "main",
        patterns=_TRANSFORMERS_FILES,
        licence="unknown: see its page",
        licence_url=f"https://huggingface.co/{repo}",
    )


def with_needs(entry: ModelWeights) -> tuple[ModelWeights, ...]:
    """The model and those it cannot run without."""
    return (entry, *(CATALOGUE[name] for name in entry.needs))
