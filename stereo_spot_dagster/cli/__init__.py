"""The command line: a thin layer over the same functions and assets that the daemon uses."""

from .app import app, main

__all__ = ["app", "main"]
