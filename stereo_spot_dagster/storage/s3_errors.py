"""What S3 and botocore report, in this project's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from ..domain.errors import StoreFailed
from .base import StoreRefused, no_such_object


@dataclass(frozen=True)
class _Meaning:
    """What an error code means.

    Attributes:
        passing: True if the same request may succeed later.
    """

    cause: str
    remedy: str
    passing: bool = False


_DENIED = _Meaning(
    "access is denied",
    "Allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there, and its KMS key if it has one",
)
_NO_BUCKET = _Meaning("there is no such bucket", "Create it, or correct STEREO_SPOT_STORE")
_BAD_CREDENTIALS = _Meaning("the AWS credentials are not valid", "Correct the access key, the profile or the role")
_OLD_CREDENTIALS = _Meaning("the AWS credentials have expired", "Log in again, or restart with fresh ones", True)
_CLOCK = _Meaning("this machine's clock is wrong: S3 refuses requests 15 minutes off", "Set the clock, by NTP")
_REGION = _Meaning("the bucket lies in another region", "Set STEREO_SPOT_S3_REGION")
_BUSY = _Meaning("S3 is overloaded or has a fault", "Try again later", True)
_REPLACED = _Meaning("it was replaced meanwhile", "Try again", True)
_DAMAGED = _Meaning("it was damaged on the way", "Try again", True)
_ARCHIVED = _Meaning("it lies in an archive class", "Restore it first")
_FULL = _Meaning("there is no space left in the store", "Make space, or raise its quota")
_KMS = _Meaning(
    "its encryption key cannot be used",
    "Allow kms:Decrypt and kms:GenerateDataKey, and check STEREO_SPOT_S3_KMS_KEY_ID",
)
_NONE_SUCH = "NoSuchKey"

# A HEAD has no body, so its codes are bare numbers.
_MEANINGS: Mapping[str, _Meaning] = {
    **dict.fromkeys(("403", "AccessDenied", "AllAccessDisabled", "AccountProblem", "MethodNotAllowed"), _DENIED),
    **dict.fromkeys(("NoSuchBucket",), _NO_BUCKET),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"), _BAD_CREDENTIALS),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), _OLD_CREDENTIALS),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestInTheFuture"), _CLOCK),
    **dict.fromkeys(("301", "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("500", "503", "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"), _BUSY),
    **dict.fromkeys(("412", "416", "PreconditionFailed", "InvalidRange"), _REPLACED),
    **dict.fromkeys(("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"), _DAMAGED),
    **dict.fromkeys(("InvalidObjectState",), _ARCHIVED),
    **dict.fromkeys(("507", "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"), _FULL),
}
_MISSING = ("404", _NONE_SUCH, "NoSuchVersion")


def code_of(error: ClientError) -> str:
    """S3's code, or an HTTP status where there is none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Whether the object is not there. For a HEAD this also holds of a bucket that is not there."""
    return code_of(error) in _MISSING


def store_failed(place: str, error: BotoCoreError | ClientError) -> StoreFailed:
    """The typed error for what S3 answered, or for why it could not be asked.

    Args:
        place: ``s3://bucket/key`` that the request was about.
        error: what botocore raised, after its own retries.
    """
    if isinstance(error, ClientError):
        return _answered(place, error)
    return _unasked(place, error)


@contextmanager
def explained(place: str) -> Iterator[None]:
    """botocore's errors inside become StoreFailed about ``place``."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise store_failed(place, error) from error


def reason_of(code: str, message: str) -> str:
    """A few words for one object of many."""
    meaning = _MEANINGS.get(code)
    return meaning.cause if meaning else message or code


def _answered(place: str, error: ClientError) -> StoreFailed:
    code = code_of(error)
    if code in _MISSING:
        return no_such_object(place)
    meaning = _KMS if code.startswith("KMS.") else _MEANINGS.get(code)
    if meaning is None:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        message = error.response.get("Error", {}).get("Message", "")
        meaning = _Meaning(f"S3 says {message or 'no'}", "", status >= 500)
    remedy = meaning.remedy
    region = _region_in(error.response)
    if meaning is _REGION and region:
        remedy = f"{remedy}={region}"
    kind = StoreFailed if meaning.passing else StoreRefused
    return kind(place, f"{meaning.cause} ({code})", remedy)


def _region_in(response: Any) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region", "")


def _unasked(place: str, error: BotoCoreError) -> StoreFailed:
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.ProfileNotFound):
        return StoreRefused(place, "there are no AWS credentials here", "Give a role, a profile or access keys")
    if isinstance(error, aws.CredentialRetrievalError | aws.TokenRetrievalError | aws.SSOTokenLoadError):
        return StoreFailed(place, f"AWS credentials could not be had ({type(error).__name__})", "Log in again")
    if isinstance(error, aws.NoRegionError):
        return StoreRefused(place, "no region is set", "Set STEREO_SPOT_S3_REGION or AWS_REGION")
    if isinstance(error, aws.SSLError):
        return StoreRefused(place, "the TLS certificate of its endpoint is not trusted", "Set AWS_CA_BUNDLE")
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError):
        remedy = "Check the network, the region and STEREO_SPOT_S3_ENDPOINT_URL"
        return StoreFailed(place, f"its endpoint cannot be reached ({type(error).__name__})", remedy)
    if isinstance(error, aws.ParamValidationError):
        return StoreRefused(place, "it is not a valid bucket or key for S3", "Correct STEREO_SPOT_STORE")
    return StoreFailed(place, f"S3 could not be asked ({type(error).__name__})", "Check AWS's settings")
