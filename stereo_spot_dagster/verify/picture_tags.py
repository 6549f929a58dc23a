"""Rules on what the result says of its samples: format, colour, HDR."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .films import Film, SampleFormat
from .findings import Finding, different, judged, not_comparable, same

_HDR = ("Mastering display metadata", "Content light level metadata")
_DOLBY_VISION = "DOVI configuration record"
# Names of one and the same matrix: BT.601's 525 and 625 line variants share their coefficients.
_SAME_MATRIX = {"bt470bg": "smpte170m"}
# RGB has no matrix; what its samples became has one.
_NOT_YUV = ("gbr", "rgb")
_UNSAID = (None, "unknown", "unspecified", "reserved")
# The finest that encoders of a codec write.
_DEEPEST = {"h264": 10, "hevc": 12}
_FINENESS = {"420": 0, "411": 0, "440": 1, "422": 1, "444": 2}


def check_sample_format(source: Film, result: Film) -> Finding:
    """The result's samples are as deep as the source's, and its colour as finely sampled."""
    rule, found = "sample_format", result.samples
    if found is None:
        return different(rule, "planar YUV", str(result.video.get("pix_fmt")))
    wanted = source.samples
    if wanted is None:
        return _check_depth_only(source, found, rule)
    deepest = _DEEPEST.get(str(result.video.get("codec_name")), 16)
    expected = SampleFormat(wanted.sampling, min(wanted.bits, deepest))
    fine = found.bits >= expected.bits and _FINENESS[found.sampling] >= _FINENESS[expected.sampling]
    return same(rule, found) if fine else different(rule, expected, found)


def check_color_tags(source: Film, result: Film) -> Finding:
    """Matrix, transfer, primaries and range are the source's; what is not planar YUV becomes limited range or keeps
    its own."""
    problems, words = [], []
    for key, name in (("color_space", "matrix"), ("color_transfer", "transfer"), ("color_primaries", "primaries")):
        wanted, found = source.video.get(key), result.video.get(key)
        if wanted in _UNSAID or wanted in _NOT_YUV:
            continue
        words.append(str(found))
        if _SAME_MATRIX.get(str(wanted), wanted) != _SAME_MATRIX.get(str(found), found):
            problems.append((f"{name} {wanted}", str(found)))
    ranges = {True: "full range", False: "limited range"}
    accepted = {source.full_range} if source.samples is not None else {source.full_range, False}
    if result.full_range not in accepted:
        problems.append((ranges[source.full_range], ranges[result.full_range]))
    return judged("color_tags", problems, ", ".join([*dict.fromkeys(words), ranges[result.full_range]]))


def check_hdr(source: Film, result: Film) -> Finding:
    """HDR10's mastering display and light level are the source's; no Dolby Vision record is left on new pictures."""
    problems, kept = [], []
    for kind in _HDR:
        wanted, found = source.side_data(kind), result.side_data(kind)
        if wanted is None:
            continue
        kept.append(kind.removesuffix(" metadata").lower())
        if found is None or _numbers(wanted) != _numbers(found):
            problems.append((kind.lower(), "none" if found is None else "another"))
    if result.side_data(_DOLBY_VISION) is not None:
        problems.append(("no Dolby Vision record", "one that does not belong to these pictures"))
    return judged("hdr_kept", problems, ", ".join(kept) or "none in the source")


def _check_depth_only(source: Film, found: SampleFormat, rule: str) -> Finding:
    bits = int(source.video.get("bits_per_raw_sample") or 0)
    if not bits:
        return not_comparable(rule, f"the source is {source.video.get('pix_fmt')}, the result {found}")
    fine = found.bits >= min(bits, 10)
    return same(rule, found) if fine else different(rule, f"{min(bits, 10)} bit", found)


def _numbers(entry: dict[str, Any]) -> dict[str, Fraction]:
    return {key: Fraction(str(value)) for key, value in entry.items() if key != "side_data_type"}
