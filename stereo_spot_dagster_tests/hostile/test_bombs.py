"""Files that claim or unfold to out of all measure much are refused early, and never take much memory or time."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.media import process
from stereo_spot_dagster.media.limits import MAX_PIXELS

from .bombs import Bombs

SETTINGS = ConversionSettings(preset="ultrafast", depth="cues")
MOST_MEMORY = 1 << 30
Made = tuple[str, bytes]


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Bombs:
    return Bombs(tmp_path_factory.mktemp("bombs"))


@pytest.fixture(scope="module")
def fresh_process() -> Iterator[ProcessPoolExecutor]:
    """A process with no history: Linux counts the memory of a parent at birth as memory of its children."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def convert(tmp_path: Path, fresh_process: ProcessPoolExecutor) -> Iterator[Callable[..., list[str]]]:
    """Converts an upload and gives its warnings; no child of it may have been large."""

    def run(made: Made, max_pixels: int = MAX_PIXELS) -> list[str]:
        name, content = made
        assert len(content) < 20 << 20, "a bomb is small"
        upload = tmp_path / name
        upload.write_bytes(content)
        refusal, warnings, largest_child = fresh_process.submit(
            converted, upload, tmp_path / "home", max_pixels
        ).result()
        assert 0 < largest_child <= MOST_MEMORY
        if refusal:
            raise InputRefused(name, refusal)
        return warnings

    yield run
    assert list((tmp_path / "home" / "scratch").glob("*")) == []


def converted(upload: Path, home: Path, max_pixels: int) -> tuple[str, list[str], int]:
    """Why a file was refused, or the warnings of its result, and the memory of the largest child so far, in bytes."""
    refusal, warnings = "", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(process.INPUT_OPTIONS, "max_pixels", max_pixels)
        try:
            finished = list(conversion_steps(Workspace.local(home), identify(upload, SETTINGS)))[-1]
            warnings = list(finished.warnings)  # type: ignore[union-attr]
        except InputRefused as error:
            refusal = error.cause
    unit = 1 if sys.platform == "darwin" else 1024
    return refusal, warnings, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Bombs.huge_gif, "65535x65535|no pictures that can be decoded"),
        (Bombs.huge_raw_pictures, "60000x60000"),
        (Bombs.huge_vp8, "16383x16383|no pictures that can be decoded"),
        (lambda bombs: bombs.many_streams(300), "it holds 300 streams; the limit is 256"),
        (lambda bombs: bombs.many_streams(3000), "it holds more streams than any film"),
        (lambda bombs: bombs.many_chapters(12_000), "it holds 12000 chapters; the limit is 10000"),
        # The longest that Matroska's reader takes; with the rest it is more than a description may have.
        (lambda bombs: bombs.long_title(16_776_000), "its description is too large to be true"),
        (Bombs.billions_of_samples, "."),
        (Bombs.deep_boxes, "."),
        (Bombs.deep_elements, "."),
        (Bombs.packed_index, "."),
    ],
)
def test_a_bomb_is_refused_from_its_header_within_seconds(
    kind: Callable[[Bombs], Made], words: str, bombs: Bombs, convert: Callable[..., list[str]]
) -> None:
    made = kind(bombs)
    started = time.monotonic()
    with pytest.raises(InputRefused, match=words):
        convert(made)
    assert time.monotonic() - started < 20


def test_pictures_that_grow_beyond_the_limit_in_the_middle_are_not_decoded(
    bombs: Bombs, convert: Callable[..., list[str]]
) -> None:
    assert process.INPUT_OPTIONS["max_pixels"] == MAX_PIXELS
    warnings = convert(bombs.grows_in_the_middle("320x180"), max_pixels=200 * 100)
    assert any("damaged" in warning for warning in warnings)


@pytest.mark.parametrize("kind", [Bombs.finest_clock, Bombs.fastest_avi])
def test_an_absurd_clock_is_refused_or_gives_a_result_that_passes_all_checks(
    kind: Callable[[Bombs], Made], bombs: Bombs, convert: Callable[..., list[str]]
) -> None:
    with contextlib.suppress(InputRefused):
        # Whatever it warns of: it has frames, which the blocking checks have compared.
        assert isinstance(convert(kind(bombs)), list)


def test_a_title_of_a_megabyte_comes_on_no_command_line(bombs: Bombs, convert: Callable[..., list[str]]) -> None:
    assert convert(bombs.long_title(1_000_000)) == []
