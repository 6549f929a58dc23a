"""The synthetic scenes keep their promises: what judges depth must itself be right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from .scenes import SCENES, RenderedClip, Stereo, render


@pytest.fixture(scope="module", params=sorted(SCENES))
def clip(request: pytest.FixtureRequest) -> RenderedClip:
    return render(request.param, 160, 90, frames=6, seed=11)


def test_left_moved_by_the_true_disparity_is_the_right_view_where_visible(clip: RenderedClip) -> None:
    rows, columns = np.indices(clip.depth.shape[1:], dtype=np.float32)
    for left, right, disparity, hidden in zip(
        clip.left, clip.right, clip.right_disparity_px, clip.occlusion, strict=True
    ):
        moved = cv2.remap(left, columns + disparity, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        error = np.abs(moved.astype(int) - right.astype(int)).mean(axis=-1)
        assert error[~hidden].mean() < 1.5
        assert np.percentile(error[~hidden], 95) < 6
        assert error[hidden].mean() > 10 * error[~hidden].mean()


def test_occlusions_lie_to_the_right_of_what_hides_them(clip: RenderedClip) -> None:
    checked = 0
    for disparity, hidden in zip(clip.right_disparity_px, clip.occlusion, strict=True):
        for row, first in zip(*np.nonzero(hidden[:, 1:] & ~hidden[:, :-1]), strict=True):
            run = np.flatnonzero(~hidden[row, first + 1 :])
            if run.size and run[0] >= 2:
                assert disparity[row, first] > disparity[row, first + 1] - 0.5
                checked += 1
    assert checked > 20


def test_the_right_view_has_a_border_of_its_own_on_the_left_when_all_is_behind_the_screen() -> None:
    clip = render("still", 160, 90, frames=1, seed=2, stereo=Stereo(4.0, 1.0))
    assert clip.disparity_px.max() <= 1e-4
    assert clip.occlusion[0, 0, :6].all()
    assert not clip.occlusion[0, 0, 8:].any()


def test_depth_spans_0_to_1_in_each_shot_and_disparity_follows_it(clip: RenderedClip) -> None:
    for shot in np.split(np.arange(len(clip.depth)), np.flatnonzero(clip.scene_start)[1:]):
        assert clip.depth[shot].min() == 0.0
        assert clip.depth[shot].max() == 1.0
    np.testing.assert_allclose(clip.disparity_px, 0.02 * 160 * (clip.depth - 0.5), atol=1e-4)


def test_no_divergence_makes_both_eyes_the_same() -> None:
    clip = render("still", 96, 54, frames=1, seed=4, stereo=Stereo(divergence_pct=0.0))
    np.testing.assert_array_equal(clip.left, clip.right)
    assert not clip.occlusion.any()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again, other = (render("dolly", 64, 36, frames=2, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.left, again.left)
    np.testing.assert_array_equal(first.depth, again.depth)
    assert np.abs(first.left.astype(int) - other.left.astype(int)).mean() > 5


def test_a_pan_has_no_parallax_and_a_sideways_move_has() -> None:
    def spread(name: str) -> float:
        clip = render(name, 192, 108, frames=2, seed=7)
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.left]
        flow = cv2.calcOpticalFlowFarneback(*gray, None, 0.5, 3, 15, 3, 5, 1.1, 0)  # type: ignore[call-overload]
        near, far = clip.depth[0] > 0.6, clip.depth[0] < 0.15
        textured = cv2.blur(np.abs(cv2.Laplacian(gray[0], cv2.CV_32F)), (9, 9)) > 3
        return abs(float(np.median(flow[near & textured, 0]) - np.median(flow[far & textured, 0])))

    assert spread("pan") < 0.3
    assert spread("sideways") > 1.0


def test_a_cut_starts_a_new_scene_and_nothing_else_does() -> None:
    assert np.flatnonzero(render("cut", 64, 36, frames=6, seed=1).scene_start).tolist() == [0, 3]
    assert np.flatnonzero(render("walkers", 64, 36, frames=6, seed=1).scene_start).tolist() == [0]


@pytest.mark.parametrize("size", [(16, 16), (37, 91), (91, 37)])
def test_any_size_can_be_rendered(size: tuple[int, int]) -> None:
    clip = render("walkers", *size, frames=1, seed=0)
    assert clip.left.shape == (1, size[1], size[0], 3)
    assert clip.occlusion.shape == clip.depth.shape == (1, size[1], size[0])
