"""People are told of what failed or stands still: once, with the reason and the command that helps."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets.partitions import VIDEO_TAG
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.definitions import defs
from stereo_spot_dagster.domain.video import Attempt, Driver
from stereo_spot_dagster.sensors import alerts
from stereo_spot_dagster.sensors.alerts import Watch, addresses, failed_video_alert, stuck_video_alert
from stereo_spot_dagster.storage import keys

from ..assets.graph import Graph
from ..e2e.clips import make_clip

HOUR_S = 3600.0


class Webhook:
    """A server of this machine that remembers what is posted to it.

    Attributes:
        messages: (title, text) in order.
        status: what it answers.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.status == 200:
                    hook.messages.append((posted["title"], posted["message"]))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    hook = Webhook()
    monkeypatch.setenv("STEREO_SPOT_ALERT_URLS", hook.url)
    yield hook
    hook.server.shutdown()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "My Holiday.mp4", frames=32)


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph(tmp_path / "home")


def hand_in(graph: Graph, clip: Path) -> str:
    """A video that is handed in and whose file is gone."""
    copy = graph.home.parent / clip.name
    copy.write_bytes(clip.read_bytes())
    video = graph.hand_in(copy)
    copy.unlink()
    return video


def fail(graph: Graph, video: str, tag: str = "dagster/retry_number", value: str = "0") -> None:
    """A run that fails, with a tag of its own, and the sensor's look at it."""
    result = graph.run(["source_video"], video, by_hand=False, **{tag: value})
    assert not result.success
    look_at(graph, result)


def look_at(graph: Graph, result: dg.ExecuteInProcessResult) -> None:
    run = graph.instance.get_run_by_id(result.run_id)
    assert run
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_video_alert",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=graph.instance,
        dagster_run=run,
    ).for_run_failure()
    failed_video_alert(context, studio=Studio(home=str(graph.home)))


def watch(graph: Graph, since_s: float | None = None, last_s: float | None = None) -> str:
    """One tick of the sensor for stuck videos, which has been running for a day; returns its cursor."""
    now_s = time.time()
    cursor = Watch("", now_s - 24 * HOUR_S if since_s is None else since_s, now_s - 60 if last_s is None else last_s)
    context = dg.build_sensor_context(instance=graph.instance, cursor=str(cursor))
    result = stuck_video_alert(context, studio=Studio(home=str(graph.home)))
    assert isinstance(result, dg.SensorResult)
    return result.cursor or ""


