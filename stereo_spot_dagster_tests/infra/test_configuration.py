"""Context values are understood, and those that cannot be used are named."""

from __future__ import annotations

import dataclasses
import re

import pytest
from stereo_spot_infra.configuration import Configuration, ConfigurationError

from .contexts import OIDC, WITH_DOMAIN


def read(**context: object) -> Configuration:
    return Configuration.from_context(context.get)


def test_without_context_everything_has_a_value() -> None:
    assert read() == Configuration()
    assert not Configuration().public


def test_text_of_the_command_line_and_json_of_a_file_mean_the_same() -> None:
    text = read(gpu_max="8", database_multi_az="true", gpu_instance_types="g5.xlarge,g6.xlarge")
    assert text == read(gpu_max=8, database_multi_az=True, gpu_instance_types=["g5.xlarge", "g6.xlarge"])


@pytest.mark.parametrize(
    ("context", "word"),
    [
        ({"gpu_max": "many"}, "gpu_max"),
        ({"database_multi_az": "perhaps"}, "database_multi_az"),
        ({"log_days": 31}, "log_days"),
        ({"gpu_on_demand_percent": 101}, "gpu_on_demand_percent"),
        ({"stall_minutes": 7}, "stall_minutes"),
        ({"idle_minutes": 5}, "idle_minutes"),
        ({"gpu_instance_types": []}, "gpu_instance_types"),
        ({"domain_name": "3d.example.com"}, "certificate_arn"),
        ({"oidc": OIDC}, "oidc"),
        ({"oidc": {"issuer": "https://id.example.com"}}, "client_secret_arn"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(context: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        read(**context)


def test_the_readme_has_each_value_with_its_default(readme: str) -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", readme, re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(Configuration)}
    assert set(table) == set(fields)
    for name, default in fields.items():
        shown = ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)
        assert table[name].strip() == (shown.lower() if isinstance(default, bool) else shown), name


def test_the_sample_of_the_tests_sets_only_values_that_there_are() -> None:
    assert set(WITH_DOMAIN) <= {field.name for field in dataclasses.fields(Configuration)}
