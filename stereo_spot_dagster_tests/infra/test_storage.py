"""Buckets are closed, nothing intermediate is kept for ever, and each dropped file becomes a message."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest

from stereo_spot_dagster.sensors.drop_bucket import SETTLE_S
from stereo_spot_dagster.storage import keys

from .sample_keys import INTERMEDIATE, KEPT
from .synthesis import Deployment, statements

BUCKETS = ["Media", "Logs"]


def rules(deployment: Deployment, bucket: str = "Media") -> dict[str, dict]:
    found = deployment.data.one("S3::Bucket", bucket)["LifecycleConfiguration"]["Rules"]
    return {rule["Id"]: rule for rule in found}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_no_bucket_can_be_made_public(default: Deployment, bucket: str) -> None:
    block = default.data.one("S3::Bucket", bucket)["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )


def test_every_bucket_of_every_stack_is_encrypted_and_closed(default: Deployment) -> None:
    buckets = [bucket for stack in default.stacks for bucket in stack.all("S3::Bucket").values()]
    assert len(buckets) == 3
    assert all("BucketEncryption" in bucket and "PublicAccessBlockConfiguration" in bucket for bucket in buckets)


@pytest.mark.parametrize("kind", ["S3::BucketPolicy", "SQS::QueuePolicy"])
def test_buckets_and_queues_are_spoken_to_over_tls_only(default: Deployment, kind: str) -> None:
    policies = default.data.all(kind)
    assert len(policies) == 2
    for policy in policies.values():
        refused = [s for s in statements(policy) if s["Effect"] == "Deny"]
        assert any(s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for s in refused)


def test_overwritten_media_can_be_had_back_for_a_week(default: Deployment) -> None:
    assert default.data.one("S3::Bucket", "Media")["VersioningConfiguration"] == {"Status": "Enabled"}
    rule = rules(default)["what was deleted or overwritten"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}


def test_media_outlive_their_stack(default: Deployment) -> None:
    assert default.data.resource("S3::Bucket", "Media")["DeletionPolicy"] == "Retain"


def test_unfinished_uploads_are_given_up_after_a_week(default: Deployment) -> None:
    assert rules(default)["unfinished uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize(("which", "days"), [("default", 30), ("with_domain", 10)])
def test_what_is_tagged_as_intermediate_expires(which: str, days: int, request: pytest.FixtureRequest) -> None:
    rule = rules(request.getfixturevalue(which))["intermediates"]
    assert rule["ExpirationInDays"] == days
    assert rule["TagFilters"] == [{"Key": "retention", "Value": "intermediate"}]


def test_no_rule_expires_finished_films_or_records(default: Deployment) -> None:
    for rule in rules(default).values():
        if "ExpirationInDays" in rule:
            assert rule.get("TagFilters") or rule["Prefix"] == keys.DROP


def tagged_patterns(deployment: Deployment) -> list[str]:
    pattern = deployment.data.one("Events::Rule", "Written")["EventPattern"]
    return [entry["wildcard"] for entry in pattern["detail"]["object"]["key"]]


def test_the_keys_that_are_tagged_are_the_ones_of_the_package(default: Deployment) -> None:
    patterns = tagged_patterns(default)
    assert [key for key in INTERMEDIATE if not any(fnmatchcase(key, pattern) for pattern in patterns)] == []
    assert [key for key in KEPT if any(fnmatchcase(key, pattern) for pattern in patterns)] == []


def test_the_workflow_tags_the_object_of_the_event_and_may_do_nothing_else(default: Deployment) -> None:
    machine = default.data.one("StepFunctions::StateMachine")
    definition = "".join(
        part if isinstance(part, str) else "aws" for part in machine["DefinitionString"]["Fn::Join"][1]
    )
    step = json.loads(definition)["States"]["TagObject"]
    assert step["Resource"] == "arn:aws:states:::aws-sdk:s3:putObjectTagging"
    assert step["Parameters"]["Key.$"] == "$.detail.object.key"
    assert step["Parameters"]["Tagging"] == {"TagSet": [{"Key": "retention", "Value": "intermediate"}]}
    policy = default.data.one("IAM::Policy", "RetentionWorkflowRole")
    assert {action for s in statements(policy) for action in s["Action"] if action.startswith("s3:")} == {
        "s3:putObjectTagging"
    }


def test_a_complete_drop_becomes_a_message(default: Deployment) -> None:
    bucket = default.data.one("S3::Bucket", "Media")
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    rule = default.data.one("Events::Rule", "Dropped")
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": keys.DROP}]}
    target = rule["Targets"][0]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("StorageDrops")
    assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0].startswith("StorageDeadDrops")


def test_messages_that_nobody_can_use_are_set_aside_longer_than_they_wait(default: Deployment) -> None:
    drops, dead = (default.data.one("SQS::Queue", f"Storage{name}") for name in ("Drops", "DeadDrops"))
    assert drops["RedrivePolicy"]["maxReceiveCount"] == 5
    assert dead["MessageRetentionPeriod"] > drops["MessageRetentionPeriod"]
    assert drops["SqsManagedSseEnabled"]
    assert drops["DelaySeconds"] > SETTLE_S
    assert dead["SqsManagedSseEnabled"]
