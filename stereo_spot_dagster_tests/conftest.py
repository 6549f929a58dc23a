"""Settings for all tests."""

from __future__ import annotations

import os

# Before anything imports the hub's client, which reads it once: no test may depend on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from hypothesis import settings

# CI tries the same examples every time: a new counterexample is found by a developer, not by somebody's merge.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
