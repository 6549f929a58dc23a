"""Intermediate files get an end.

A lifecycle rule filters by how a key begins or by tags, and the keys of intermediates differ in the middle
(``videos/<video>/segments/``). A tag that the workers had to set could be forgotten in one place, and only the bill
would show it; so the bucket's own events set it: EventBridge matches the key with wildcards, a Step Functions express
workflow of one call tags the object, a lifecycle rule expires what is tagged. A film of 100 minutes is about 2,000
objects: 0.2 cents.
"""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from .configuration import NAME, Configuration
from .logs import log_group
from .reasons import acknowledge, wildcard
from .storage import Storage

TAG = "retention"
INTERMEDIATE = "intermediate"
# Everything else of a video stays: the original, the plan, the records, the finished files.
INTERMEDIATE_KEYS = tuple(f"videos/*/{folder}/*" for folder in ("segments", "depth", "stereo", "surveys", "supplied"))


class Retention(Construct):
    """Tags what is intermediate as it is written, and lets it expire."""

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration, storage: Storage) -> None:
        super().__init__(scope, construct_id)
        media = storage.media
        media.add_lifecycle_rule(
            id="intermediates",
            tag_filters={TAG: INTERMEDIATE},
            expiration=Duration.days(configuration.intermediate_days),
            # Nobody wants an intermediate back that was deleted.
            noncurrent_version_expiration=Duration.days(1),
        )
        workflow = self._workflow(configuration, media)
        events.Rule(
            self,
            "Written",
            description="An intermediate file of a video is complete",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [media.bucket_name]},
                    "object": {"key": [{"wildcard": pattern} for pattern in INTERMEDIATE_KEYS]},
                },
            ),
            targets=[
                targets.SfnStateMachine(workflow, dead_letter_queue=storage.dead_drops, retry_attempts=10),
            ],
        )

    def _workflow(self, configuration: Configuration, media: s3.Bucket) -> sfn.StateMachine:
        tag = tasks.CallAwsService(
            self,
            "TagObject",
            service="s3",
            action="putObjectTagging",
            iam_resources=[media.arn_for_objects(pattern) for pattern in INTERMEDIATE_KEYS],
            parameters={
                "Bucket": sfn.JsonPath.string_at("$.detail.bucket.name"),
                "Key": sfn.JsonPath.string_at("$.detail.object.key"),
                "Tagging": {"TagSet": [{"Key": TAG, "Value": INTERMEDIATE}]},
            },
            result_path=sfn.JsonPath.DISCARD,
        )
        tag.add_retry(errors=["States.TaskFailed"], interval=Duration.seconds(2), max_attempts=4, backoff_rate=3)
        # Deleted or replaced before it was tagged: nothing is left to expire.
        gone = sfn.Succeed(self, "Gone")
        tag.add_catch(gone, errors=["S3.NoSuchKeyException"])
        workflow = sfn.StateMachine(
            self,
            "Workflow",
            state_machine_name=f"{NAME}-retention",
            state_machine_type=sfn.StateMachineType.EXPRESS,
            definition_body=sfn.DefinitionBody.from_chainable(tag),
            timeout=Duration.minutes(4),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group(
                    # The prefix keeps Step Functions from growing the account's log resource policy past its limit.
                    self,
                    "WorkflowLog",
                    f"/aws/vendedlogs/states/{NAME}-retention",
                    configuration,
                ),
                level=sfn.LogLevel.ERROR,
            ),
        )
        acknowledge(
            workflow,
            "AwsSolutions-SF1",
            "Only errors are logged: one line for each object of each film would cost more than the workflow does.",
        )
        for pattern in INTERMEDIATE_KEYS:
            acknowledge(
                workflow.role,
                wildcard(workflow, media, pattern),
                "The keys of intermediate files have the video's name in the middle and the file's at the end.",
            )
        acknowledge(
            workflow.role,
            "AwsSolutions-IAM5[Resource::*]",
            "Delivery of vended logs and X-Ray know no resources; AWS documents both with an asterisk.",
        )
        return workflow