def pass_time(graph: Graph, hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time() + hours * HOUR_S
    monkeypatch.setattr("stereo_spot_dagster.sensors.alerts.time.time", lambda: now_s)


def test_a_video_that_failed_with_two_retries_is_told_of_once(webhook: Webhook, graph: Graph, clip: Path) -> None:
    video = hand_in(graph, clip)
    for retry in range(3):
        fail(graph, video, value=str(retry))
    ((title, text),) = webhook.messages
    assert title == "My Holiday.mp4 failed"
    assert "My Holiday.mp4" in text
    assert "it is no longer there" in text
    assert f"stereo-spot retry {video}" in text


def test_nothing_is_told_while_a_run_is_tried_again(webhook: Webhook, graph: Graph, clip: Path) -> None:
    video = hand_in(graph, clip)
    for will_retry in ("true", "true", "false"):
        assert webhook.messages == []
        fail(graph, video, "dagster/will_retry", will_retry)
    assert len(webhook.messages) == 1


def test_segments_that_fail_for_one_cause_are_one_message(webhook: Webhook, graph: Graph, clip: Path) -> None:
    video = graph.hand_in(clip)
    assert graph.run(["source_video", "segments"], video).success
    for segment in graph.workspace.plan(video).segments:
        look_at(graph, graph.run(["stereo_segments"], keys.segment_partition(video, segment.index)))
    assert len(webhook.messages) == 1


def test_segments_that_fail_in_different_ways_are_one_message_too(webhook: Webhook, graph: Graph, clip: Path) -> None:
    video = graph.hand_in(clip)
    assert graph.run(["source_video", "segments"], video).success
    first, second = graph.workspace.plan(video).segments
    look_at(graph, graph.run(["stereo_segments"], keys.segment_partition(video, first.index)))
    graph.workspace.store.delete_prefix(second.cut_key)
    look_at(graph, graph.run(["depth_segments"], keys.segment_partition(video, second.index)))
    assert len(webhook.messages) == 1


def test_another_attempt_that_fails_is_told_of_again(webhook: Webhook, graph: Graph, clip: Path) -> None:
    video = hand_in(graph, clip)
    fail(graph, video)
    graph.workspace.save(Attempt(number=1), keys.attempt(video))
    fail(graph, video)
    assert len(webhook.messages) == 2


def test_without_an_address_nobody_is_told_and_nothing_is_remembered(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEREO_SPOT_ALERT_URLS")
    video = hand_in(graph, clip)
    fail(graph, video)
    watch(graph)
    assert webhook.messages == []
    assert list(graph.workspace.store.objects(f"{keys.video_folder(video)}alerts/")) == []


def test_an_address_that_does_not_answer_breaks_nothing_and_hinders_no_other(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREO_SPOT_ALERT_URLS", f"json://127.0.0.1:9/, nonsense://x {webhook.url}")
    assert len(addresses()) == 3
    fail(graph, hand_in(graph, clip))
    assert len(webhook.messages) == 1


def test_a_failure_that_could_not_be_told_is_told_as_a_video_at_rest_later(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = graph.hand_in(clip)
    assert graph.run(["source_video", "segments"], video).success
    webhook.status = 500
    look_at(graph, graph.run(["stereo_segments"], keys.segment_partition(video, 0)))
    webhook.status = 200
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    assert [title for title, _ in webhook.messages] == ["My Holiday.mp4 is stuck"]


def test_a_store_that_cannot_be_reached_breaks_no_sensor(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise OSError("no route to host")

    monkeypatch.setattr(Workspace, "has_submission", broken)
    monkeypatch.setattr("stereo_spot_dagster.sensors.alerts.Walk", broken)
    fail(graph, hand_in(graph, clip))
    watch(graph)
    assert webhook.messages == []


def test_a_video_at_which_nothing_happens_is_told_of_once(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = graph.hand_in(clip)
    assert graph.run(["source_video", "segments"], video).success
    watch(graph)
    assert webhook.messages == []
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    watch(graph)
    ((title, text),) = webhook.messages
    assert title == "My Holiday.mp4 is stuck"
    assert "nothing has happened for 120 minutes" in text
    assert "0 of 2 segments done" in text
    assert f"stereo-spot retry {video}" in text


def test_a_video_with_a_run_to_come_is_not_stuck(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = graph.hand_in(clip)
    tags = {"dagster/partition": video, VIDEO_TAG: video}
    graph.instance.add_run(dg.DagsterRun(job_name="any", tags=tags, status=dg.DagsterRunStatus.STARTED))
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    assert webhook.messages == []


def test_a_video_whose_failure_was_told_is_not_told_of_as_stuck(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = graph.hand_in(clip)
    assert graph.run(["source_video", "segments"], video).success
    look_at(graph, graph.run(["stereo_segments"], keys.segment_partition(video, 0)))
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    assert [title for title, _ in webhook.messages] == ["My Holiday.mp4 failed"]


def test_a_video_that_a_command_converts_is_not_watched(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.hand_in(clip, driver=Driver.INLINE)
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    assert webhook.messages == []


def test_after_a_night_without_the_daemon_nothing_counts_as_stuck(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.hand_in(clip)
    pass_time(graph, 12, monkeypatch)
    now_s = alerts.time.time()
    cursor = watch(graph, last_s=now_s - 11 * HOUR_S)
    assert webhook.messages == []
    assert Watch.parse(cursor, now_s).since_s == now_s


@pytest.mark.parametrize("minutes", ["soon", "0", "-3", "nan"])
def test_a_time_that_is_none_breaks_no_sensor(
    webhook: Webhook, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch, minutes: str
) -> None:
    monkeypatch.setenv("STEREO_SPOT_ALERT_STUCK_MINUTES", minutes)
    graph.hand_in(clip)
    pass_time(graph, 2, monkeypatch)
    watch(graph)
    assert webhook.messages == []


def test_a_topic_is_published_to_with_the_rights_of_this_process(
    aws_endpoint: str, graph: Graph, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    topics, queues = (boto3.client(service, region_name="us-east-1") for service in ("sns", "sqs"))
    topic = topics.create_topic(Name="alerts")["TopicArn"]
    queue = queues.create_queue(QueueName="heard")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("STEREO_SPOT_ALERT_URLS", topic)
    fail(graph, hand_in(graph, clip))
    (message,) = queues.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Subject"] == "My Holiday.mp4 failed"


def test_both_sensors_are_among_the_definitions() -> None:
    names = {sensor.name for sensor in defs.sensors or []}
    assert {"failed_video_alert", "stuck_video_alert"} <= names
