"""Packing two eyes into one picture."""

from __future__ import annotations

from .packer import Packer

__all__ = ["Packer"]
