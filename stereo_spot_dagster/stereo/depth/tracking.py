"""One shot's depth, frame after frame: the cues are weighed, remembered along the motion, and drawn to edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .maps import Map
from .motion import CameraMotion, FlowEstimator, centred_grid, fit_camera, inverse_depth, own_motion
from .pictorial import ground_depth, pictorial_depth
from .stabilise import edge_aware, follow, gradient, slopes

# Evidence is remembered along the motion; per frame this share of it is lost, more when new evidence comes in.
FORGET, FORGET_WITH_NEWS = 0.01, 0.15
# Share of the new estimate in each frame's depth where the picture is only a moved copy of the last one.
SETTLE = 0.2
RANGE_SETTLE = 0.1
# Below this the camera's translation is doubtful, and doubtful evidence would add up over many frames.
LEAST_TRAVEL = 0.25
# Luma difference (0..1) at which a pixel no longer counts as the one the flow says it is.
SAME_PIXEL = 0.06
# Picture gradient (0..1 per pixel) at which flow is as good as it gets.
TEXTURED = 0.02
# A change of depth larger than this is a change of what is seen, and is followed at once instead of slowly.
SURPRISE, SURPRISE_SPAN = 0.1, 0.15
# Share of old evidence dropped, more than usual, where new parallax contradicts it.
FORGET_CONTRADICTED = 0.6
# The final filter: window radius as a share of the longer side, picture contrast that counts as an edge, and the
# depth slope (per pixel) beyond which a value may belong to either side of an edge and counts little.
EDGE_RADIUS_SHARE = 1 / 40
EDGE_CONTRAST = 0.02
EDGE_SLOPE = 0.015
# A picture whose depth guess spans less than this is not stretched to the full range.
SMALLEST_RANGE = 0.3
# A thing that moves on its own is drawn as standing where its lowest row touches the ground, if it is this large.
SMALLEST_OBJECT_SHARE = 0.002


@dataclass
class _Memory:
    """What is known at the last frame, all ``[h, w]`` float32 at half the working size.

    Attributes:
        parallax: weighted sum of normalised inverse depth.
        evidence: the sum of its weights.
        moving: 0..1, belongs to something that moves on its own.
        depth: the stabilised depth before it is drawn to edges.
    """

    parallax: Map
    evidence: Map
    moving: Map
    depth: Map


@dataclass(frozen=True)
class _Motion:
    """Motion from the frame before at half the working size.

    Attributes:
        field: ``[h, w, 2]`` float32, picture widths per frame.
        same: ``[h, w]`` float32, 0..1: the pixel was visible in the frame before.
        trust: ``[h, w]`` float32, 0..1: same, and textured enough for its motion to mean something.
        camera: the camera's part, None where it could not be told.
    """

    field: Map
    same: Map
    trust: Map
    camera: CameraMotion | None


class ShotTracker:
    """Turns the frames of one shot into depth, in order."""

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._gray: Map | None = None
        self._small_gray: Map | None = None
        self._memory: _Memory | None = None
        self._direction: Map | None = None
        self._range: tuple[float, float] | None = None

    def step(self, rgb: Map) -> Map:
        """``[h, w]`` float32 depth in 0..1 of the next frame ``[h, w, 3]`` uint8."""
        height, width = rgb.shape[:2]
        guide = rgb.astype(np.float32) / np.float32(255)
        small = cv2.resize(guide, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        guess = pictorial_depth(small)
        motion = self._see_motion(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), small)
        memory = self._carry(motion, guess)
        if motion is not None and motion.camera is not None:
            self._learn(memory, motion, motion.camera, guess)
        depth = self._normalise(_weigh(memory, guess))
        same = 0.0 if motion is None else motion.same
        steady = same * (1 - _above(np.abs(depth - memory.depth), SURPRISE, SURPRISE_SPAN))
        memory.depth += (depth - memory.depth) * (1 - (1 - np.float32(SETTLE)) * steady)
        self._memory = memory
        radius = max(1, round(max(small.shape) * EDGE_RADIUS_SHARE))
        sure = _away_from_edges(memory.depth)
        return np.clip(edge_aware(memory.depth, sure, small, guide, radius, EDGE_CONTRAST), 0, 1)

    def _see_motion(self, gray: Map, small: Map) -> _Motion | None:
        last, last_small = self._gray, self._small_gray
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        self._gray, self._small_gray = gray, luma
        if last is None or last_small is None:
            return None
        height, width = luma.shape
        flow = self._flow.between(gray, last)
        field = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / np.float32(-gray.shape[1])
        off = cv2.blur(np.abs(luma - follow(last_small, field * -width)), (3, 3))
        same = _seen_before(field) / (1 + (off / np.float32(SAME_PIXEL)) ** 4)
        detail = cv2.blur(gradient(luma), (7, 7))
        trust = same * np.minimum(detail / np.float32(TEXTURED), 1)
        camera = fit_camera(field, trust, gray.shape[1], self._direction)
        self._direction = None if camera is None else camera.direction
        return _Motion(field, same, trust, camera)

    def _carry(self, motion: _Motion | None, guess: Map) -> _Memory:
        """Memory moved to this frame; empty at the first."""
        if motion is None or self._memory is None:
            nothing = np.zeros_like(guess)
            return _Memory(nothing, nothing.copy(), nothing.copy(), guess.copy())
        old, flow_px = self._memory, motion.field * -guess.shape[1]
        kept = motion.same * np.float32(1 - FORGET)
        return _Memory(
            parallax=follow(old.parallax, flow_px, outside=0.0) * kept,
            evidence=follow(old.evidence, flow_px, outside=0.0) * kept,
            moving=follow(old.moving, flow_px, outside=0.0) * motion.same,
            depth=follow(old.depth, flow_px),
        )

    def _learn(self, memory: _Memory, motion: _Motion, camera: CameraMotion, guess: Map) -> None:
        """Add what this frame's motion says to ``memory``."""
        grid = centred_grid(*guess.shape)
        standing = _stands_still(camera)
        travels = _ramp(1 - camera.agree, 0.1, 0.4) * (1 - standing) * _ramp(camera.explained, 0.6, 0.95)
        speed = own_motion(motion.field, grid, camera)
        moves = np.clip(speed / np.float32(2 * camera.noise) - 1, 0, 1) * motion.same
        rate = np.where(moves > memory.moving, np.float32(0.4 * standing), np.float32(0.08))
        memory.moving += rate * (moves * np.float32(standing) - memory.moving)
        if travels < LEAST_TRAVEL:
            return
        nearness, strength = inverse_depth(motion.field, grid, camera)
        weight = (np.float32(0.1) + motion.trust) * strength * motion.same
        nearness = _oriented(_unit_range(nearness, weight), weight, guess, memory)
        old = memory.parallax / np.maximum(memory.evidence, np.float32(1e-6))
        contradicted = _above(np.abs(nearness - old), SURPRISE, SURPRISE_SPAN) * motion.trust
        forget = np.float32(FORGET_WITH_NEWS) + np.float32(FORGET_CONTRADICTED) * contradicted
        kept = 1 - np.float32(travels) * forget
        gain = np.float32(travels)
        memory.parallax[:] = memory.parallax * kept + gain * weight * nearness
        memory.evidence[:] = memory.evidence * kept + gain * weight

    def _normalise(self, depth: Map) -> Map:
        """Stretch to 0..1 by percentiles that follow the shot slowly."""
        low, high = (float(value) for value in np.percentile(depth[::2, ::2], (1, 99)))
        missing = max(0.0, SMALLEST_RANGE - (high - low))
        low, high = low - missing / 2, high + missing / 2
        if self._range is not None:
            low = self._range[0] + RANGE_SETTLE * (low - self._range[0])
            high = self._range[1] + RANGE_SETTLE * (high - self._range[1])
        self._range = (low, high)
        return np.clip((depth - np.float32(low)) / np.float32(high - low), 0, 1)


