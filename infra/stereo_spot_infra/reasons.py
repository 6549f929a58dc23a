"""Rules of cdk-nag that are not followed, each with its reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

# A reason shorter than this explains nothing.
_SHORTEST = 30


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Leave ``rule`` unfollowed below ``construct``.

    Args:
        rule: its identifier, with the finding in brackets where a rule has several: ``AwsSolutions-IAM5[Resource::*]``.
        reason: why it is right here, for whoever audits this.
    """
    if len(reason) < _SHORTEST:
        raise ValueError(f"{rule} at {construct.node.path}: {reason!r} is no reason")
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def wildcard(user: IConstruct, bucket: s3.Bucket, pattern: str) -> str:
    """The identifier of the finding that a policy of ``user`` names ``pattern`` in ``bucket``.

    cdk-nag writes the bucket as the template does: by its logical id, or by the name of an export of another stack.
    """
    owner = Stack.of(bucket)
    if owner is Stack.of(user):
        arn = f"<{owner.get_logical_id(bucket.node.default_child)}.Arn>"
    else:
        arn = owner.resolve(owner.export_value(bucket.bucket_arn))["Fn::ImportValue"]
    return f"AwsSolutions-IAM5[Resource::{arn}/{pattern}]"


def own(construct: IConstruct, *, service: str, resource: str) -> str:
    """The identifier of the finding that a policy names ``resource`` of this account, with ``@`` for ``construct``."""
    reference = f"<{Stack.of(construct).get_logical_id(construct.node.default_child)}>"
    arn = f"arn:<AWS::Partition>:{service}:<AWS::Region>:<AWS::AccountId>:{resource.replace('@', reference)}"
    return f"AwsSolutions-IAM5[Resource::{arn}]"
