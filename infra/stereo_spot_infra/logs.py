"""Log groups: each has a name a person finds, and an end."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from .configuration import NAME, Configuration


def log_group(scope: Construct, construct_id: str, name: str, configuration: Configuration) -> logs.LogGroup:
    """The log group ``/stereo-spot/<name>``, or ``name`` itself where AWS demands one that starts with a slash."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name if name.startswith("/") else f"/{NAME}/{name}",
        retention=logs.RetentionDays[_RETENTION[configuration.log_days]],
        removal_policy=RemovalPolicy.DESTROY,
    )


_RETENTION = {
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
}