def _away_from_edges(depth: Map) -> Map:
    """``[h, w]`` float32, 0..1: lower where depth is steep, as motion does not tell exactly where an edge lies."""
    steep = cv2.dilate(gradient(depth), np.ones((3, 3), np.uint8))
    return np.float32(0.02) + 1 / (1 + (steep / np.float32(EDGE_SLOPE)) ** 2)


def _seen_before(field: Map) -> Map:
    """``[h, w]`` float32, 0..1: 0 where motion from the frame before opens a gap, or comes from outside.

    A motion field that stretches by a half says that half of what is here was hidden.
    """
    height, width = field.shape[:2]
    in_pixels = field * np.float32(width)
    stretch = slopes(in_pixels[..., 0])[0] + slopes(in_pixels[..., 1])[1]
    closed = cv2.erode(np.clip(2 - 4 * stretch, 0, 1), np.ones((3, 3), np.uint8))
    return closed * follow(np.ones((height, width), np.float32), field * -width, outside=0.0)


def _stands_still(camera: CameraMotion) -> float:
    """0..1: whether what moves does so on its own before a camera that stands, or only turns.

    A camera that travels moves the ground below; and what it turns with, to keep it in place, is not the background.
    """
    still = _ramp(camera.agree, 0.25, 0.45) * _ramp(camera.agree_below, 0.15, 0.35)
    return still * _ramp(camera.agree_corners, 0.05, 0.2)


