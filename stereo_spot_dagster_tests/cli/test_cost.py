"""What a conversion cost: seconds of work on each kind of machine, times a price."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.cli.app import app
from stereo_spot_dagster.cli.cost import OTHER, Cost, Prices, Run, Work, cost_of, video_cost
from stereo_spot_dagster.cli.recover import recover
from stereo_spot_dagster.domain.errors import InvalidSettings, UnknownVideo
from stereo_spot_dagster.storage.keys import segment_partition

from ..assets.graph import Graph
from ..e2e.clips import make_clip

ASSETS = ("depth_segments", "stereo_segments", "final_video")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, str]:
    """A finished video of two segments."""
    folder = tmp_path_factory.mktemp("converted")
    graph = Graph(folder / "home")
    video = graph.hand_in(make_clip(folder / "clip.mp4", frames=32))
    graph.convert_all(video)
    assert graph.run(["final_video"], video).success
    return graph, video


def told(graph: Graph) -> dict[str, float]:
    """Sum of the seconds that the materializations of each asset tell."""
    sums: dict[str, float] = {}
    for asset in ASSETS:
        for record in graph.instance.fetch_materializations(dg.AssetKey(asset), limit=100).records:
            assert record.asset_materialization
            seconds = record.asset_materialization.metadata["seconds_of_work"].value
            assert isinstance(seconds, float)
            sums[asset] = sums.get(asset, 0.0) + seconds
    return sums


def test_the_seconds_of_all_steps_are_added_up(converted: tuple[Graph, str]) -> None:
    graph, video = converted
    cost = video_cost(graph.instance, graph.workspace, video)
    assert cost.unknown == 0
    sums = {asset: seconds for (asset, _), seconds in cost.seconds.items()}
    assert {asset: seconds for asset, seconds in sums.items() if asset != OTHER} == pytest.approx(told(graph))
    assert {machine for _, machine in cost.seconds} == {"CPU"}


def test_all_time_of_all_runs_is_paid_for(converted: tuple[Graph, str]) -> None:
    graph, video = converted
    records = graph.instance.get_run_records()
    lasted = [record.end_time - record.start_time for record in records if record.end_time and record.start_time]
    assert len(lasted) >= 4
    assert sum(video_cost(graph.instance, graph.workspace, video).seconds.values()) == pytest.approx(sum(lasted))


def test_attempts_that_failed_are_paid_for(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4", frames=32))
    assert graph.run(["source_video", "segments"], video).success
    planned = video_cost(graph.instance, graph.workspace, video).seconds
    for segment in graph.workspace.store.objects(f"videos/{video}/segments/"):
        graph.workspace.store.delete_prefix(segment.key)
    assert not graph.run(["depth_segments"], segment_partition(video, 0)).success
    assert video_cost(graph.instance, graph.workspace, video).seconds[OTHER, "CPU"] > planned[OTHER, "CPU"] > 0


def test_what_a_run_does_beside_its_work_is_paid_for_at_the_price_of_its_machine() -> None:
    works = [Work("depth_segments", "v.00000", "run 1", "NVIDIA A10G", 100.0)]
    runs = [Run("run 1", "GPU", 130.0), Run("run 2", "GPU", 20.0), Run("run 3", "CPU", 7.0)]
    assert cost_of(works, runs).seconds == {
        ("depth_segments", "NVIDIA A10G"): 100.0,
        (OTHER, "NVIDIA A10G"): 30.0,
        (OTHER, "GPU"): 20.0,
        (OTHER, "CPU"): 7.0,
    }


def test_a_retry_that_found_its_depth_in_the_store_is_not_paid_for_twice(converted: tuple[Graph, str]) -> None:
    graph, video = converted
    before = video_cost(graph.instance, graph.workspace, video).seconds["depth_segments", "CPU"]
    assert graph.run(["depth_segments"], segment_partition(video, 0)).success
    assert video_cost(graph.instance, graph.workspace, video).seconds["depth_segments", "CPU"] == before


def test_the_machine_with_a_gpu_is_paid_for_also_while_its_cpu_works() -> None:
    works = [
        Work("depth_segments", "v.00000", "run 1", "NVIDIA A10G", 100.0),
        Work("stereo_segments", "v.00000", "run 1", "CPU", 50.0),
        Work("final_video", "v", "run 2", "CPU", 30.0),
    ]
    cost = cost_of(works)
    assert cost.seconds == {
        ("depth_segments", "NVIDIA A10G"): 100.0,
        ("stereo_segments", "NVIDIA A10G"): 50.0,
        ("final_video", "CPU"): 30.0,
    }
    assert cost.total_usd(Prices(gpu_usd=3.6, cpu_usd=0.36)) == pytest.approx(0.150 + 0.003)


def test_frames_a_second_are_those_of_depth_and_second_eye_together(converted: tuple[Graph, str]) -> None:
    works = [
        Work("depth_segments", "v.00000", "run 1", "NVIDIA A10G", 6.0, 24),
        Work("stereo_segments", "v.00000", "run 1", "CPU", 2.0, 24),
        # After a recovery the store knows the time of the depth alone.
        Work("depth_segments", "v.00001", "", "CPU", 6.0, 24),
        Work("stereo_segments", "v.00001", "", "CPU", None, 24),
        Work("final_video", "v", "run 2", "CPU", 30.0),
    ]
    assert cost_of(works).frames_per_second == pytest.approx(3.0)
    assert cost_of(works[2:]).frames_per_second == 0
    frames = video_cost(converted[0].instance, converted[0].workspace, converted[1]).frames
    assert (frames["depth_segments"], frames["stereo_segments"]) == (32, 32)


def test_work_of_unknown_length_is_counted_but_costs_nothing() -> None:
    works = [Work("stereo_segments", f"v.0000{index}", "", "CPU", None) for index in range(3)]
    assert cost_of(works) == Cost({}, unknown=3, frames={})


def test_after_a_recovery_the_seconds_that_the_store_knows_are_left(converted: tuple[Graph, str]) -> None:
    graph, video = converted
    fresh = Graph(graph.home)
    recover(fresh.instance, fresh.workspace, video)
    cost = video_cost(fresh.instance, fresh.workspace, video)
    assert [asset for asset, _ in cost.seconds] == ["depth_segments"]
    assert cost.unknown == 3


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(InvalidSettings):
        Prices(gpu_usd=price)


def test_a_video_that_was_never_handed_in_is_named(converted: tuple[Graph, str]) -> None:
    with pytest.raises(UnknownVideo):
        video_cost(converted[0].instance, converted[0].workspace, "nobodys-00000000")


def test_the_command_multiplies_with_the_prices_it_is_given(
    converted: tuple[Graph, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, video = converted
    monkeypatch.setenv("STEREO_SPOT_HOME", str(graph.home))
    monkeypatch.setenv("STEREO_SPOT_CPU_PRICE", "3600")
    monkeypatch.setattr("stereo_spot_dagster.cli.session.Session.instance", graph.instance)
    assert not app(["cost", video], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "3600" in printed
    total = sum(video_cost(graph.instance, graph.workspace, video).seconds.values())
    assert f"{total:.4f}" in printed
    assert "frames a second of one machine" in printed
