"""Entry point of ``cdk``: the stacks, from the context of cdk.json and of the command line, checked by cdk-nag."""

from __future__ import annotations

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks
from stereo_spot_infra.application import build_stacks
from stereo_spot_infra.configuration import Configuration

app = cdk.App()
build_stacks(app, Configuration.from_context(app.node.try_get_context))
# A rule that is broken without a reason fails the synthesis, and so the deployment.
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
