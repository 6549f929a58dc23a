"""The ways a pair of eyes is packed into files, and how each is signalled."""

from __future__ import annotations

from enum import StrEnum


class Layout(StrEnum):
    """A stereoscopic output layout. Values are the words used in the CLI, the UI and file names."""

    FULL_SBS = "full-sbs"
    HALF_SBS = "half-sbs"
    FULL_TB = "full-tb"
    HALF_TB = "half-tb"
    ANAGLYPH_DUBOIS = "anaglyph-dubois"
    ANAGLYPH_COLOR = "anaglyph-color"
    ANAGLYPH_HALF_COLOR = "anaglyph-half-color"
    ANAGLYPH_GRAY = "anaglyph-gray"
    CROSS_EYED = "cross-eyed"
    LEFT_RIGHT = "left-right"

    @property
    def is_anaglyph(self) -> bool:
        return self.value.startswith("anaglyph-")

    @property
    def views(self) -> tuple[View, ...]:
        """The files this layout produces: one, or a left and a right one."""
        if self is Layout.LEFT_RIGHT:
            return (View.LEFT, View.RIGHT)
        return (View.PACKED,)

    @property
    def stereo_mode(self) -> str | None:
        """Matroska ``StereoMode`` as ffmpeg spells it; None where the file holds a single eye."""
        return _STEREO_MODE[self]

    @property
    def frame_packing(self) -> int | None:
        """H.264 frame packing arrangement type (SEI 45), left eye first: 3 side by side, 4 top-bottom.

        Only for the two formats of 3D television: those sets read the stream and nothing else, while everything that
        plays full-size layouts reads the container. One file cannot have both marks: ffmpeg 8 and 9 end with "File
        exists" when a picture gets two Stereo 3D records, and decode nothing.
        """
        return _FRAME_PACKING.get(self)

    @property
    def description(self) -> str:
        return _DESCRIPTION[self]

    def packed_size(self, eye_width: int, eye_height: int) -> tuple[int, int]:
        """(width, height) of the coded picture for one eye of ``eye_width`` x ``eye_height``."""
        if self in (Layout.FULL_SBS, Layout.CROSS_EYED):
            return 2 * eye_width, eye_height
        if self is Layout.FULL_TB:
            return eye_width, 2 * eye_height
        return eye_width, eye_height


class View(StrEnum):
    """Which file of a layout: the packed picture, or one eye of the left-right pair."""

    PACKED = "packed"
    LEFT = "left"
    RIGHT = "right"


def name_suffix(layout: Layout, view: View = View.PACKED) -> str:
    """What players recognise in a file name (iw3's, Pigasus' and SKYBOX's conventions)."""
    if view is View.LEFT:
        return "_left"
    if view is View.RIGHT:
        return "_right"
    return _SUFFIX[layout]


_STEREO_MODE: dict[Layout, str | None] = {
    Layout.FULL_SBS: "left_right",
    Layout.HALF_SBS: "left_right",
    Layout.FULL_TB: "top_bottom",
    Layout.HALF_TB: "top_bottom",
    Layout.ANAGLYPH_DUBOIS: "anaglyph_cyan_red",
    Layout.ANAGLYPH_COLOR: "anaglyph_cyan_red",
    Layout.ANAGLYPH_HALF_COLOR: "anaglyph_cyan_red",
    Layout.ANAGLYPH_GRAY: "anaglyph_cyan_red",
    Layout.CROSS_EYED: "right_left",
    Layout.LEFT_RIGHT: None,
}

_FRAME_PACKING = {Layout.HALF_SBS: 3, Layout.HALF_TB: 4}

_SUFFIX: dict[Layout, str] = {
    Layout.FULL_SBS: "_LRF_Full_SBS",
    Layout.HALF_SBS: "_LR",
    Layout.FULL_TB: "_TBF_fulltb",
    Layout.HALF_TB: "_TB",
    Layout.ANAGLYPH_DUBOIS: "_redcyan_dubois",
    Layout.ANAGLYPH_COLOR: "_redcyan_color",
    Layout.ANAGLYPH_HALF_COLOR: "_redcyan_half-color",
    Layout.ANAGLYPH_GRAY: "_redcyan_gray",
    Layout.CROSS_EYED: "_RLF_cross",
    Layout.LEFT_RIGHT: "",
}

_DESCRIPTION: dict[Layout, str] = {
    Layout.FULL_SBS: "both eyes side by side at full size; VR headsets, 3D players",
    Layout.HALF_SBS: "side by side, each eye at half width; 3D televisions, Quest",
    Layout.FULL_TB: "left eye above the right one at full size",
    Layout.HALF_TB: "left above right, each eye at half height; 3D television broadcasts",
    Layout.ANAGLYPH_DUBOIS: "red-cyan glasses, least ghosting, mixed in linear light",
    Layout.ANAGLYPH_COLOR: "red-cyan glasses, full colour",
    Layout.ANAGLYPH_HALF_COLOR: "red-cyan glasses, left eye gray: less retinal rivalry",
    Layout.ANAGLYPH_GRAY: "red-cyan glasses, no colour",
    Layout.CROSS_EYED: "right eye on the left side, for free viewing with crossed eyes",
    Layout.LEFT_RIGHT: "two files, one for each eye; for editing",
}
