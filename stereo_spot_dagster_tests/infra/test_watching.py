"""Somebody is told when something is wrong, and logs have an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .synthesis import Deployment, environment, statements


def alarm(deployment: Deployment, name: str) -> dict:
    return deployment.compute.one("CloudWatch::Alarm", f"Alarms{name}")


def patterns(deployment: Deployment) -> dict[str, str]:
    filters = deployment.compute.all("Logs::MetricFilter").values()
    return {each["MetricTransformations"][0]["MetricName"]: each["FilterPattern"] for each in filters}


def test_every_log_group_of_every_stack_has_an_end(default: Deployment) -> None:
    groups = [group for stack in default.stacks for group in stack.all("Logs::LogGroup").values()]
    assert len(groups) == 10
    assert {group["RetentionInDays"] for group in groups} == {30}


@pytest.mark.parametrize(
    "name", ["FailedRuns", "DeadDrops", "NoProgress", "DaemonDown", "DatabaseFull", "IdleSpot", "IdleOnDemand"]
)
def test_every_alarm_reaches_the_topic_when_it_goes_off_and_when_it_ends(default: Deployment, name: str) -> None:
    found = alarm(default, name)
    for actions in (found["AlarmActions"], found["OKActions"]):
        assert [action["Ref"][:12] for action in actions] == ["NoticesTopic"]


def test_there_is_no_alarm_without_an_action(default: Deployment) -> None:
    alarms = default.compute.all("CloudWatch::Alarm").values()
    assert len(alarms) == 7
    assert all(found["AlarmActions"] for found in alarms)


def test_failed_runs_are_read_off_the_logs_of_workers_and_daemon(default: Deployment) -> None:
    assert patterns(default)["FailedInWorker"] == '"RUN_FAILURE"'
    for phrase in ("Marking run", "Run timed out", "exceeded maximum runtime", "Caught an error dequeuing"):
        assert phrase in patterns(default)["FailedInDaemon"]


def test_the_phrases_that_are_looked_for_are_ones_that_dagster_writes() -> None:
    pytest.importorskip("aws_cdk")
    import dagster._daemon.monitoring.run_monitoring as monitoring
    import dagster._daemon.run_coordinator.queued_run_coordinator_daemon as coordinator
    from stereo_spot_infra.measures import FAILED_IN_DAEMON, WAITING

    source = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (monitoring, coordinator))
    written = "".join(line.strip().removeprefix("f").strip('"') for line in source.splitlines())
    assert [phrase for phrase in (*FAILED_IN_DAEMON, *WAITING) if phrase not in written] == []


def test_a_daemon_that_says_nothing_is_a_daemon_that_is_down(default: Deployment) -> None:
    assert alarm(default, "DaemonDown")["TreatMissingData"] == "breaching"


def test_a_queue_that_does_not_move_for_an_hour_raises_an_alarm(default: Deployment) -> None:
    found = alarm(default, "NoProgress")
    expression = next(metric["Expression"] for metric in found["Metrics"] if "Expression" in metric)
    assert expression == "IF(FILL(waiting, 0) > 0 AND FILL(steps, 0) == 0, 1, 0)"
    assert found["EvaluationPeriods"] * 300 == 3600


def test_a_gpu_machine_that_is_paid_for_and_not_used_raises_an_alarm(default: Deployment) -> None:
    found = alarm(default, "IdleSpot")
    metric = next(metric["MetricStat"]["Metric"] for metric in found["Metrics"] if "MetricStat" in metric)
    assert metric["MetricName"] == "CapacityProviderReservation"
    # ECS needs a quarter of an hour to send a machine home; before that nothing is wrong.
    assert found["EvaluationPeriods"] * 5 > 15


def test_the_budget_warns_before_it_is_spent(default: Deployment) -> None:
    budget = default.compute.one("Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 200, "Unit": "USD"}
    warned = {
        (n["Notification"]["NotificationType"], n["Notification"]["Threshold"])
        for n in budget["NotificationsWithSubscribers"]
    }
    assert warned == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}


def test_cloudwatch_and_the_budget_may_write_to_the_encrypted_topic(default: Deployment) -> None:
    topic = default.compute.one("SNS::TopicPolicy")
    publishers = json.dumps([s["Principal"] for s in statements(topic) if s["Effect"] == "Allow"])
    key = json.dumps(default.compute.one("KMS::Key")["KeyPolicy"])
    for service in ("cloudwatch.amazonaws.com", "budgets.amazonaws.com"):
        assert service in publishers
        assert service in key


def test_an_address_that_is_given_is_subscribed(default: Deployment, with_domain: Deployment) -> None:
    assert with_domain.compute.one("SNS::Subscription")["Endpoint"] == "operator@example.com"
    assert not default.compute.all("SNS::Subscription")


def test_the_dashboard_shows_work_failures_machines_drops_and_the_database(default: Deployment) -> None:
    body = json.dumps(default.compute.one("CloudWatch::Dashboard")["DashboardBody"])
    for word in (
        "StepsDone",
        "FailedInWorker",
        "GroupInServiceInstances",
        "CapacityProviderReservation",
        "ApproximateAgeOfOldestMessage",
        "FreeStorageSpace",
    ):
        assert word in body


def test_the_sensors_tell_the_same_people_of_videos_that_failed(default: Deployment) -> None:
    (container,) = default.compute.one("ECS::TaskDefinition", "CodeTask")["ContainerDefinitions"]
    topic = environment(container)["STEREO_SPOT_ALERT_URLS"]
    assert topic["Ref"].startswith("NoticesTopic")
    allowed = statements(default.compute.one("IAM::Policy", "PermissionsCode"))
    rights = {action: statement["Resource"] for statement in allowed for action in statement["Action"]}
    assert rights["sns:Publish"] == [topic]
    # The topic is encrypted: without its key nothing can be published.
    key = default.compute.one("SNS::Topic", "NoticesTopic")["KmsMasterKeyId"]
    assert rights["kms:GenerateDataKey"] == rights["kms:Decrypt"] == [key]
