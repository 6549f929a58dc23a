"""The linters of AWS find nothing that is not explained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .synthesis import INFRA, Deployment

CODE = sorted((INFRA / "stereo_spot_infra").glob("*.py"))


def test_cdk_nag_passes_each_deployment(default: Deployment, with_domain: Deployment, with_cognito: Deployment) -> None:
    # A finding without a reason makes the synthesis itself fail: see the next test.
    assert all(stack.path.is_file() for each in (default, with_domain, with_cognito) for stack in each.stacks)


def test_cdk_nag_would_stop_an_open_bucket(tmp_path: Path) -> None:
    cdk = pytest.importorskip("aws_cdk")
    from aws_cdk import aws_s3 as s3
    from cdk_nag import AwsSolutionsChecks

    app = cdk.App(outdir=str(tmp_path))
    s3.Bucket(cdk.Stack(app, "Careless"), "Open")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(Exception, match="ValidationFailed"):
        app.synth()
    assert "AwsSolutions-S1" in (tmp_path / "validation-report.json").read_text()


def test_every_rule_that_is_not_followed_has_a_reason_in_the_code(default: Deployment) -> None:
    from stereo_spot_infra.reasons import acknowledge

    with pytest.raises(ValueError, match="is no reason"):
        acknowledge(_Anything(), "AwsSolutions-S1", "because")


class _Anything:
    class node:
        path = "Somewhere"


def test_rules_are_left_unfollowed_in_one_way_only() -> None:
    others = [path for path in CODE if path.name != "reasons.py"]
    assert not [path.name for path in others if re.search(r"Acknowledgment|NagSuppressions", path.read_text())]


@pytest.mark.slow
def test_cfn_lint_finds_nothing(default: Deployment, with_domain: Deployment, with_cognito: Deployment) -> None:
    pytest.importorskip("cfnlint")
    templates = [stack.path for stack in default.stacks]
    templates += [with_domain.compute.path, with_cognito.compute.path]
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--config-file", str(INFRA / ".cfnlintrc.yaml"), "--"]
    done = subprocess.run([*command, *map(str, templates)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
