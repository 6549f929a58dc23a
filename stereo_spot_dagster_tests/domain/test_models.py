"""How models and their options are written."""

from __future__ import annotations

import pytest

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.machine import MachineSettings
from stereo_spot_dagster.domain.models import DepthChoice, DepthKind, StereoCrafterOptions, parse_depth
from stereo_spot_dagster.domain.settings import ConversionSettings, parse_settings


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("cues", DepthChoice(DepthKind.CUES)),
        ("depthcrafter", DepthChoice(DepthKind.DEPTHCRAFTER)),
        ("depth-anything-v2-small", DepthChoice(DepthKind.TRANSFORMERS, name="depth-anything-v2-small")),
        ("Intel/dpt-large@refs/pr/1", DepthChoice(DepthKind.TRANSFORMERS, name="Intel/dpt-large@refs/pr/1")),
        ("onnx:/m/depth.onnx", DepthChoice(DepthKind.ONNX, path="/m/depth.onnx")),
        ("file:depth.mkv", DepthChoice(DepthKind.FILE, path="depth.mkv")),
    ],
)
def test_a_depth_setting_names_a_model_a_hub_repository_or_a_file(text: str, choice: DepthChoice) -> None:
    assert parse_depth(text) == choice


@pytest.mark.parametrize("text", ["dephtcrafter", "file:", "onnx:", "a/b/c", ""])
def test_a_depth_setting_that_means_nothing_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"depth"):
        parse_settings({"depth": text}, subject="options")


def test_options_are_written_as_key_value_pairs_and_reference_is_a_preset() -> None:
    settings = parse_settings({"stereocrafter": "reference,steps=4"}, subject="options")
    assert settings.stereocrafter == StereoCrafterOptions.reference().model_copy(update={"steps": 4})
    assert parse_settings({"stereocrafter": str(settings.stereocrafter)}, subject="options") == settings


@pytest.mark.parametrize(
    ("text", "word"), [("stepps=4", "stepps"), ("steps=0", "steps"), ("chunk=4,overlap=3", "overlap")]
)
def test_an_option_that_is_unknown_or_out_of_range_is_named(text: str, word: str) -> None:
    with pytest.raises(InvalidSettings, match=word):
        parse_settings({"stereocrafter": text}, subject="options")


def test_options_belong_to_the_model_that_has_them() -> None:
    settings = ConversionSettings()
    assert settings.depth_options("cues") is None
    assert settings.depth_options("depthcrafter") is settings.depthcrafter
    assert settings.depth_options("midas-dpt-large") is settings.picture_depth


def test_the_machine_is_described_by_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_VRAM", "16GB")
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cuda:1")
    machine = MachineSettings.from_environment()
    assert (machine.vram, machine.device, machine.precision) == (16.0, "cuda:1", "auto")


@pytest.mark.parametrize(("variable", "value"), [("STEREO_SPOT_VRAM", "lots"), ("STEREO_SPOT_DEVICE", "gpu")])
def test_a_wrong_machine_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"{variable}: '{value}'"):
        MachineSettings.from_environment()
