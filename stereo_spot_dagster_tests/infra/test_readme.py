"""The README of the stacks is true: its names exist, its sums are right."""

from __future__ import annotations

import json
import re

from .synthesis import Deployment

HOURLY_USD = {"on demand": 1.006, "spot": 0.35}


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


def test_each_situation_that_was_promised_has_a_runbook(readme: str) -> None:
    titles = " ".join(re.findall(r"^## (.*)$", readme, re.MULTILINE)).lower()
    for word in ("stuck", "failed", "scale", "spot", "rotate", "weights", "restore", "region without g5", "tear down"):
        assert word in titles


def test_each_stack_it_deploys_exists(readme: str, default: Deployment) -> None:
    named = set(re.findall(r"StereoSpot[A-Z]\w+", readme))
    assert named == {stack.path.name.partition(".")[0] for stack in default.stacks}
