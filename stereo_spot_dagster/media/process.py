"""The one place where ffmpeg and ffprobe are started, watched, and stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import ffmpeg

from ..domain.errors import FfmpegFailed, ToolTimeout
from .limits import MAX_PIXELS, ChildLimits, set_limits
from .tools import find_tools

# Containers that hold one file's own media. Playlists, concat scripts, image sequences and network manifests are not
# among them, so that an upload cannot make ffmpeg open another file or a socket.
SAFE_DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,h264,hevc,gif,flv,live_flv,asf,ogg,dv,mxf,ivf,obu,av1,vc1,m4v,nut,y4m,"
    "yuv4mpegpipe,rm,wtv,swf,nsv,amr,aac,mp3,wav,flac,h263,h261,cavsvideo,dirac,dnxhd"
)
# No decoder makes a larger picture either, wherever in the stream one is announced.
INPUT_OPTIONS: dict[str, Any] = {
    "protocol_whitelist": "file",
    "format_whitelist": SAFE_DEMUXERS,
    "max_pixels": MAX_PIXELS,
}

# A broadcast may miss this much between two pictures and is still one recording, whose times are kept; ffmpeg alone
# takes ten seconds for a new clock, and closes the gap.
LARGEST_GAP_S = 600

_STDERR_KEPT = 64 * 1024
# What is still in an encoder when it has got its last picture may take it as long as many pictures did.
_STALLS_AT_THE_END = 10
# How the kernel ends a process that goes beyond its limits.
_OVER_THE_LIMIT = {
    signal.SIGXCPU: "used more processor time than it may",
    signal.SIGXFSZ: "wrote a larger file than it may",
    signal.SIGKILL: "was killed, perhaps for want of memory",
}
_REPEATED = re.compile(r"^(-(?:attach|metadata)[a-z0-9:]*)#\d+$")


def file_url(path: Path) -> str:
    """How a path is given to ffmpeg: absolute and with a protocol, so that no name is taken for an option or URL."""
    return f"file:{path.absolute()}"


def safe_input(path: Path, **options: Any) -> Any:
    """An ffmpeg-python input for a file of unknown origin."""
    return ffmpeg.input(file_url(path), **INPUT_OPTIONS, **options)


def arguments(node: Any, loglevel: str = "warning") -> list[str]:
    """The command line for an ffmpeg-python output node."""
    base = [find_tools().ffmpeg, "-nostdin", "-hide_banner", "-v", loglevel, "-y"]
    base += ["-dts_delta_threshold", str(LARGEST_GAP_S)]
    return base + [_REPEATED.sub(r"\1", word) for word in ffmpeg.get_args(node)]


def repeated(option: str, values: Sequence[str]) -> dict[str, str]:
    """Keyword arguments that give an ffmpeg-python node the same option several times, which it has no words for."""
    return {f"{option}#{position}": value for position, value in enumerate(values)}


class Child:
    """A running ffmpeg in its own process group.

    Use as a context manager: leaving it by an exception kills the whole group, leaving it normally waits for the end
    and checks it. stderr goes to an unnamed file, so that a chatty child can never block on a full pipe.

    Args:
        command: the argument list; never a shell string.
        subject: the file it is about, for errors.
        timeout_s: the child is killed after this long.
        stall_s: the child is killed when we have waited this long for it to take or to give data. At least one of the
            two is given.
        stdin: give the child a pipe to read from.
        stdout: give the child a pipe to write to.
        limits: what it may use at most; by default as much as ``timeout_s`` allows.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        subject: str,
        timeout_s: float | None = None,
        stall_s: float | None = None,
        stdin: bool = False,
        stdout: bool = False,
        limits: ChildLimits | None = None,
    ) -> None:
        if timeout_s is None and stall_s is None:
            raise ValueError("a child without a limit of time could hang for ever")
        self.subject = subject
        self._timed_out = False
        self._stopped = False
        self._stall_s = stall_s
        # When it is to be killed, while we wait for it: a child may not be blamed for the time that we take.
        self._stalled_at: float | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed in __exit__
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
            bufsize=0,
        )
        set_limits(self._process.pid, limits or ChildLimits.lasting(timeout_s))
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                _widen(stream)
        self._ended = threading.Event()
        threading.Thread(target=self._watch, args=(timeout_s,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from the child's stdout; fewer bytes than its length means that the pipe has ended."""
        assert self._process.stdout is not None
        filled = 0
        while filled < len(buffer):
            with self._waiting():
                count = self._process.stdout.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def write(self, data: memoryview) -> None:
        """Give all of ``data`` to the child's stdin.

        Raises:
            BrokenPipeError: it takes no more; :meth:`finish` tells why.
        """
        assert self._process.stdin is not None
        while data:
            with self._waiting():
                count = self._process.stdin.write(data)
            data = data[count:]

    def __enter__(self) -> Child:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None and not self._stopped:
                self.finish()
        finally:
            self.kill()

    def messages(self) -> str:
        """What the child has written to stderr so far (the last 64 kB)."""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _STDERR_KEPT))
        return self._stderr.read().decode("utf-8", "replace")

    def finish(self) -> str:
        """Wait for the end.

        Returns:
            The child's messages.

        Raises:
            ToolTimeout: it ran past its limit.
            FfmpegFailed: it ended with an error.
        """
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        with self._waiting(_STALLS_AT_THE_END):
            status = self._process.wait()
        self._ended.set()
        messages = self.messages()
        if self._timed_out:
            raise ToolTimeout(self.subject, "ffmpeg took too long and was stopped", "Check the file with a player")
        if status != 0:
            said = _end_by_signal(status) or last_words(messages) or f"exit status {status}"
            raise FfmpegFailed(self.subject, f"ffmpeg failed: {said}", messages=messages)
        return messages

    def stop(self) -> None:
        """End a child whose remaining output is not wanted; its exit status does not matter."""
        self._stopped = True
        self.kill()

    def kill(self) -> None:
        """Kill the whole group if it still runs, and let go of its pipes."""
        self._ended.set()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    @contextlib.contextmanager
    def _waiting(self, patience: int = 1) -> Iterator[None]:
        """While we wait for the child, for at most ``patience`` times the stall limit."""
        if self._stall_s is not None:
            self._stalled_at = time.monotonic() + self._stall_s * patience
        yield
        self._stalled_at = None

    def _watch(self, timeout_s: float | None) -> None:
        late_at = time.monotonic() + timeout_s if timeout_s is not None else None
        while not self._ended.wait(1.0):
            now, ends = time.monotonic(), (late_at, self._stalled_at)
            if any(end is not None and now > end for end in ends):
                self._timed_out = True
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                return


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold a megabyte (Linux): a raw 1080p frame then takes 6 wake-ups instead of 95."""
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def run(node: Any, *, subject: str, timeout_s: float = 600.0) -> str:
    """Run an ffmpeg-python output node to its end and return its messages.

    Raises:
        FfmpegFailed, ToolTimeout: see :meth:`Child.finish`.
    """
    with Child(arguments(node), subject=subject, timeout_s=timeout_s) as child:
        return child.finish()


def run_verbose(node: Any, *, subject: str, timeout_s: float) -> str:
    """As :func:`run`, with what ffmpeg's filters report about single pictures among the messages."""
    with Child(arguments(node, "info"), subject=subject, timeout_s=timeout_s) as child:
        return child.finish()


