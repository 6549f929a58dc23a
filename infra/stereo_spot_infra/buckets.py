"""How every bucket of the stack is closed."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_s3 as s3
from constructs import Construct


def private_bucket(scope: Construct, construct_id: str, **more: Any) -> s3.Bucket:
    """A bucket that cannot be made public, encrypted, reached by TLS 1.2 only, whose owner owns every object.

    Args:
        scope, construct_id: where it belongs.
        more: what else ``s3.Bucket`` takes.
    """
    return s3.Bucket(
        scope,
        construct_id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        **more,
    )
