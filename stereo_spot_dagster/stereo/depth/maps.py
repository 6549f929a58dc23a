"""The array type the cues are written in."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

# float32 unless a docstring says otherwise. OpenCV's type stubs lose the sample type of every array they return, so
# writing it here would only be contradicted.
Map: TypeAlias = NDArray[Any]
