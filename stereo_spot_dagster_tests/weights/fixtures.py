"""A hub of our own and an empty cache for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from .hub import Hub, Repository, running


@pytest.fixture(name="start_hub")
def hub_starter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Repository]], Hub]]:
    """Starts a hub with some repositories and lets this process reach it, and nothing else."""
    from huggingface_hub import constants

    with ExitStack() as stack:

        def start(repositories: dict[str, Repository]) -> Hub:
            hub = stack.enter_context(running(repositories))
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            monkeypatch.setenv("HF_HUB_OFFLINE", "0")
            # The client reads this once, when it is imported, and the whole test run forbids the network.
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
            return hub

        yield start


@pytest.fixture(autouse=True, name="own_cache")
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """An empty cache of the hub, and no settings of the developer's machine."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MODELS", "TOKEN_SECRET", "WORKER_VRAM", "DEVICE", "VRAM"):
        monkeypatch.delenv(f"STEREO_SPOT_{name}", raising=False)
