"""Fixtures of all tests of weights."""

from .fixtures import empty_cache, hub_starter

__all__ = ["empty_cache", "hub_starter"]
