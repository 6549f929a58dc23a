"""Where messages to people go: alarms, the budget, and what the sensors have to say about videos."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from .configuration import NAME, Configuration


class Notices(Construct):
    """One topic for everything; whoever subscribes to it hears all.

    Attributes:
        topic: of SNS.
        key: it is encrypted with, as CloudWatch may not use AWS's own key of SNS; 1 USD a month.
    """

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            description="Stereo-Spot alarms",
            enable_key_rotation=True,
            # Nothing that lasts is encrypted with it, and a key that is left behind costs on.
            removal_policy=RemovalPolicy.DESTROY,
            pending_window=Duration.days(7),
        )
        self.topic = sns.Topic(self, "Topic", topic_name=f"{NAME}-alarms", master_key=self.key, enforce_ssl=True)
        for service in ("cloudwatch", "budgets"):
            self._let_publish(iam.ServicePrincipal(f"{service}.amazonaws.com"))
        if configuration.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(configuration.alarm_email))

    def _let_publish(self, principal: iam.ServicePrincipal) -> None:
        ours = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[principal],
                actions=["kms:GenerateDataKey*", "kms:Decrypt"],
                resources=["*"],
                conditions=ours,
            )
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[principal], actions=["sns:Publish"], resources=[self.topic.topic_arn], conditions=ours
            )
        )
