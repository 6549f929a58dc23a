"""Display matrices, as ffprobe prints them."""

from __future__ import annotations

import pytest

from stereo_spot_dagster.media.orientation import Orientation, orientation

ONE = 1 << 16


def matrix(a: int, b: int, c: int, d: int) -> dict[str, str]:
    rows = [(a, b, 0), (c, d, 0), (0, 0, 1 << 30)]
    return {"displaymatrix": "\n" + "\n".join(f"0000000{n}: {x} {y} {z}" for n, (x, y, z) in enumerate(rows)) + "\n"}


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ((ONE, 0, 0, ONE), Orientation()),
        ((0, ONE, -ONE, 0), Orientation(90)),
        ((-ONE, 0, 0, -ONE), Orientation(180)),
        ((0, -ONE, ONE, 0), Orientation(270)),
        ((-ONE, 0, 0, ONE), Orientation(mirrored=True)),
        ((ONE + 100, 50, -50, ONE), Orientation()),
    ],
)
def test_quarter_turns_and_mirrors_are_understood(numbers: tuple[int, int, int, int], wanted: Orientation) -> None:
    assert orientation(matrix(*numbers)) == wanted


@pytest.mark.parametrize(
    "numbers", [(65663, 2139062016, 0, ONE), (46341, 46341, -46341, 46341), (0, 0, 0, 0), (ONE, 0, 0, 0)]
)
def test_any_other_matrix_is_left_alone_and_known_for_what_it_is(numbers: tuple[int, int, int, int]) -> None:
    assert orientation(matrix(*numbers)) == Orientation(skewed=True)


def test_without_a_matrix_a_picture_is_upright() -> None:
    assert orientation(None) == Orientation()