def _weigh(memory: _Memory, guess: Map) -> Map:
    """``[h, w]`` float32: the still picture's guess, moved by what is known about moving things and parallax."""
    still = guess + memory.moving * np.maximum(_standing_depth(memory.moving) - guess, 0)
    nearness, evidence = _filled(memory.parallax, memory.evidence)
    return still + evidence / (evidence + np.float32(0.3)) * (nearness - still)


def _filled(parallax: Map, evidence: Map) -> tuple[Map, Map]:
    """Parallax as a weighted mean, borrowed from around where a pixel has little evidence of its own."""
    reach = max(3, max(evidence.shape) // 12)
    around = (reach, reach)
    evidence = evidence + np.float32(0.1) * cv2.blur(evidence, around)
    parallax = parallax + np.float32(0.1) * cv2.blur(parallax, around)
    return parallax / np.maximum(evidence, np.float32(1e-6)), evidence


def _standing_depth(moving: Map) -> Map:
    """``[h, w]`` float32: ground depth at the foot of each moving thing, 0 elsewhere."""
    height = moving.shape[0]
    mask = (moving > 0.4).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    feet = stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] - 1
    depth = ground_depth(feet, height)
    depth[stats[:, cv2.CC_STAT_AREA] < SMALLEST_OBJECT_SHARE * mask.size] = 0
    depth[0] = 0
    return cv2.dilate(depth[np.asarray(labels, np.intp)], np.ones((5, 5), np.uint8))


def _unit_range(values: Map, weight: Map) -> Map:
    """``values`` stretched so that the 2nd and 98th percentile of the trusted ones become 0 and 1."""
    trusted = values[::2, ::2][weight[::2, ::2] > 0.2 * weight.max()]
    low, high = np.percentile(trusted, (2, 98)) if trusted.size else (0.0, 1.0)
    return np.clip((values - np.float32(low)) / np.float32(max(high - low, 1e-9)), 0, 1).astype(np.float32)


def _oriented(nearness: Map, weight: Map, guess: Map, memory: _Memory) -> Map:
    """``nearness`` or its opposite, 1 - nearness: sideways motion alone does not tell near from far.

    Votes: it should agree with what was learned before, with the still picture's guess, and have few near and
    many far pixels, as views do.
    """
    off = nearness - _mean(nearness, weight)
    spread = _mean(off * off, weight) ** 0.5 + 1e-6
    skew = _mean((off / np.float32(spread)) ** 3, weight)
    known = weight * memory.evidence
    votes = _correlation(nearness, guess, weight) + 0.25 * min(max(skew, -1.0), 1.0)
    if known.sum() > 0.1 * weight.sum():
        votes += 2 * _correlation(nearness, memory.parallax / np.maximum(memory.evidence, 1e-6), known)
    return nearness if votes >= 0 else 1 - nearness


def _correlation(a: Map, b: Map, weight: Map) -> float:
    da, db = a - np.float32(_mean(a, weight)), b - np.float32(_mean(b, weight))
    power = float((weight * da * da).sum()) * float((weight * db * db).sum())
    return float((weight * da * db).sum()) / (power + 1e-12) ** 0.5


def _mean(values: Map, weight: Map) -> float:
    return float((values * weight).sum()) / max(float(weight.sum()), 1e-9)


def _above(values: Map, start: float, span: float) -> Map:
    """0 up to ``start``, rising to 1 over ``span``."""
    return np.clip((values - np.float32(start)) / np.float32(span), 0, 1)


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
