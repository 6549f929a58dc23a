from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.media.encode import pts_expression

LARGEST_ARGUMENT_BYTES = 128 * 1024


def evaluate(expression: str, number: int) -> int:
    """What ffmpeg's expression evaluator gives for frame ``number``; only the words that we use."""
    words = re.sub(r"\bif\(", "choose(", expression)
    return eval(words, {"N": number, "lt": lambda a, b: a < b, "choose": lambda test, yes, no: yes if test else no})


times = st.lists(st.integers(1, 10**7), max_size=120).map(lambda steps: np.cumsum([0, *steps]).astype(np.int64))


@given(times)
def test_the_expression_gives_each_frame_its_exact_time(pts: np.ndarray) -> None:
    expression = pts_expression(pts)
    assert [evaluate(expression, number) for number in range(len(pts))] == pts.tolist()


def test_a_steady_rate_is_one_term() -> None:
    assert pts_expression(np.arange(0, 512 * 1000, 512)) == "0+512*N"


def test_one_pause_in_a_steady_rate_costs_one_condition() -> None:
    pts = np.array([0, 40, 80, 1500, 1540, 1580])
    assert pts_expression(pts).count("if(") == 1


def test_the_longest_irregular_segment_fits_in_one_argument() -> None:
    steps = np.random.default_rng(5).integers(9_000, 99_000, 5999)
    assert len(pts_expression(np.cumsum([0, *steps]))) < LARGEST_ARGUMENT_BYTES
