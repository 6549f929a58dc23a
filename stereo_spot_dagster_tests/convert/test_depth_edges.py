"""The setting ``depth_edges`` reaches the picture, for the depth it is meant for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.convert import estimation
from stereo_spot_dagster.convert.depth import estimate_depth
from stereo_spot_dagster.convert.render import Rendering, render_segment
from stereo_spot_dagster.domain.settings import ConversionSettings, DepthEdges
from stereo_spot_dagster.media.frames import read_some_rgb

from ..tiny_models import make_tiny_models
from .shots import SIZE, film, plan_of

SETTINGS = ConversionSettings(
    depth="depth-anything-v2-small",
    preset="ultrafast",
    crf=0,
    picture_depth={"side": 98},  # type: ignore[arg-type]
)


def with_edges(edges: DepthEdges) -> ConversionSettings:
    return SETTINGS.model_copy(update={"depth_edges": edges})


@pytest.mark.slow
def test_each_way_to_enlarge_silhouettes_gives_another_right_eye_and_the_same_left_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(make_tiny_models(tmp_path / "models")))
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cpu")
    estimation.the_estimator.cache_clear()
    clip = film("walkers", tmp_path / "clip.mp4", frames=4)
    workspace, plan = plan_of(tmp_path / "home", clip, SETTINGS)
    source, frames, segment = workspace.source(plan.video), workspace.frames(plan), plan.segments[0]
    depth, _ = estimate_depth(workspace, SETTINGS, plan, frames, segment)
    shown = {}
    for edges in DepthEdges:
        own = source.model_copy(update={"settings": with_edges(edges)})
        (output,) = render_segment(workspace, own, plan, frames, segment, depth).outputs
        path, size = Path(workspace.store.locate(output.key)), (2 * SIZE[0], SIZE[1])
        wide = plan.picture.model_copy(update={"width": size[0]})
        (shown[edges],) = read_some_rgb(path, wide, size=size, numbers=[2], name="result")
    picture, steep, soft = (shown[edges].astype(int) for edges in DepthEdges)
    for one, other in ((picture, steep), (steep, soft), (picture, soft)):
        np.testing.assert_array_equal(one[:, : SIZE[0]], other[:, : SIZE[0]])
        assert (one[:, SIZE[0] :] != other[:, SIZE[0] :]).mean() > 0.01


@pytest.mark.parametrize(
    ("depth", "asked", "used"),
    [
        ("depthcrafter", DepthEdges.PICTURE, DepthEdges.PICTURE),
        ("onnx:net.onnx", DepthEdges.PICTURE, DepthEdges.PICTURE),
        ("cues", DepthEdges.PICTURE, DepthEdges.STEEP),
        ("file:depth.mkv", DepthEdges.PICTURE, DepthEdges.STEEP),
        ("file:depth.mkv", DepthEdges.SOFT, DepthEdges.SOFT),
        ("cues", DepthEdges.SOFT, DepthEdges.SOFT),
        ("depthcrafter", DepthEdges.STEEP, DepthEdges.STEEP),
    ],
)
def test_only_depth_of_a_trained_model_follows_the_picture_by_default(
    tmp_path: Path, depth: str, asked: DepthEdges, used: DepthEdges
) -> None:
    clip = film("still", tmp_path / "clip.mp4", frames=2)
    _, plan = plan_of(tmp_path / "home", clip, ConversionSettings(depth="cues"))
    rendering = Rendering(plan.model_copy(update={"depth": depth}), with_edges(asked))
    assert rendering.depth_edges is used
