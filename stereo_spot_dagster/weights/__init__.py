"""Weights of the models: which files of which repository, where they lie, how they get here, whether they are whole.

Nothing here imports torch; the hub's client is imported only to download.
"""

from __future__ import annotations

from .cache import identity, locate, require
from .catalogue import CATALOGUE, ModelWeights, find, with_needs
from .licences import require_acceptance
from .verify import check_unet, verify

__all__ = [
    "CATALOGUE",
    "ModelWeights",
    "check_unet",
    "find",
    "identity",
    "locate",
    "require",
    "require_acceptance",
    "verify",
    "with_needs",
]
