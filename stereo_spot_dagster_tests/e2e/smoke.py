"""Which awkward files are also tried with another ffmpeg than the bundled one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest


def cases(named: Mapping[str, Any], smoke: Iterable[str]) -> list[Any]:
    """Parameters for a test of all of them, with those in ``smoke`` marked ``other_ffmpeg``.

    Args:
        named: what is tried, by name.
        smoke: names; an unknown one is an error, unless there is nothing to try at all.
    """
    chosen = frozenset(smoke)
    unknown = chosen - named.keys()
    assert not named or not unknown, f"there is no {', '.join(sorted(unknown))}"
    marks = {name: [pytest.mark.other_ffmpeg] if name in chosen else [] for name in named}
    return [pytest.param(case, id=name, marks=marks[name]) for name, case in named.items()]
