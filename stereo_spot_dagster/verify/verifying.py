"""Goes through all rules for one pair of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import InputRefused
from ..domain.layout import Layout, View
from . import decoding, extras, geometry, layouts, left_eye, picture_tags, times
from .films import Film
from .findings import Finding, Report, Verdict, not_comparable
from .likeness import Likeness
from .pairing import Announced, check_streams, pair_streams
from .sound import Sound
from .times import FrameTimes

Progress = Callable[[int, int], None]
_TIMED = ("frame_times", "duration", "audio_in_step", "subtitles_kept")
# More frames than any film has: all of them.
_ALL = 1 << 40


@dataclass(frozen=True)
class Order:
    """What is compared with what.

    Attributes:
        source: the file that was converted; what was read of it is used again for the next result.
        result: the finished file.
        layout, view: how the eyes are packed; None where the result's name or marks shall tell.
        start_s, end_s: the part that was converted, as the conversion was asked for it.
        sample: how many frames to look at, spread over the film; None for all. Packets and times are always all
            compared.
        announced: losses that are no differences.
    """

    source: Film
    result: Film
    layout: Layout | None = None
    view: View | None = None
    start_s: float | None = None
    end_s: float | None = None
    sample: int | None = None
    announced: Announced = field(default_factory=Announced)

    @property
    def is_part(self) -> bool:
        return self.start_s is not None or self.end_s is not None


def verify(order: Order, scratch: Path, progress: Progress | None = None) -> Report:
    """Compare a result with its source by every rule.

    Args:
        order: the two files.
        scratch: a folder for small tables.
        progress: called with (frames compared, frames to compare).

    Raises:
        InputRefused: a file cannot be read, the result's layout is not known, or the part has no frames.
        FfmpegFailed: a file breaks the tools.
    """
    source, result = order.source, order.result
    for film in (source, result):
        if not film.video.get("width"):
            raise InputRefused(film.name, "its video cannot be decoded", "Check the file with a player")
    layout, view = _kind(order, source, result)
    seen = _Sight(order, source, result, layout, view, scratch, progress)
    wanted, made = seen.wanted, seen.made
    pairing = pair_streams(source, result, order.announced)
    sound = Sound(
        source,
        result,
        pairing.audio,
        wanted,
        made,
        is_part=order.is_part,
        scratch=scratch,
        damaged=order.announced.damaged,
    )
    findings = (
        times.check_frame_count(wanted, made),
        times.check_frame_times(wanted, made),
        times.check_duration(source, result, wanted, made, is_part=order.is_part),
        seen.left_eye,
        seen.decodes,
        seen.frame_size,
        geometry.check_pixel_aspect(source, result),
        geometry.check_orientation(result),
        picture_tags.check_sample_format(source, result),
        picture_tags.check_color_tags(source, result),
        picture_tags.check_hdr(source, result),
        layouts.check_signalling(result, layout, view),
        check_streams(source, result, pairing),
        sound.check_packets(),
        sound.check_step(),
        extras.check_subtitles(source, result, pairing, wanted, made, is_part=order.is_part),
        extras.check_chapters(source, result, is_part=order.is_part),
        extras.check_attachments(source, result),
        extras.check_labels(source, result, pairing),
        extras.check_tags(source, result, order.announced),
        extras.check_starts_early(result),
    )
    return Report(_without_clock(findings) if source.clock_restarts else findings)


def _without_clock(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Of a source whose clock starts anew, nobody can say from its times alone when something is shown or heard."""
    reason = "the source's clock starts anew in the middle"
    return tuple(
        not_comparable(finding.rule, reason)
        if finding.rule in _TIMED and finding.verdict is Verdict.DIFFERENT
        else finding
        for finding in findings
    )


def _kind(order: Order, source: Film, result: Film) -> layouts.Kind:
    if order.layout is None:
        return layouts.layout_of(source, result)
    if order.view is not None:
        return order.layout, order.view
    named = layouts.layout_in_name(result.name)
    return order.layout, named[1] if named and named[0] is order.layout else order.layout.views[0]


