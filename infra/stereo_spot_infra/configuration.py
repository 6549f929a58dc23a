"""What differs between deployments, read from the CDK context; and the names that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

# dagster.yaml names these too; a test compares them.
NAME = "stereo-spot"
CLUSTER = NAME
CPU_FAMILY = f"{NAME}-cpu"
GPU_FAMILY = f"{NAME}-gpu"
WORKER_CONTAINER = "worker"
SPOT_PROVIDER = f"{NAME}-gpu-spot"
ON_DEMAND_PROVIDER = f"{NAME}-gpu-on-demand"
DATABASE = "dagster"
DATABASE_PORT = 5432
CODE_PORT = 4000
WEB_PORT = 3000
# The user of both images; folders of the GPU machines belong to it.
USER_ID = 1000

# Retention that CloudWatch Logs accepts, of those that make sense here.
_LOG_DAYS = (7, 14, 30, 60, 90, 180, 365)
_OIDC_FIELDS = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "user_info_endpoint",
    "client_id",
    "client_secret_arn",
)


class ConfigurationError(ValueError):
    """A context value that cannot be used; the message names it."""


@dataclass(frozen=True)
class Oidc:
    """An OpenID Connect provider that the load balancer asks who a visitor is.

    Attributes:
        client_secret_arn: ARN of the secret in Secrets Manager whose plain text is the client's secret.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    client_secret_arn: str


@dataclass(frozen=True)
class Configuration:
    """A deployment; each attribute is a context value of the same name (``cdk deploy -c gpu_max=8``).

    Attributes:
        image_tag: tag of both images in ECR, by convention a git commit.
        github_repository: owner/name that CodeBuild builds; empty: the archive that was put into the source bucket.
        certificate_arn: certificate (ACM) of the load balancer; without it there is none and the UI stays private.
        domain_name: name of the UI that the certificate is for.
        oidc: who signs people in; without it a Cognito user pool is made.
        allowed_cidrs: networks that may reach the load balancer at all.
        zones: availability zones; more of them find more Spot machines.
        gpu_instance_types: machines of the fleet, preferred ones first.
        gpu_memory_gb: GPU memory of the smallest of them, that conversions are planned for.
        gpu_max: most Spot machines at a time.
        gpu_on_demand_percent: share of on-demand machines within the Spot group.
        gpu_on_demand_max: most machines at a time of the on-demand group, which is used when Spot has none.
        database_instance: RDS instance class without its ``db.``.
        database_multi_az: keep a standby database in another zone (doubles its price).
        database_deletion_protection: refuse to delete the database.
        database_backup_days: days that automatic backups are kept.
        intermediate_days: days that segments, depth and stereo segments are kept; with them goes cheap retuning.
        drop_days: days that dropped originals are kept (each video has a copy of its own); 0: for ever.
        log_days: days that logs are kept.
        stall_minutes: minutes without a finished step while runs wait, before the alarm.
        idle_minutes: minutes that a GPU machine may be paid for and not used, before the alarm.
        alarm_email: address that alarms, the budget and failed videos are told to; empty: nobody is subscribed.
        monthly_budget_usd: spending of the whole account that is warned about.
    """

    image_tag: str = "unreleased"
    github_repository: str = ""
    certificate_arn: str = ""
    domain_name: str = ""
    oidc: Oidc | None = None
    allowed_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    zones: int = 3
    gpu_instance_types: tuple[str, ...] = ("g5.xlarge", "g6.xlarge", "g5.2xlarge")
    gpu_memory_gb: int = 24
    gpu_max: int = 4
    gpu_on_demand_percent: int = 0
    gpu_on_demand_max: int = 1
    database_instance: str = "t4g.small"
    database_multi_az: bool = False
    database_deletion_protection: bool = True
    database_backup_days: int = 7
    intermediate_days: int = 30
    drop_days: int = 90
    log_days: int = 30
    stall_minutes: int = 60
    idle_minutes: int = 45
    alarm_email: str = ""
    monthly_budget_usd: int = 200

    def __post_init__(self) -> None:
        if bool(self.certificate_arn) != bool(self.domain_name):
            raise ConfigurationError("certificate_arn and domain_name go together: give both or neither")
        if self.oidc and not self.certificate_arn:
            raise ConfigurationError("oidc needs certificate_arn and domain_name: people sign in over HTTPS only")
        if self.log_days not in _LOG_DAYS:
            raise ConfigurationError(f"log_days is {self.log_days}; it may be {', '.join(map(str, _LOG_DAYS))}")
        if not 0 <= self.gpu_on_demand_percent <= 100:
            raise ConfigurationError(f"gpu_on_demand_percent is {self.gpu_on_demand_percent}; it is a share of 100")
        if self.stall_minutes % 5 or not 10 <= self.stall_minutes <= 1440:
            raise ConfigurationError(f"stall_minutes is {self.stall_minutes}; it is a multiple of 5, from 10 to 1440")
        if self.idle_minutes % 5 or not 20 <= self.idle_minutes <= 1440:
            # ECS itself takes a quarter of an hour to send an idle machine home.
            raise ConfigurationError(f"idle_minutes is {self.idle_minutes}; it is a multiple of 5, from 20 to 1440")
        if not self.gpu_instance_types:
            raise ConfigurationError("gpu_instance_types is empty; name at least one machine")

    @property
    def public(self) -> bool:
        """True if a load balancer with a login stands in front of the UI."""
        return bool(self.certificate_arn)

    @classmethod
    def from_context(cls, context: Callable[[str], Any]) -> Configuration:
        """The configuration in a CDK context, whose values are JSON in a file and text on the command line.

        Raises:
            ConfigurationError: a value has the wrong form; says which.
        """
        types = get_type_hints(cls)
        given = {field.name: context(field.name) for field in fields(cls)}
        return cls(**{name: _parse(name, value, types[name]) for name, value in given.items() if value is not None})


def _parse(name: str, value: Any, kind: Any) -> Any:
    try:
        if kind is bool:
            return _parse_bool(value)
        if kind is int:
            return int(value)
        if kind is str:
            return str(value)
        if kind == tuple[str, ...]:
            return tuple(value.split(",") if isinstance(value, str) else value)
        return _parse_oidc(json.loads(value) if isinstance(value, str) else value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"context value {name}: {value!r} cannot be used: {error}") from None


def _parse_bool(value: Any) -> bool:
    words = {"true": True, "false": False}
    if str(value).lower() not in words:
        raise ValueError("write true or false")
    return words[str(value).lower()]


def _parse_oidc(value: Any) -> Oidc:
    if not isinstance(value, dict) or set(value) != set(_OIDC_FIELDS):
        raise ValueError(f"it needs exactly the fields {', '.join(_OIDC_FIELDS)}")
    return Oidc(**value)
