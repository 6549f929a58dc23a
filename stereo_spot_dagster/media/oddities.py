"""What is odd about a source, as far as its description tells, in words."""

from __future__ import annotations

import re

from ..domain.probe import ProbeReport

# How names say it: Film.3D.H-SBS.mkv, film_LR.mp4 and the like.
_STEREO_NAME = re.compile(r"(?:^|[^a-z])(?:(?:h|half|f|full)?[-_. ]?sbs|(?:h|half|full)[-_. ]?(?:tab|ou))(?:[^a-z]|$)")


def oddities(report: ProbeReport) -> tuple[str, ...]:
    """Warnings about what is in a file and cannot be converted, or not as it may be meant."""
    video, notes = report.video, []
    others = [stream for stream in report.others if stream.kind == "video" and not stream.cover and not stream.foreign]
    if others:
        notes.append(f"only video stream {video.index} is converted; {', '.join(s.label for s in others)} left out")
    foreign = [stream for stream in report.others if stream.foreign]
    if foreign:
        words = ", ".join(stream.label for stream in foreign)
        notes.append(
            f"it holds several programs; only that of video stream {video.index} is converted; {words} left out"
        )
    if video.stereo_3d:
        notes.append(
            f"the source says it is already stereoscopic ({video.stereo_3d}); it is converted as if it were flat"
        )
    elif _STEREO_NAME.search(report.file_name.lower()):
        notes.append("its name says that it is already stereoscopic; it is converted as if it were flat")
    elif video.width >= 3.2 * video.height * float(video.sar) and video.width / video.height > 3:
        notes.append("the source is very wide: it may already be side by side; it is converted as if it were flat")
    if video.spherical:
        notes.append(f"the source is a spherical video ({video.spherical}); it is converted as if it were flat")
    if video.alpha:
        notes.append("its transparency is not carried: the colours below it are shown")
    if video.dolby_vision_profile is not None:
        notes.append("Dolby Vision data is not carried; its base layer is converted")
    return tuple(notes)
