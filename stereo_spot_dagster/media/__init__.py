"""ffmpeg only: probe, plan, cut, frames, join, verify. Knows no stereo."""
