"""Opens the media store that somebody named."""

from __future__ import annotations

from pathlib import Path

from ..domain.errors import InvalidSettings, ToolUnavailable
from .base import MediaStore
from .local import LocalStore

VARIABLE = "STEREO_SPOT_STORE"


def open_store(where: str, home: Path) -> MediaStore:
    """The store at ``s3://bucket/prefix``, or the one in the home folder if ``where`` is empty.

    Raises:
        InvalidSettings: it is neither.
        ToolUnavailable: what S3 needs is not installed.
    """
    if not where:
        return LocalStore(home)
    if not where.startswith("s3://"):
        raise InvalidSettings(VARIABLE, f"'{where}' is no media store", "Write s3://bucket/prefix, or unset it")
    try:
        # Half a second and 20 MB that a store in a folder needs nothing of.
        from .s3 import S3Store
    except ImportError as error:
        cause = f"a store in S3 needs the package {error.name}"
        raise ToolUnavailable(where, cause, "Run: pip install 'stereo-spot-dagster[aws]'") from None
    return S3Store.at(where)
