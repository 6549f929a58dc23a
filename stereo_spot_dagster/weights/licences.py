"""Licences that forbid commercial use need the user's word first."""

from __future__ import annotations

from ..domain.errors import InvalidSettings
from ..domain.settings import ConversionSettings
from .catalogue import ModelWeights


def require_acceptance(entry: ModelWeights, settings: ConversionSettings) -> None:
    """Pass if the licence of ``entry`` allows any use, or the user accepted that it does not.

    Raises:
        InvalidSettings: names the licence and where to read it.
    """
    if entry.noncommercial and not settings.accept_noncommercial:
        raise InvalidSettings(
            entry.name,
            f"its licence, {entry.licence}, allows no commercial use (read it: {entry.licence_url})",
            "If your use is within that licence, add --accept-noncommercial (accept_noncommercial: true)",
        )
