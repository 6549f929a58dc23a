"""The README of the stacks is true: its names exist, its sums are right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import typer

from stereo_spot_dagster.cli.app import app
from stereo_spot_dagster.cli.cost import CPU_PRICE, GPU_PRICE
from stereo_spot_dagster.sensors.walk import _LONGEST_REST_S

from .synthesis import Deployment

HOURLY_USD = {"on demand": 1.006, "spot": GPU_PRICE}


def test_every_name_in_it_is_in_the_templates(readme: str, default: Deployment) -> None:
    made = json.dumps([stack.template for stack in default.stacks])
    named = set(re.findall(r"stereo-spot[-/][a-z/-]*[a-z](?:Progress|Drops|Runs|Spot|OnDemand)?", readme))
    # Made by the person who follows the runbook on restoring.
    named -= {"stereo-spot-restored", "stereo-spot-old"}
    missing = {name for name in named if name not in made}
    assert missing == set()


def test_every_alarm_it_names_exists(readme: str, default: Deployment) -> None:
    alarms = {alarm["AlarmName"] for alarm in default.compute.all("CloudWatch::Alarm").values()}
    named = set(re.findall(r"stereo-spot-[A-Z]\w+", readme))
    assert named
    assert named <= alarms


def test_the_costs_are_computed_from_what_it_assumes(readme: str) -> None:
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", readme, re.MULTILINE)
    assert len(rows) == 4
    for speed, hours, on_demand, spot in rows:
        expected = 24 * 3600 / float(speed) / 3600 * 1.1
        assert float(hours) == round(expected, 2)
        assert float(on_demand) == round(expected * HOURLY_USD["on demand"], 2)
        assert float(spot) == round(expected * HOURLY_USD["spot"], 2)


def test_what_is_always_on_is_what_the_stacks_make_and_added_up_rightly(readme: str, default: Deployment) -> None:
    tasks = [default.compute.one("ECS::TaskDefinition", f"{name}Task") for name in ("Daemon", "Webserver", "Code")]
    cpus, memory_gb = (sum(int(task[size]) for task in tasks) / 1024 for size in ("Cpu", "Memory"))
    rows = dict(re.findall(r"^\| ([a-zA-Z ,]+)[^|]*\| (\d+) \|$", readme, re.MULTILINE))
    assert f"services: {cpus:g} vCPU x 0.04048 x 730 + {memory_gb:g} GB x 0.004445 x 730" in readme
    services = cpus * 0.04048 * 730 + memory_gb * 0.004445 * 730
    assert int(rows["services"]) == round(services)
    assert abs(int(rows["NAT gateway"]) - (0.045 + 0.005) * 730) <= 0.5
    database = default.data.one("RDS::DBInstance")
    assert (database["DBInstanceClass"], database["AllocatedStorage"]) == ("db.t4g.small", "20")
    assert int(rows["database"]) == round(0.032 * 730 + 20 * 0.115)
    (saved,) = re.findall(r"about (\d+) USD of it", readme)
    assert abs(int(saved) - services - 0.032 * 730) < 5
    # A look at a finished film is seven requests; lists: one each of two sensors every 5 s, two and a half every 10 s.
    lists, looks = 730 * 3600 * (2 / 5 + 2.5 / 10), 730 * 3600 * 7 * 1000 / _LONGEST_REST_S
    assert f"{lists / 1e6:.1f} million lists" in readme
    assert f"{looks / 1e6:.0f} million looks" in readme
    assert int(re.findall(r"million looks .* \| (\d+) \|", readme)[0]) == round(lists * 5e-6 + looks * 0.4e-6)
    worker = default.compute.one("ECS::TaskDefinition", "CpuWorker")
    disk_gb = worker["EphemeralStorage"]["SizeInGiB"] - 20
    hour = int(worker["Cpu"]) / 1024 * 0.04048 + int(worker["Memory"]) / 1024 * 0.004445 + disk_gb * 0.000111
    assert f"{disk_gb} x 0.000111 = {hour:.2f} USD" in readme
    assert round(hour, 2) == CPU_PRICE


def test_each_situation_that_was_promised_has_a_runbook(readme: str) -> None:
    titles = " ".join(re.findall(r"^## (.*)$", readme, re.MULTILINE)).lower()
    for word in ("stuck", "failed", "scale", "spot", "rotate", "weights", "restore", "region without g5", "tear down"):
        assert word in titles


def test_each_stack_it_deploys_exists(readme: str, default: Deployment) -> None:
    named = set(re.findall(r"StereoSpot[A-Z]\w+", readme))
    assert named == {stack.path.name.partition(".")[0] for stack in default.stacks}


def commands(readme: str) -> Iterator[str]:
    """Everything in it that somebody types, each command for itself."""
    without_picture = re.sub(r"```.*?```", "", readme, flags=re.DOTALL)
    blocks = re.findall(r"((?:^    .*\n)+)", without_picture, re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^    .*\n", "", without_picture, flags=re.MULTILINE))
    for typed in [*blocks, *inline]:
        one_line = typed.replace("\\\n", " ") if typed in blocks else typed.replace("\n", " ")
        yield from re.split(r"\$\(|\)|\||;|&&|\n|\bdo |\{ ", one_line)


def options_in(command: str) -> set[str]:
    return set(re.findall(r"(?<=\s)--([a-z][a-z-]+)", command))


def test_each_call_of_aws_in_it_exists_with_its_options(readme: str) -> None:
    session = pytest.importorskip("botocore.session").get_session()
    from botocore import xform_name

    calls = [re.match(r"\s*aws ([a-z0-9-]+) ([a-z-]+)(.*)", command) for command in commands(readme)]
    found = [call.groups() for call in calls if call]
    assert len(found) > 20
    wrong = []
    for service, operation, rest in found:
        # Made by the command line itself, of many calls.
        if service == "s3":
            continue
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        known = {"query", "output"}
        if operation in names:
            known |= {xform_name(name, "-") for name in model.operation_model(names[operation]).input_shape.members}
        if operation not in names or not options_in(rest) <= known:
            wrong.append((service, operation, rest))
    assert wrong == []


def test_each_command_of_ours_in_it_exists_with_its_options(readme: str) -> None:
    program = typer.main.get_command(app)
    calls = [re.search(r"(?:^|in-daemon )\s*stereo-spot ([a-z].*)", command) for command in commands(readme)]
    found = [call[1].split() for call in calls if call]
    assert len(found) > 8
    wrong = []
    for words in found:
        command, rest = program, list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
        known = {option.removeprefix("--") for each in command.params for option in each.opts}
        if command is program or getattr(command, "commands", {}) or not options_in(f" {' '.join(rest)}") <= known:
            wrong.append(words)
    assert wrong == []


def test_what_stays_after_a_teardown_is_said_and_nothing_else_stays(
    readme: str, default: Deployment, with_cognito: Deployment
) -> None:
    kept = {
        (resource["Type"], resource["DeletionPolicy"])
        for deployment in (default, with_cognito)
        for stack in deployment.stacks
        for resource in stack.template["Resources"].values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert kept == {
        ("AWS::S3::Bucket", "Retain"),
        ("AWS::RDS::DBInstance", "Snapshot"),
        ("AWS::Cognito::UserPool", "Retain"),
    }
    (said,) = re.findall(r"What stays on purpose.*?\n\n", readme, re.DOTALL)
    for word in ("media bucket", "log bucket", "last snapshot", "Cognito user pool"):
        assert word in " ".join(said.split())
