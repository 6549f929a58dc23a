"""Buckets, and the queue of what is dropped into them."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from .buckets import private_bucket
from .configuration import NAME, Configuration
from .reasons import acknowledge

DROP = "drop/"
WEIGHTS = "weights/"
COMPUTE_LOGS = "compute-logs/"
BALANCER_LOGS = "balancer"

# A message that the sensor took and could not use comes back this many times before it is set aside.
_ATTEMPTS = 5
# What the sensor waits for sidecars (drop_bucket.SETTLE_S), and two seconds for clocks.
_SETTLE = Duration.seconds(12)


class Storage(Construct):
    """The media bucket, the log bucket, and the queue of dropped files.

    Attributes:
        media: ``drop/``, ``videos/``, ``done/`` as the package's keys have them, and ``weights/``. Versioned, so that a
            finished film or a dropped original that is overwritten or deleted can be had back for a week.
        logs: what Dagster's runs printed, who read media, who asked the load balancer.
        drops: one message for each finished upload below ``drop/``, as EventBridge writes it.
        dead_drops: messages that nobody could use.
    """

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration) -> None:
        super().__init__(scope, construct_id)
        self.logs = self._log_bucket(configuration)
        self.media = self._media_bucket(configuration)
        self.dead_drops = self._queue("DeadDrops", f"{NAME}-drops-dead", retention=Duration.days(14))
        acknowledge(self.dead_drops, "AwsSolutions-SQS3", "This is the dead-letter queue itself; an alarm watches it.")
        self.drops = self._queue(
            "Drops",
            f"{NAME}-drops",
            # The age of a message counts from when it was first sent, also in the dead-letter queue.
            retention=Duration.days(4),
            # The sensor would put a younger message off by half a minute.
            delay=_SETTLE,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_drops, max_receive_count=_ATTEMPTS),
        )
        self._send_drops()

    def _media_bucket(self, configuration: Configuration) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Media",
            versioned=True,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="media-access/",
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="unfinished uploads", abort_incomplete_multipart_upload_after=Duration.days(7), enabled=True
                ),
                s3.LifecycleRule(
                    id="what was deleted or overwritten",
                    noncurrent_version_expiration=Duration.days(7),
                    expired_object_delete_marker=True,
                ),
                *(
                    [s3.LifecycleRule(id="originals", prefix=DROP, expiration=Duration.days(configuration.drop_days))]
                    if configuration.drop_days
                    else []
                ),
            ],
        )
        # The property of the construct would add a function of its own to the stack; this sets the same thing.
        resource = bucket.node.default_child
        resource.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)
        return bucket

    def _log_bucket(self, configuration: Configuration) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Logs",
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="old logs",
                    expiration=Duration.days(max(configuration.log_days, 90)),
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
        )
        acknowledge(bucket, "AwsSolutions-S1", "Access logs of the bucket of access logs would never come to an end.")
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BalancerWritesItsAccessLog",
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{BALANCER_LOGS}/AWSLogs/*")],
            )
        )
        return bucket

    def _queue(
        self,
        construct_id: str,
        name: str,
        *,
        retention: Duration,
        delay: Duration | None = None,
        dead_letters: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=name,
            # EventBridge may not use AWS's own KMS key of SQS; keys that SQS manages need no permission.
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            # A tick of the sensor ends after a minute at most; then an unused message may be seen again.
            visibility_timeout=Duration.minutes(5),
            receive_message_wait_time=Duration.seconds(5),
            retention_period=retention,
            delivery_delay=delay,
            dead_letter_queue=dead_letters,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _send_drops(self) -> None:
        events.Rule(
            self,
            "Dropped",
            description="A file below drop/ is complete",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [self.media.bucket_name]}, "object": {"key": [{"prefix": DROP}]}},
            ),
            targets=[targets.SqsQueue(self.drops, dead_letter_queue=self.dead_drops, retry_attempts=10)],
        )
