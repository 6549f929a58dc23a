"""An ffmpeg that knows less: the real one behind a script that leaves things out of its answers."""

from __future__ import annotations

import shlex
from pathlib import Path

from stereo_spot_dagster.media.tools import Tools, find_tools


def poor_ffmpeg(folder: Path, **leaves_out: str) -> Tools:
    """A pair of tools in ``folder``.

    Args:
        folder: where its script is put.
        leaves_out: by option without its dash (``encoders``, ``decoders``, ``h``), an extended regular expression:
            what it matches is taken out of each line of the answer, and lines that begin with it vanish.
    """
    real = find_tools()
    program = shlex.quote(real.ffmpeg)
    cuts = {option: f"/^ *[A-Z.]* +({words}) /d; s/ ({words})//g" for option, words in leaves_out.items()}
    cases = [f'*" -{option} "*) {program} "$@" | sed -E {shlex.quote(cut)};;' for option, cut in cuts.items()]
    script = folder / "ffmpeg"
    script.write_text("\n".join(["#!/bin/sh", 'case " $* " in', *cases, f'*) exec {program} "$@";;', "esac", ""]))
    script.chmod(0o755)
    return Tools(str(script), real.ffprobe, "environment")


def as_environment(tools: Tools) -> dict[str, str]:
    """The variables that make a process use ``tools``."""
    return {"STEREO_SPOT_FFMPEG": tools.ffmpeg, "STEREO_SPOT_FFPROBE": tools.ffprobe}
