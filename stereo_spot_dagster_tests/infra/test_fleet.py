"""GPU machines come when they are needed, go when they are not, and give nothing away."""

from __future__ import annotations

import json

import pytest

from .synthesis import Deployment

GROUPS = ["Spot", "OnDemand"]


def launch_template(deployment: Deployment) -> dict:
    return deployment.compute.one("EC2::LaunchTemplate")["LaunchTemplateData"]


def user_data(deployment: Deployment) -> str:
    return json.dumps(launch_template(deployment)["UserData"])


@pytest.mark.parametrize("group", GROUPS)
def test_there_is_no_machine_while_there_is_nothing_to_do(default: Deployment, group: str) -> None:
    assert default.compute.one("AutoScaling::AutoScalingGroup", group)["MinSize"] == "0"


def test_the_most_machines_are_as_configured(default: Deployment, with_domain: Deployment) -> None:
    sizes = [
        [stack.one("AutoScaling::AutoScalingGroup", group)["MaxSize"] for group in GROUPS]
        for stack in (default.compute, with_domain.compute)
    ]
    assert sizes == [["4", "1"], ["8", "1"]]


@pytest.mark.parametrize(("group", "on_demand"), [("Spot", 0), ("OnDemand", 100)])
def test_one_group_is_spot_and_one_on_demand(default: Deployment, group: str, on_demand: int) -> None:
    policy = default.compute.one("AutoScaling::AutoScalingGroup", group)["MixedInstancesPolicy"]
    assert policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == on_demand
    types = [entry["InstanceType"] for entry in policy["LaunchTemplate"]["Overrides"]]
    assert types == ["g5.xlarge", "g6.xlarge", "g5.2xlarge"]


def test_ecs_scales_both_groups_and_never_ends_a_machine_that_works(default: Deployment) -> None:
    providers = default.compute.all("ECS::CapacityProvider").values()
    assert {provider["Name"] for provider in providers} == {"stereo-spot-gpu-spot", "stereo-spot-gpu-on-demand"}
    for provider in providers:
        group = provider["AutoScalingGroupProvider"]
        assert group["ManagedScaling"]["Status"] == "ENABLED"
        assert group["ManagedScaling"]["TargetCapacity"] == 100
        assert group["ManagedTerminationProtection"] == "ENABLED"
        assert group["ManagedDraining"] == "ENABLED"
    for group in default.compute.all("AutoScaling::AutoScalingGroup").values():
        assert group["NewInstancesProtectedFromScaleIn"] is True


def test_the_cluster_knows_both_groups_and_fargate(default: Deployment) -> None:
    providers = default.compute.one("ECS::ClusterCapacityProviderAssociations")["CapacityProviders"]
    assert providers[0] == "FARGATE"
    assert len(providers) == 3


def test_machines_start_from_the_gpu_image_that_ecs_keeps_up_to_date(default: Deployment) -> None:
    parameter = launch_template(default)["ImageId"]["Ref"]
    path = default.compute.template["Parameters"][parameter]["Default"]
    assert path == "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"


def test_the_metadata_service_wants_a_token_and_answers_no_container(default: Deployment) -> None:
    options = launch_template(default)["MetadataOptions"]
    assert options["HttpTokens"] == "required"
    assert options["HttpPutResponseHopLimit"] == 1
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in user_data(default)


def test_the_disk_is_encrypted_and_goes_with_the_machine(default: Deployment) -> None:
    disk = launch_template(default)["BlockDeviceMappings"][0]["Ebs"]
    assert disk["Encrypted"] is True
    assert disk["DeleteOnTermination"] is True


def test_a_spot_machine_that_is_taken_away_drains_first(default: Deployment) -> None:
    assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in user_data(default)


def test_weights_are_copied_from_the_bucket_and_failing_to_do_so_stops_nothing(default: Deployment) -> None:
    commands = user_data(default)
    assert "/weights/" in commands
    assert "aws s3 sync" in commands
    assert "set -u" in commands
    assert "set -e" not in commands
    assert "@" not in commands.replace("@USER@", "")
