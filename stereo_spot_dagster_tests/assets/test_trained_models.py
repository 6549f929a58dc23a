"""The whole graph with trained models: the real loaders and networks, with tiny random weights, on the CPU."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.convert import estimation
from stereo_spot_dagster.convert.depth import existing_depth
from stereo_spot_dagster.domain.settings import ConversionSettings, Inpaint
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.storage.keys import segment_partition

from ..e2e.clips import make_clip
from ..tiny_models import make_tiny_models
from .graph import Graph, failure_words, materialized

DIFFUSION = ConversionSettings(
    preset="ultrafast",
    segment_frames=10,
    depth="depthcrafter",
    inpaint=Inpaint.STEREOCRAFTER,
    accept_noncommercial=True,
    depthcrafter={"steps": 2, "window": 8, "overlap": 3, "max_side": 128},  # type: ignore[arg-type]
    stereocrafter={"steps": 2, "chunk": 6, "overlap": 1, "tile_side": 256},  # type: ignore[arg-type]
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def machine(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(models))
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cpu")


def metadata(graph: Graph, asset: str, partition: str) -> dict[str, object]:
    found = graph.instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    made = next(record for record in found if record.partition_key == partition)
    assert made.asset_materialization
    return {name: value.value for name, value in made.asset_materialization.metadata.items()}


@pytest.mark.slow
def test_depthcrafter_and_stereocrafter_convert_a_clip_frame_by_frame(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=20), DIFFUSION)
    graph.convert_all(video)
    finished = graph.run(["final_video"], video)
    assert finished.success, failure_words(finished)
    assert materialized(finished) == {"final_video"}
    plan = graph.workspace.plan(video)
    assert (plan.depth, plan.inpaint, plan.frames) == ("depthcrafter", Inpaint.STEREOCRAFTER, 20)
    assert plan.depth_reason == plan.inpaint_reason == "it was asked for"
    final = graph.workspace.final(video)
    assert final
    made = graph.workspace.store.fetch(final.outputs[0].key, tmp_path)
    assert probe(made).video.upright_size == (320, 90)
    first = segment_partition(video, 0)
    said = metadata(graph, "stereo_segments", first)
    assert (said["inpaint"], said["device"]) == ("stereocrafter", "CPU")
    assert metadata(graph, "depth_segments", first)["model"] == "depthcrafter"


@pytest.mark.slow
def test_other_strength_needs_no_depth_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=10), DIFFUSION)
    graph.convert_all(video)
    monkeypatch.setattr(estimation, "make_depth_estimator", lambda *_: pytest.fail("the depth model was loaded"))
    estimation.the_estimator.cache_clear()
    source = graph.workspace.source(video)
    stronger = source.settings.model_copy(update={"divergence": 4.0})
    graph.workspace.save(source.model_copy(update={"settings": stronger}), f"videos/{video}/source.json")
    again = graph.run(["stereo_segments"], segment_partition(video, 0))
    assert again.success, failure_words(again)


@pytest.mark.slow
def test_depth_anything_converts_a_clip(tmp_path: Path) -> None:
    settings = DIFFUSION.model_copy(
        update={"depth": "depth-anything-v2-small", "inpaint": Inpaint.BACKGROUND, "accept_noncommercial": False}
    )
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=24), settings)
    graph.convert_all(video)
    assert graph.run(["final_video"], video).success
    plan = graph.workspace.plan(video)
    depth = existing_depth(graph.workspace, plan, plan.segments[0])
    assert depth
    assert depth.model == "depth-anything-v2-small"
    assert depth.low < depth.high


def test_a_research_licence_must_be_accepted_before_any_work(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    settings = DIFFUSION.model_copy(update={"accept_noncommercial": False})
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=8), settings)
    words = failure_words(graph.run(["source_video", "segments"], video))
    assert "--accept-noncommercial" in words
    assert "Tencent" in words


def test_the_wrong_weights_are_named_before_any_work(tmp_path: Path, models: Path, monkeypatch) -> None:
    mixed = tmp_path / "models"
    mixed.mkdir()
    for name, taken in (("svd", "svd"), ("depthcrafter", "depthcrafter"), ("stereocrafter", "depthcrafter")):
        (mixed / name).symlink_to(models / taken)
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(mixed))
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=8), DIFFUSION)
    words = failure_words(graph.run(["source_video", "segments"], video))
    assert "stereocrafter" in words
    assert "8" in words
    assert "9" in words
