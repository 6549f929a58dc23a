from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.domain.settings import PRESETS, Codec, Container, ConversionSettings, parse_settings

settings = st.builds(
    ConversionSettings,
    layouts=st.lists(st.sampled_from(Layout), min_size=1, max_size=4).map(tuple),
    divergence=st.floats(0, 10),
    convergence=st.floats(0, 1),
    codec=st.sampled_from(Codec),
    crf=st.integers(0, 51),
    preset=st.sampled_from(PRESETS),
    container=st.sampled_from(Container),
    segment_frames=st.none() | st.integers(1, 1000),
)


@given(settings)
def test_settings_survive_storage_with_their_fingerprints(chosen: ConversionSettings) -> None:
    again = ConversionSettings.model_validate_json(chosen.model_dump_json())
    assert again == chosen
    assert again.fingerprint == chosen.fingerprint


@given(settings, settings)
def test_the_fingerprint_differs_exactly_when_a_setting_differs(a: ConversionSettings, b: ConversionSettings) -> None:
    assert (a.fingerprint == b.fingerprint) == (a.model_dump(mode="json") == b.model_dump(mode="json"))


@pytest.mark.parametrize("change", [{"crf": 30}, {"divergence": 3.0}, {"layouts": ("half-sbs",)}, {"codec": "hevc"}])
def test_rendering_settings_keep_plan_and_depth(change: dict[str, Any]) -> None:
    changed, default = ConversionSettings(**change), ConversionSettings()
    assert changed.plan_fingerprint == default.plan_fingerprint
    assert changed.fingerprint != default.fingerprint


@pytest.mark.parametrize("change", [{"start_s": 1.0}, {"end_s": 5.0}, {"segment_frames": 100}])
def test_what_decides_the_cuts_makes_another_plan(change: dict[str, Any]) -> None:
    assert ConversionSettings(**change).plan_fingerprint != ConversionSettings().plan_fingerprint


def test_a_layout_may_be_given_alone_and_counts_once() -> None:
    assert parse_settings({"layouts": "half-sbs"}, subject="options").layouts == (Layout.HALF_SBS,)
    repeated = parse_settings({"layouts": ["full-sbs", "half-sbs", "full-sbs"]}, subject="options")
    assert repeated.layouts == (Layout.FULL_SBS, Layout.HALF_SBS)


def test_an_unknown_setting_is_named_together_with_those_there_are() -> None:
    with pytest.raises(InvalidSettings, match=r"film\.yaml: there is no setting 'divergense'.*divergence"):
        parse_settings({"divergense": 2}, subject="film.yaml")


@pytest.mark.parametrize(
    "values",
    [
        {"crf": 52},
        {"divergence": -1},
        {"preset": "warp"},
        {"layouts": []},
        {"layouts": "full"},
        {"start_s": 5, "end_s": 5},
        {"end_s": 0},
        {"segment_frames": 0},
        {"convergence": "near"},
    ],
)
def test_a_setting_out_of_range_is_one_sentence_with_exit_code_2(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings) as raised:
        parse_settings(values, subject="options")
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith("options: setting '")
    assert "\n" not in str(raised.value)