def read_output(command: Sequence[str], *, subject: str, timeout_s: float, limit_bytes: int = 64 << 20) -> bytes:
    """stdout of a short command, such as ffprobe.

    Raises:
        FfmpegFailed: it failed or wrote more than ``limit_bytes``.
    """
    with Child(command, subject=subject, timeout_s=timeout_s, stdout=True) as child:
        said, block = bytearray(), memoryview(bytearray(1 << 20))
        while count := child.read_into(block):
            said += block[:count]
            if len(said) > limit_bytes:
                raise FfmpegFailed(subject, "its description is too large to be true", "Check the file with a player")
        child.finish()
    return bytes(said)


def last_words(messages: str) -> str:
    """The last line of ffmpeg's messages that says something, without its ``[module @ 0x..]`` prefix."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    noise = (
        "Conversion failed",
        "Error opening output files",
        "Error while filtering",
        "Error opening input files",
        "Exiting",
        "Last message",
        "Task finished with error code",
        "Terminating thread with return code",
        "Could not open encoder before EOF",
        "Nothing was written into output file",
        "frame=",
        "size=",
    )
    texts = [_without_prefix(line) for line in lines]
    telling = [text for text in texts if not text.startswith(noise)] or texts
    return telling[-1][:300] if telling else ""


def _without_prefix(line: str) -> str:
    while line.startswith("[") and "]" in line:
        line = line.partition("]")[2].strip()
    return line


def _end_by_signal(status: int) -> str:
    """What a process that a signal ended died of; empty if it ended by itself."""
    if status >= 0:
        return ""
    return _OVER_THE_LIMIT.get(signal.Signals(-status), f"it crashed ({signal.Signals(-status).name})")


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A private working folder below ``parent`` that is gone afterwards, whatever happens."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{int(time.time())}-", dir=parent) as folder:
        yield Path(folder)
