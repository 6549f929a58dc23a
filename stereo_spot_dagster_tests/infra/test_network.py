"""Nothing is reachable that need not be, and traffic that can be free is free."""

from __future__ import annotations

import pytest

from .synthesis import Deployment


def ingress(deployment: Deployment) -> set[tuple[str, str, int]]:
    """(caller, callee, port) of each rule between our security groups."""
    found = set()
    for rule in deployment.data.all("EC2::SecurityGroupIngress").values():
        caller, callee = (rule[name]["Fn::GetAtt"][0] for name in ("SourceSecurityGroupId", "GroupId"))
        found.add((_name(caller), _name(callee), rule["FromPort"]))
    return found


def _name(logical_id: str) -> str:
    return logical_id.removeprefix("Network")[:-8]


def test_media_reach_s3_over_a_gateway_endpoint_that_costs_nothing(default: Deployment) -> None:
    endpoint = default.data.one("EC2::VPCEndpoint")
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"]["Fn::Join"][1][-1] == ".s3"


def test_there_is_one_nat_gateway_and_no_interface_endpoint(default: Deployment) -> None:
    assert len(default.data.all("EC2::NatGateway")) == 1
    assert len(default.data.all("EC2::VPCEndpoint")) == 1


@pytest.mark.parametrize(("which", "zones"), [("default", 3), ("with_domain", 2)])
def test_machines_are_looked_for_in_as_many_zones_as_asked(
    which: str, zones: int, request: pytest.FixtureRequest
) -> None:
    deployment = request.getfixturevalue(which)
    private = [name for name in deployment.data.all("EC2::Subnet") if "private" in name]
    assert len(private) == zones


def test_each_process_is_reached_by_those_that_need_it_and_nobody_else(default: Deployment) -> None:
    assert ingress(default) == {
        ("Balancer", "Webserver", 3000),
        ("Webserver", "Code", 4000),
        ("Daemon", "Code", 4000),
        ("Webserver", "Database", 5432),
        ("Daemon", "Database", 5432),
        ("Code", "Database", 5432),
        ("Workers", "Database", 5432),
    }


def test_without_a_certificate_no_security_group_lets_anybody_in_from_outside(default: Deployment) -> None:
    assert all("SecurityGroupIngress" not in group for group in default.data.all("EC2::SecurityGroup").values())


def test_with_a_certificate_only_the_load_balancer_does_and_only_for_the_networks_named(
    with_domain: Deployment,
) -> None:
    groups = with_domain.data.all("EC2::SecurityGroup")
    open_groups = {
        _name(name): group["SecurityGroupIngress"] for name, group in groups.items() if "SecurityGroupIngress" in group
    }
    assert set(open_groups) == {"Balancer"}
    assert {(rule["CidrIp"], rule["FromPort"]) for rule in open_groups["Balancer"]} == {
        (network, port) for network in ("198.51.100.0/24", "203.0.113.0/24") for port in (80, 443)
    }


def test_what_goes_out_is_https_or_to_our_own(default: Deployment) -> None:
    for name, group in default.data.all("EC2::SecurityGroup").items():
        for rule in group["SecurityGroupEgress"]:
            # The database's group has the CDK's rule that matches nothing.
            assert rule["FromPort"] == 443 or (_name(name) == "Database" and rule["CidrIp"] == "255.255.255.255/32")


def test_no_machine_gets_a_public_address(default: Deployment) -> None:
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in default.data.all("EC2::Subnet").values())


def test_refused_traffic_is_logged(default: Deployment) -> None:
    assert default.data.one("EC2::FlowLog")["TrafficType"] == "REJECT"