class _Sight:
    """Frames: their times, and how like the left eyes are to the source.

    Attributes:
        wanted, made: times of the source's frames that were converted, and of the result's.
        left_eye, decodes, frame_size: findings.
    """

    def __init__(
        self,
        order: Order,
        source: Film,
        result: Film,
        layout: Layout,
        view: View,
        scratch: Path,
        progress: Progress | None,
    ) -> None:
        self._order, self._source, self._result = order, source, result
        self._scratch, self._progress = scratch, progress
        self.frame_size = geometry.check_frame_size(source, result, layout)
        self._comparison, reason = None, ""
        if not geometry.shows_left_eye(layout, view):
            reason = f"the source's own pixels are not in a file of {layout.value}"
            reason += " that holds the right eye" if view is View.RIGHT else ""
        elif self.frame_size.verdict is not Verdict.SAME:
            reason = "the size of the pictures differs"
        else:
            self._comparison = geometry.comparison_of(source, result, layout)
            reason = "" if self._comparison else "the result is not planar YUV"
        self.left_eye = not_comparable("left_eye", reason)
        self.decodes = not_comparable("decodes", "only times are compared")
        listed, made = times.packet_times(source), times.packet_times(result)
        if made is None:
            raise InputRefused(result.name, "its frames have no times", "Check the file with a player")
        self.made = made
        if listed is not None and self._look_at_sample(listed):
            return
        self._look_at_all(listed, threads=0)
        if self._differs():
            # What a decoder makes of damaged data is the same again only in one thread.
            self._look_at_all(listed, threads=1)

    def _differs(self) -> bool:
        same = times.same_instants(self.wanted, self.made)
        return not same or self.left_eye.verdict is Verdict.DIFFERENT

    def _part(self, frames: FrameTimes) -> tuple[int, int]:
        return times.choose_part(frames, self._order.start_s, self._order.end_s, self._source.name)

    def _look_at_sample(self, listed: FrameTimes) -> bool:
        """Compare a few windows reached by seeking; False where that is not enough to be sure.

        Packets tell times without a decode. They tell too many where a decoder drops frames (open GOP, edit lists,
        damage), and seeking can lead astray: then everything is decoded.
        """
        first, end = self._part(listed)
        wanted = listed.part(first, end)
        sample = self._order.sample
        if sample is None or not times.same_instants(wanted, self.made):
            return False
        self.wanted = wanted
        if self._comparison is None:
            self.decodes = not_comparable("decodes", "a sample is only taken where pictures can be compared")
            return True
        spans = left_eye.spread(len(wanted), sample)
        if not left_eye.is_worth_seeking(len(listed)) or len(spans) < 2 or self._source.interlaced:
            return False
        both = listed, self.made
        likeness = left_eye.compare_windows(self._comparison, spans, first, both, self._scratch, self._progress)
        if likeness is None:
            return False
        self._judge(likeness, whole=False)
        return self.left_eye.verdict is not Verdict.DIFFERENT and self.decodes.verdict is Verdict.SAME

    def _look_at_all(self, listed: FrameTimes | None, threads: int) -> None:
        """Decode both files from start to end."""
        if self._comparison is not None:
            self._comparison.source.threads = threads
        frames = listed or decoding.times_by_decoding(self._source, self._scratch, threads)[0]
        if self._comparison is None:
            frames, _ = decoding.times_by_decoding(self._source, self._scratch, threads)
            self.made, said = decoding.times_by_decoding(self._result, self._scratch)
            self.decodes = left_eye.check_decodes(self._result, [said], whole=True)
            self.wanted = frames.part(*self._part(frames))
            return
        first = self._part(frames)[0]
        likeness, decoded = self._compare(first)
        begins, end = self._part(decoded.source)
        if begins != first:
            # Packets before the part gave no frames: the numbers of frames are others than those of packets.
            likeness, decoded = self._compare(begins)
        self.wanted, self.made = decoded.source.part(begins, end), decoded.made
        self._judge(likeness, whole=self._order.sample is None)
        if len(self.wanted) != len(self.made) and self.left_eye.verdict is Verdict.DIFFERENT:
            self.left_eye = not_comparable("left_eye", "the numbers of frames differ")

    def _compare(self, first: int) -> tuple[Likeness, left_eye.Decoded]:
        assert self._comparison is not None
        spans = left_eye.spread(len(self.made), self._order.sample)
        if len(spans) == 1 and self._order.sample is None:
            spans = [(0, _ALL)]
        self._comparison.result.messages.clear()
        return left_eye.compare_decoding(self._comparison, spans, first, len(self.made), self._scratch, self._progress)

    def _judge(self, likeness: Likeness, *, whole: bool) -> None:
        assert self._comparison is not None
        self.left_eye = left_eye.check_left_eye(likeness, whole=whole)
        self.decodes = left_eye.check_decodes(self._result, self._comparison.result.messages, whole=whole)
