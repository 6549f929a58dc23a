"""The stacks, synthesized once for each of two deployments."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from .contexts import OIDC, WITH_DOMAIN
from .synthesis import INFRA, Deployment, synthesize

sys.path.insert(0, str(INFRA))


def _needs_cdk() -> None:
    for package in ("aws_cdk", "cdk_nag"):
        pytest.importorskip(package, reason="pip install -e '.[infra]'")
    if not shutil.which("node"):
        pytest.skip("the CDK needs node")


@pytest.fixture(scope="session")
def default(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """What `cdk deploy` makes with no context at all."""
    _needs_cdk()
    return synthesize({}, tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="session")
def with_domain(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """With a domain, a certificate, an OpenID Connect provider, and every other way of writing a value."""
    _needs_cdk()
    return synthesize({**WITH_DOMAIN, "oidc": json.dumps(OIDC)}, tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="session")
def readme() -> str:
    return Path(INFRA / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def with_cognito(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """With a domain and a certificate, but no provider of our own."""
    _needs_cdk()
    only = {name: WITH_DOMAIN[name] for name in ("certificate_arn", "domain_name")}
    return synthesize(only, tmp_path_factory.mktemp("cognito"))
