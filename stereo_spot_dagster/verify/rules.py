"""The rules by name, with what each one asks for."""

RULES = {
    "final_frame_count": "The result has exactly the source's frames.",
    "frame_times": "Every frame is shown at the source's time.",
    "duration": "The result claims the length it has.",
    "left_eye": "The left eye is the source, frame by frame.",
    "decodes": "The result decodes without errors.",
    "frame_size": "The result is as large as the layout makes the source.",
    "pixel_aspect": "Pixels have the source's shape.",
    "orientation": "The pictures are upright as they are.",
    "sample_format": "Samples are as deep, and colour as fine, as in the source.",
    "color_tags": "Matrix, transfer, primaries and range are the source's.",
    "hdr_kept": "HDR10 mastering display and light level are the source's.",
    "signalling_3d": "Name, container and stream say how the eyes are packed.",
    "streams_carried": "No stream is lost but those that were announced.",
    "audio_identical": "Every sound packet is the source's, bit for bit.",
    "audio_in_step": "Sound follows the picture as in the source.",
    "subtitles_kept": "Every subtitle is there, at its time.",
    "chapters_kept": "Every chapter is there, at its time.",
    "attachments_kept": "Fonts and covers are the source's, byte for byte.",
    "labels_kept": "Languages, titles and flags of tracks are the source's.",
    "tags_kept": "The film's tags are the source's.",
    "starts_early": "The file plays before it is all there.",
}

# A film that breaks one of these is still the film: hours of work are published with a warning, not thrown away.
MINOR = frozenset(
    [
        "duration",
        "subtitles_kept",
        "chapters_kept",
        "attachments_kept",
        "labels_kept",
        "tags_kept",
        "starts_early",
    ]
)
