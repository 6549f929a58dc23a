"""How the models run on this machine: not part of a video's identity, so not among the conversion settings."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import InvalidSettings

_PREFIX = "STEREO_SPOT_"
_GIGABYTES = re.compile(r"^(\d+(?:\.\d+)?)\s*(?:gb?|gib)?$", re.IGNORECASE)


def _gigabytes(value: Any) -> Any:
    if isinstance(value, str):
        found = _GIGABYTES.match(value.strip())
        if not found:
            raise ValueError("is not a size; write it like 16GB")
        return float(found.group(1))
    return value


class MachineSettings(BaseModel):
    """What of this machine the models may use, from environment variables ``STEREO_SPOT_<NAME>``.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: number format of the networks; ``auto``: fp16 on a GPU, fp32 on a CPU.
        vram: GPU memory to plan for, GB; None: what is free.
        compile: compile the networks with torch.compile (slow start, faster after).
        models: folder with copies of model repositories, looked into before the cache of the hub.
        token_secret: ARN of an AWS secret that holds the token for gated repositories.
        worker_vram: GPU memory of the machines that will do the work, GB, where this one only plans.
    """

    model_config = ConfigDict(frozen=True)

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    vram: Annotated[float | None, BeforeValidator(_gigabytes), Field(gt=0)] = None
    compile: bool = False
    models: str = ""
    token_secret: str = ""
    worker_vram: Annotated[float | None, BeforeValidator(_gigabytes), Field(gt=0)] = None

    @classmethod
    def from_environment(cls) -> MachineSettings:
        """Raises InvalidSettings naming the variable."""
        names = {name: f"{_PREFIX}{name.upper()}" for name in cls.model_fields}
        values = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            message = first["msg"].removeprefix("Value error, ")
            raise InvalidSettings(names[name], f"'{values[name]}' {message}", "Correct it or unset it") from None
