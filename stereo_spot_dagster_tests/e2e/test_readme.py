"""README says what is true: its tables are the code's, and its CI example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stereo_spot_dagster.assets.jobs import VideoConfig
from stereo_spot_dagster.domain.layout import Layout, View, name_suffix
from stereo_spot_dagster.domain.settings import ConversionSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def layouts_table() -> list[str]:
    rows = ["| layout | file name ends with | what for |", "| --- | --- | --- |"]
    for layout in Layout:
        names = ", ".join(f"`{name_suffix(layout, view)}`" for view in layout.views)
        rows.append(f"| `{layout.value}` | {names} | {layout.description} |")
    return rows


def settings_table() -> list[str]:
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    defaults = ConversionSettings().model_dump(mode="json")
    for name, field in ConversionSettings.model_fields.items():
        value = defaults[name]
        shown = (
            ", ".join(value)
            if isinstance(value, list)
            else ""
            if value is None or isinstance(value, dict)
            else str(value)
        )
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return rows


@pytest.mark.parametrize(("name", "table"), [("layouts", layouts_table), ("settings", settings_table)])
def test_the_table_is_the_one_the_code_would_write(name: str, table) -> None:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README, re.DOTALL)
    assert found, f"README lost its {name} table"
    assert found.group(1).splitlines() == table()


def test_every_command_named_is_one_the_program_has() -> None:
    told = set(re.findall(r"stereo-spot ([a-z]+)", README))
    shown = subprocess.run(
        [sys.executable, "-m", "stereo_spot_dagster.cli", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert told
    assert {word for word in told if word not in shown} == set()


def test_the_ci_example_is_valid_run_config() -> None:
    example = re.search(r"<!-- ci.yaml -->\n```yaml\n(.*?)```", README, re.DOTALL)
    assert example
    config = VideoConfig(**yaml.safe_load(example.group(1))["ops"]["convert"]["config"])
    assert config.parsed_settings().layouts == (Layout.HALF_SBS,)
    assert (ROOT / config.source).is_file()


def test_every_view_of_the_pair_has_a_name_of_its_own() -> None:
    assert name_suffix(Layout.LEFT_RIGHT, View.LEFT) != name_suffix(Layout.LEFT_RIGHT, View.RIGHT)
