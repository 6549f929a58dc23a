"""Typed errors. Each says which file, what is wrong and what to do about it, in one sentence each."""

from __future__ import annotations


class StereoSpotError(Exception):
    """Base of every error this project raises on purpose.

    ``str(error)`` is one line: ``<subject>: <cause>. <remedy>.``

    Args:
        subject: the file, video or setting the error is about, as the user knows it.
        cause: what is wrong, without a final stop.
        remedy: what the user can do, without a final stop; empty when there is nothing to do.
    """

    exit_code = 1
    retryable = False

    def __init__(self, subject: str, cause: str, remedy: str = "") -> None:
        self.subject = printable(subject)
        self.cause = printable(cause.strip().rstrip("."))
        self.remedy = remedy.strip().rstrip(".")
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        sentence = f"{self.subject}: {self.cause}."
        return f"{sentence} {self.remedy}." if self.remedy else sentence


class InputRefused(StereoSpotError):
    """This input cannot be converted, now or later, unless the user changes it."""

    exit_code = 2


class InvalidSettings(StereoSpotError):
    """A conversion setting is out of range, unknown, or contradicts another one."""

    exit_code = 2


class ToolUnavailable(StereoSpotError):
    """A program or encoder that the work needs is missing on this machine."""


class FfmpegFailed(StereoSpotError):
    """ffmpeg or ffprobe ended with an error that is not the input's fault as far as we know.

    Attributes:
        messages: all that the program wrote to stderr.
    """

    def __init__(self, subject: str, cause: str, remedy: str = "", *, messages: str = "") -> None:
        super().__init__(subject, cause, remedy)
        self.messages = messages


class ToolTimeout(FfmpegFailed):
    """A child process did not end within its time limit and was killed."""


class ProofFailed(StereoSpotError):
    """Something we made is not what was planned: wrong frames, times, size, sound or tags."""


class DeviceOutOfMemory(StereoSpotError):
    """The GPU's memory is too small for the least that can be done at once."""


class VideoIncomplete(StereoSpotError):
    """A video cannot be joined because segments are missing from the store."""


class UnknownVideo(StereoSpotError):
    """No video with that key is known."""


class VideoBusy(StereoSpotError):
    """The video is being worked on, so it cannot be changed now."""


class StoreFailed(StereoSpotError):
    """The media store could not read or write an object."""

    retryable = True


class WeightsMissing(StereoSpotError):
    """The weights of a model are not on this machine."""


class WeightsBroken(StereoSpotError):
    """The weights of a model are damaged, incomplete, or those of another model."""


class DownloadFailed(StereoSpotError):
    """Weights could not be downloaded."""

    retryable = True


class DownloadRefused(DownloadFailed):
    """The hub does not give these weights to this user, or has no such thing: trying again changes nothing."""

    retryable = False


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that hostile names and tags stay on one line and do not steer the
    terminal."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
