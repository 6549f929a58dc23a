"""How a bucket is spoken to: from the environment, never in a video's settings."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..domain.errors import InvalidSettings

_PREFIX = "STEREO_SPOT_S3_"
_LOCATION = re.compile(r"^s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,254})(?:/(?P<prefix>.*))?$", re.DOTALL)


class S3Settings(BaseModel):
    """From environment variables ``STEREO_SPOT_S3_<NAME>``.

    Credentials are none of them: they come by the usual chain of AWS (environment, profile, the role of the task).

    Attributes:
        endpoint_url: of a store that speaks S3 but is not AWS, like ``http://minio:9000``; empty for AWS.
        region: of the bucket; empty for the one that AWS's own settings name.
        path_style: put the bucket's name into the path, not the host name; most other stores need it.
        sse: encryption to ask for with each object; empty for what the bucket does by itself.
        kms_key_id: key for ``aws:kms``; empty for the account's default key.
        requester_pays: pay for requests to somebody else's bucket.
        part_mb: size of the parts of an upload, MiB; grows for files of more than 10,000 parts.
        upload_threads: parts of a file that are sent at once; each takes one part's size of memory.
        attempts: how often a request is tried in all.
        retry_mode: botocore's; ``adaptive`` also slows down all requests of this process while S3 throttles.
        connect_timeout_s, read_timeout_s: seconds without a connection, without a byte.
    """

    model_config = ConfigDict(frozen=True)

    endpoint_url: str = ""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = ""
    path_style: bool = False
    sse: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = ""
    kms_key_id: str = ""
    requester_pays: bool = False
    part_mb: Annotated[int, Field(ge=5, le=5120)] = 16
    upload_threads: Annotated[int, Field(ge=1, le=64)] = 4
    attempts: Annotated[int, Field(ge=1, le=20)] = 8
    retry_mode: Literal["standard", "adaptive"] = "standard"
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    read_timeout_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("endpoint_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("is not a URL like https://host:port")
        if parts.username or parts.password:
            # It would stand in every error message.
            raise ValueError("must not hold a user name or password")
        return value

    @model_validator(mode="after")
    def _key_needs_kms(self) -> S3Settings:
        if self.kms_key_id and not self.sse.startswith("aws:kms"):
            raise ValueError("a KMS key needs STEREO_SPOT_S3_SSE=aws:kms")
        return self

    @classmethod
    def from_environment(cls) -> S3Settings:
        """Raises InvalidSettings naming the variable, never its value: it may be a secret in the wrong place."""
        names = {name: f"{_PREFIX}{name.upper()}" for name in cls.model_fields}
        values = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            variable = names[str(first["loc"][0])] if first["loc"] else names["kms_key_id"]
            raise InvalidSettings(
                variable, first["msg"].removeprefix("Value error, "), "Correct it or unset it"
            ) from None

    @property
    def part_bytes(self) -> int:
        return self.part_mb << 20

    @property
    def encryption(self) -> dict[str, str | bool]:
        """Arguments of requests that write an object."""
        if not self.sse:
            return {}
        found: dict[str, str | bool] = {"ServerSideEncryption": self.sse}
        if self.kms_key_id:
            found["SSEKMSKeyId"] = self.kms_key_id
        if self.sse == "aws:kms":
            # One call to KMS for many objects, not one for each: 99 % of its cost.
            found["BucketKeyEnabled"] = True
        return found

    @property
    def payer(self) -> dict[str, str]:
        """Arguments of every request."""
        return {"RequestPayer": "requester"} if self.requester_pays else {}


def parse_location(url: str) -> tuple[str, str]:
    """(bucket, prefix) of ``s3://bucket/prefix``; the prefix is empty or ends with a slash.

    Raises:
        InvalidSettings: it is no such URL.
    """
    found = _LOCATION.match(url)
    if not found:
        raise InvalidSettings(url, "it is not a place in S3", "Write it like s3://bucket/prefix")
    prefix = (found["prefix"] or "").strip("/")
    if any(part in (".", "..") for part in prefix.split("/")):
        raise InvalidSettings(url, "its prefix has a part that is only dots", "Write it like s3://bucket/prefix")
    return found["bucket"], f"{prefix}/" if prefix else ""
