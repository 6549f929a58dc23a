"""The token that opens gated repositories."""

from __future__ import annotations

import importlib
import json
import os

from ..domain.errors import StereoSpotError, ToolUnavailable
from ..domain.machine import MachineSettings

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_FIELDS = ("HF_TOKEN", "hf_token", "token")


def hub_token(machine: MachineSettings) -> str | None:
    """The token: ``HF_TOKEN``, else the AWS secret of ``machine``, else what ``hf auth login`` saved, else None.

    Raises:
        ToolUnavailable: a secret is named, but boto3 is not installed.
        StereoSpotError: the secret cannot be read or holds no token.
    """
    for variable in _VARIABLES:
        if os.environ.get(variable, "").strip():
            return os.environ[variable].strip()
    if machine.token_secret:
        return _from_secret(machine.token_secret)
    from huggingface_hub import get_token

    return get_token()


def _from_secret(arn: str) -> str:
    """The token in a secret of AWS Secrets Manager: the plain text, or a field ``HF_TOKEN`` or ``token`` of JSON."""
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        cause = "reading the hub's token from AWS Secrets Manager needs the package boto3"
        raise ToolUnavailable("STEREO_SPOT_TOKEN_SECRET", cause, "Run: pip install boto3; or set HF_TOKEN") from None
    parts = arn.split(":")
    region = parts[3] if len(parts) > 3 and parts[3] else None
    try:
        text = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=arn)["SecretString"]
    except Exception as error:  # boto3 makes its error classes at run time
        cause = f"the secret {arn} cannot be read: {type(error).__name__}"
        remedy = "Check the ARN, and that this role may call secretsmanager:GetSecretValue on it"
        raise StereoSpotError("STEREO_SPOT_TOKEN_SECRET", cause, remedy) from error
    token = _token_in(text)
    if not token:
        remedy = "Store the token itself, or JSON with a field HF_TOKEN"
        raise StereoSpotError("STEREO_SPOT_TOKEN_SECRET", f"the secret {arn} holds no token", remedy)
    return token


def _token_in(text: str) -> str:
    try:
        fields = json.loads(text)
    except ValueError:
        return text.strip()
    if not isinstance(fields, dict):
        return ""
    return next((str(fields[name]).strip() for name in _FIELDS if fields.get(name)), "")
