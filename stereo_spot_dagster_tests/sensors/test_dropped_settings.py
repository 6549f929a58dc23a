"""What lies beside a dropped video may say anything: it is read as settings, or refused in words, in no time."""

from __future__ import annotations

import time

import pytest

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.settings import parse_settings
from stereo_spot_dagster.sensors.dropped import SETTINGS_BYTES, read_settings

_REFERENCES = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (97 + n, 97 + n, b", ".join([b"*%c" % (96 + n)] * 9)) for n in range(1, 9)
)
_PLACE = "film.yaml"


@pytest.mark.parametrize(
    "text",
    [
        b"divergence: !!bool maybe",
        b"divergence: !!timestamp noon",
        b"divergence: !!int ''",
        b"divergence: 0x_",
        b"divergence: " + b"9" * 5000,
        b"divergence: &a [*a]",
        b"a: !!python/object/apply:os.system [id]",
        b"? [a, b]\n: 2",
        b"[" * (SETTINGS_BYTES - 1),
        b"{a: " * (SETTINGS_BYTES // 4),
        b"divergence: \x01",
        "divergence: 3".encode("utf-16"),
        b"divergence: 1\n---\ndivergence: 2",
        b"- divergence: 3",
        b"#" * (SETTINGS_BYTES + 1),
        _REFERENCES + b"layouts: *i\n",
        b"\xff\xd8\xff\xe0",
    ],
)
def test_what_is_no_plain_settings_is_refused_with_its_name_and_without_effort(text: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidSettings, match=_PLACE) as refused:
        parse_settings(read_settings(text, _PLACE), subject=_PLACE)
    assert len(str(refused.value)) < 600
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("text", [b"divergence: 2024-13-45", b"divergence: 2024-11-25", b"divergence: yes please"])
def test_a_value_of_the_wrong_kind_is_named(text: bytes) -> None:
    with pytest.raises(InvalidSettings, match="setting 'divergence'"):
        parse_settings(read_settings(text, _PLACE), subject=_PLACE)


@pytest.mark.parametrize(
    "text",
    [
        b"divergence: 3\nlayouts: [half-sbs, anaglyph-gray]\n",
        b"\xef\xbb\xbfdivergence: 3\r\nlayouts:\r\n- half-sbs\r\n- anaglyph-gray\r\n",
        b'{"divergence": 3.0, "layouts": ["half-sbs", "anaglyph-gray"]}',
    ],
)
def test_yaml_and_json_are_read_as_people_write_them(text: bytes) -> None:
    settings = parse_settings(read_settings(text, _PLACE), subject=_PLACE)
    assert (settings.divergence, settings.layouts) == (3, ("half-sbs", "anaglyph-gray"))


@pytest.mark.parametrize("text", [b"", b"\n# nothing yet\n", b"null"])
def test_an_empty_file_is_no_settings(text: bytes) -> None:
    assert read_settings(text, _PLACE) == {}
